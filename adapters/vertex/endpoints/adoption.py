"""Adoption of Vertex AI's endpoints that Isthmus did not make, and giving them back.

It tells what they run, and writes the labels that claim them for a project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from ....endpoints.port import RunningEndpoint, RunningVariant, VariantSpec
from ....errors import Busy, Conflict, NotFound, Refused
from ....project.reading.names import VARIANT_LENGTH, neutral
from ....target import Target
from ...common import adoption
from .. import operations
from ..names import NAME_LABEL, PROJECT_LABEL, dashed, endpoint_id, label_filter
from ..session import CONTROL, VertexSession, session_of
from . import deployed_models, labels, lookup


@final
class VertexAdopter:
    """The Adopter port; see endpoints.port.Adopter."""

    def __init__(self, target: Target) -> None:
        self._session: VertexSession = session_of(target)

    def look(self, native: str, *, name: str | None) -> RunningEndpoint:
        """Describe a Vertex AI endpoint and its variants, named as adoption would name them."""
        session = self._session
        endpoint = self._endpoint(native)
        number = endpoint.name.rpartition("/")[2]
        check_endpoint(
            number, endpoint, operations.list_operations(session, session.endpoints, endpoint.name)
        )
        owner = endpoint.labels.get(PROJECT_LABEL)
        ours = owner == session.name
        name = adoption.name_here(
            number,
            requested=name,
            noted=endpoint.labels.get(NAME_LABEL, "") if ours else None,
            adopted=session.adopted,
            own=endpoint.display_name.removeprefix(dashed(session.name, "")),
        )
        known_specs = deployed_models.specs(endpoint) if ours else {}
        if ours and not labels.is_adopted(endpoint.labels) and not all(known_specs.values()):
            raise Refused(
                f"{number} is endpoint {name} of this project, to which others deployed",
                remedy=f"isthmus deploy {name}",
            )
        called = variant_names(endpoint.deployed_models, known_specs)
        return RunningEndpoint(
            native=number,
            native_id=endpoint.name,
            name=name,
            owner=owner,
            options=self._options(name, number),
            variants=tuple(
                self._variant(number, endpoint, model, called[model.id], known_specs.get(model.id))
                for model in endpoint.deployed_models
            ),
            token=_token(endpoint),
        )

    def tag(self, standing: RunningEndpoint, refs: Mapping[str, str]) -> None:
        """Label an endpoint as adopted by this project in one call, unless it changed since `look`.

        Raises:
            Conflict: The endpoint has changed since.
        """
        endpoint = self._endpoint(standing.native)
        if _token(endpoint) != standing.token:
            raise Conflict(
                f"{standing.native} was changed since it was looked at", remedy="import it again"
            )
        variants = {}
        for variant in standing.variants:
            model, _, version = refs[variant.content].partition("@")
            variants[variant.native] = VariantSpec(
                name=variant.name, model=model, version=int(version)
            )
        marked = {**endpoint.labels, **self._session.labels("endpoint", standing.name)}
        models = {model.id: model for model in endpoint.deployed_models}
        _update(
            self._session,
            endpoint,
            labels=labels.with_variants(marked, variants, models),
            description=deployed_models.intention(endpoint).theirs,
        )

    def _endpoint(self, native: str) -> Any:
        """Return Vertex AI's endpoint by its id or its full resource name."""
        session = self._session
        path = native if "/" in native else lookup.resource_name(session, native)
        try:
            with session.reading("GetEndpoint", path):
                endpoint = session.endpoints.get_endpoint(name=path)
                expected = (
                    session.endpoints.get_endpoint(name=lookup.resource_name(session, native))
                    if "/" in native
                    else endpoint
                )
        except NotFound as error:
            raise NotFound(
                f"Vertex AI has no endpoint {native} in {session.parent}",
                remedy="its id is Vertex AI's: gcloud ai endpoints list "
                f"--region={session.location}",
            ) from error
        if endpoint.name != expected.name:
            raise Refused(
                f"{native} is not in {session.parent}",
                remedy="name its project and location in profiles.yaml",
            )
        return endpoint

    def _options(self, name: str, number: str) -> dict[str, Any]:
        """Return the `adopted:` options that profiles.yaml needs for an adopted endpoint.

        `number` is the endpoint's id in Vertex AI. There are no options if that is the id which we
        would give to an endpoint of this `name`. Raises Refused if the project has an endpoint
        `name`.
        """
        session = self._session
        whole = endpoint_id(session.name, name)
        if whole == number:
            return {}
        try:
            with session.reading("GetEndpoint", whole):
                session.endpoints.get_endpoint(name=lookup.resource_name(session, whole))
        except NotFound:
            return {"adopted": {**session.adopted, name: number}}
        raise adoption.name_taken(name, whole)

    def _variant(
        self, number: str, endpoint: Any, model: Any, name: str, spec: VariantSpec | None
    ) -> RunningVariant:
        """Describe a variant of a running endpoint: model, machine, traffic and known version."""
        version = self._version(number, model)
        if PROJECT_LABEL in version.labels and PROJECT_LABEL not in endpoint.labels:
            raise Refused(
                f"{number}, {name}: {version.display_name} is a model of an Isthmus project",
                remedy="deploy it from that project",
            )
        resources = model.dedicated_resources
        return RunningVariant(
            name=name,
            native=model.id,
            runs=f"{version.display_name}@{version.version_id}",
            machine=resources.machine_spec.machine_type,
            instances=model.status.available_replica_count or resources.min_replica_count,
            percent=deployed_models.percent_of(endpoint, model.id),
            content=labels.digest(
                model.model.partition("@")[0],
                version.version_id,
                version.version_create_time.rfc3339(),
            ),
            image=version.container_spec.image_uri,
            uri=version.artifact_uri,
            model=spec.model if spec else "",
            version=spec.version if spec else 0,
        )

    def _version(self, number: str, model: Any) -> Any:
        """Return the registered model version that a DeployedModel serves.

        Raises:
            Unsupported: It was deleted, or no container serves it.
        """
        name = f"{model.model.partition('@')[0]}@{model.model_version_id}"
        try:
            with self._session.reading("GetModel", name):
                version = self._session.models.get_model(name=name)
        except NotFound as error:
            raise adoption.unsupported(
                number, f"{model.id}'s model {name} was deleted: nobody can tell what it serves"
            ) from error
        if not version.container_spec.image_uri:
            raise adoption.unsupported(
                number, f"{model.id}'s model {version.display_name} has no container"
            )
        return version


def variant_names(
    models: Sequence[Any], known_specs: Mapping[str, VariantSpec | None]
) -> dict[str, str]:
    """Return the variant's name for each DeployedModel of an endpoint, by the model's id.

    It is the registered name if there is one, else the display name. If several have the same name,
    their version or their place is appended.
    """
    names = {key: spec.name for key, spec in known_specs.items() if spec is not None}
    plain = [_own_name(model) for model in models]
    for place, model in enumerate(models):
        if model.id not in names:
            version = f"_{model.model_version_id}"
            endings = (
                (version, f"{version}_{place + 1}")
                if plain.count(plain[place]) > 1
                else ("", version, f"{version}_{place + 1}")
            )
            names[model.id] = next(
                name
                for end in endings
                if (name := _cut(plain[place], end)) not in names.values() or end == endings[-1]
            )
    return names


def _own_name(model: Any) -> str:
    """Return a variant's name made from the display name of its DeployedModel."""
    spec = deployed_models.spec_of(model.display_name)
    return spec.name if spec is not None else _cut(neutral(model.display_name), "")


def _cut(name: str, ending: str) -> str:
    """Return a name with an ending, shortened to the greatest length of a variant's name."""
    return name[: VARIANT_LENGTH - len(ending)].rstrip("_") + ending


def release(session: VertexSession, name: str) -> bool:
    """Remove Isthmus's labels from an adopted endpoint, which keeps running.

    It returns True if the endpoint was adopted, even if its labels are off already, and False
    otherwise.
    """
    if lookup.is_given_back(session, name):
        return True
    request = {
        "parent": session.parent,
        "filter": f"{label_filter(session.name)} AND labels.{NAME_LABEL}={name}",
    }
    with session.reading("ListEndpoints", name):
        listed = {
            endpoint.name: endpoint
            for endpoint in session.endpoints.list_endpoints(request=request)
        }
    if (standing := lookup.find(session, name)) is not None:
        listed[standing.name] = standing  # a list may come late
    adopted = [endpoint for endpoint in listed.values() if labels.is_adopted(endpoint.labels)]
    for endpoint in adopted:
        theirs = deployed_models.intention(endpoint).theirs
        _update(session, endpoint, labels=labels.without_ours(endpoint.labels), description=theirs)
    return bool(adopted)


def check_endpoint(native: str, endpoint: Any, under_way: Sequence[Any]) -> None:
    """Raise an error if an endpoint cannot be adopted, as traffic cannot be split.

    `under_way` are its running operations. Raises Busy while it changes, Unsupported for what this
    adapter cannot split.
    """
    if any(not operation.done for operation in under_way):
        raise Busy(
            f"{native}: an operation runs on it at Vertex AI",
            remedy="import it when that has ended",
        )
    if endpoint.network:
        raise adoption.unsupported(native, "it is a private endpoint, which splits no traffic")
    if not endpoint.deployed_models:
        raise adoption.unsupported(native, "nothing is deployed to it")
    if not endpoint.traffic_split:
        raise adoption.unsupported(native, "it takes no traffic: there is no split to keep")
    for model in endpoint.deployed_models:
        if "dedicated_resources" not in model:
            raise adoption.unsupported(
                native, f"{model.display_name or model.id} has no machines of its own"
            )


def _token(endpoint: Any) -> str:
    """Return a digest of an endpoint's state, labels and description, to detect changes."""
    return labels.digest(
        deployed_models.token(endpoint),
        endpoint.description,
        *(f"{key}={value}" for key, value in sorted(endpoint.labels.items())),
    )


def _update(session: VertexSession, endpoint: Any, **fields: Any) -> None:
    """Change fields of an endpoint if its etag is still the one that `endpoint` has."""
    from google.cloud.aiplatform_v1 import Endpoint

    changed = Endpoint(name=endpoint.name, etag=endpoint.etag, **fields)
    with session.mutating("UpdateEndpoint", endpoint.name):
        client = session.client("endpoints", retrying=False, within=CONTROL)
        client.update_endpoint(endpoint=changed, update_mask={"paths": list(fields)})
