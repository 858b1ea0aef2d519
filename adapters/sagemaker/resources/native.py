"""`project.native` on SageMaker: our resources as the sagemaker SDK's own objects, and awswrangler.

Each object carries the target's boto3 Session, so it goes where the target's own calls go, to the
offline stack too. What is done with it is the user's: no call log has it, and no dry run stops it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

from ....errors import NotFound
from ....pipelines.runs.document import open_run
from ....target import Packages, Target, require
from ...common.pipelines.executions import read
from .. import names
from ..pipelines import executions
from ..pipelines.registry import SageMakerRegistry
from ..session import AwsSession, aws_of
from ..warehouse.sources import WRANGLER
from .wrangler import Bound

_SDK = Packages(modules=("sagemaker.core",), install="isthmus[sagemaker-sdk]")


@final
class SageMakerObjects:
    """The SDK's objects for a project's resources."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: AwsSession = aws_of(target)

    @cached_property
    def session(self) -> Any:
        """Return a session of the sagemaker SDK on the target's bucket.

        The SDK makes no bucket of its own.
        """
        require(_SDK, "project.native")
        from sagemaker.core.helper.session_helper import Session

        self._aws.s3()
        return Session(
            boto_session=self._aws.boto3,
            default_bucket=self._aws.bucket,
            default_bucket_prefix=self._aws.prefix,
        )

    def endpoint(self, name: str) -> Any:
        """Return an endpoint as the SDK's sagemaker.core.resources.Endpoint, also an adopted one.

        Raise NotFound if there is none.
        """
        return self._resource(
            "Endpoint", "DescribeEndpoint", endpoint_name=self._aws.endpoint_name(name)
        )

    def model(self, name: str, ref: int | str) -> Any:
        """Return a sagemaker.core.resources.ModelPackage: a version by its number or an alias.

        Raises:
            NotFound: There is no such version.
        """
        arn = SageMakerRegistry(self._target).arn(name, ref)
        package = self._resource("ModelPackage", "DescribeModelPackage", model_package_name=arn)
        # a version has no name of its own; the SDK's refresh, update and delete send this
        package.model_package_name = arn
        return package

    def pipeline(self, run: str) -> Any:
        """Return a run's sagemaker.core.resources.PipelineExecution.

        Raises:
            NotFound: There is no such run, or none of its steps had to run.
        """
        execution = read(self._target.blobs, open_run(self._target.blobs, run).run_id)
        arn = executions.execution_arn(self._aws, execution) if execution else None
        if arn is None:
            raise NotFound(
                f"run {run} has no execution at SageMaker", remedy=f"isthmus runs show {run}"
            )
        return self._resource(
            "PipelineExecution", "DescribePipelineExecution", pipeline_execution_arn=arn
        )

    def feature_group(self, view: str) -> Any:
        """Return the sagemaker.core.resources.FeatureGroup that serves an online view.

        Raises:
            NotFound: There is none.
        """
        return self._resource(
            "FeatureGroup",
            "DescribeFeatureGroup",
            feature_group_name=names.underscored(self._aws.project, view),
        )

    @cached_property
    def wr(self) -> Any:
        """Return the awswrangler module with the project's session, database and workgroup set."""
        require(WRANGLER, "project.native.wr")
        import awswrangler

        self._aws.s3()
        return Bound(
            awswrangler,
            {
                "boto3_session": self._aws.boto3,
                "database": self._aws.database,
                "workgroup": self._aws.profile.options.get("workgroup", "primary"),
                "s3_output": f"{self._aws.root}/scratch/wrangler/",
            },
        )

    def _resource(self, kind: str, operation: str, **key: str) -> Any:
        """Return an SDK object of the class `kind`; `key` are the arguments that name it.

        `operation` names the call in the log and in errors.
        """
        require(_SDK, "project.native")
        from sagemaker.core import resources

        self._aws.admit()
        with self._aws.reading(operation, next(iter(key.values()))):
            return getattr(resources, kind).get(
                **key, session=self._aws.boto3, region=self._aws.region
            )
