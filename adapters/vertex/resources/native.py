"""`project.native` on Vertex AI: our resources as google-cloud-aiplatform's own objects.

That SDK has one configuration a process. Each access sets it to this target, the offline stack
included; what the user makes with the SDK afterwards goes there, too. What is done with an object
is the user's: no call log has it, and no dry run stops it.
"""

from __future__ import annotations

from typing import Any, final

from ....errors import NotFound
from ....pipelines.runs.document import open_run
from ....target import Target
from ...common.pipelines.executions import read
from .. import names
from ..endpoints import lookup
from ..online.store import view_path
from ..session import VertexSession, session_of


@final
class VertexObjects:
    """The SDK's objects for a project's resources."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session: VertexSession = session_of(target)

    @property
    def session(self) -> Any:
        """The module google.cloud.aiplatform, set to the target's project and credentials.

        Its location and staging bucket are the target's, too.
        """
        from google.cloud import aiplatform

        session = self._session
        where: dict[str, Any] = {}
        if session.offline:
            where = {"api_endpoint": session.endpoint_url, "api_transport": "rest"}
        elif (
            aiplatform.initializer.global_config.api_endpoint
        ):  # of another target: nothing but another one takes its place
            where = {
                "api_endpoint": f"{session.location}-aiplatform.googleapis.com",
                "api_transport": "grpc",
            }
        aiplatform.init(
            project=session.project,
            location=session.location,
            credentials=session.credentials,
            staging_bucket=session.root,
            **where,
        )
        return aiplatform

    def endpoint(self, name: str, variant: str | None = None) -> Any:
        """Return an endpoint, or a variant's own one, as the SDK's aiplatform.Endpoint.

        A sticky endpoint has one for each `variant`; without `variant` it is the one that names
        these.

        Raises:
            NotFound: There is no such endpoint.
        """
        path = lookup.path(self._session, name, variant)
        sdk = self.session
        with self._session.reading("GetEndpoint", path):
            endpoint = sdk.Endpoint(path)
            # asked for now: the SDK would refuse a name that is not there at its first use
            _ = endpoint.gca_resource
        return endpoint

    def model(self, name: str, ref: int | str) -> Any:
        """Return a model version, by number or alias, as the SDK's aiplatform.Model.

        Raises:
            NotFound: There is no such version.
        """
        version = self._target.registry.get(name, ref).version
        path = f"{self._session.parent}/models/{names.dashed(self._session.name, name)}"
        sdk = self.session
        with self._session.reading("GetModel", path):
            return sdk.Model(path, version=str(version))

    def pipeline(self, run: str) -> Any:
        """Return a pipeline run as the SDK's aiplatform.PipelineJob.

        Raises:
            NotFound: There is no such run, or none of its steps had to run.
        """
        execution = read(self._target.blobs, open_run(self._target.blobs, run).run_id)
        if execution is None:
            raise NotFound(f"run {run} has no job at Vertex AI", remedy=f"isthmus runs show {run}")
        path = f"{self._session.parent}/pipelineJobs/{execution.pipeline}"
        sdk = self.session
        with self._session.reading("GetPipelineJob", path):
            return sdk.PipelineJob.get(path)

    def feature_group(self, view: str) -> Any:
        """Return the SDK's FeatureView that serves an online view; targets share the method's name.

        Raises NotFound if nothing serves the view.
        """
        path = view_path(self._session, view)
        _ = self.session
        from vertexai.resources.preview.feature_store.feature_view import FeatureView

        with self._session.reading("GetFeatureView", path):
            return FeatureView(path)
