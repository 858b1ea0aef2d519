"""The state of the model registry: models, their versions, their aliases."""

from __future__ import annotations

import re
import threading
from typing import Any

import msgspec
from google.cloud.aiplatform_v1.types import DeployedModelRef, Model

from ....core.call import Call
from ....core.errors import GcpError, invalid
from ....core.projects import canonical
from .. import etags

ModelPb = Model.pb()
DEFAULT = "default"
_NAME = re.compile(r"(projects/[^/]+/locations/[^/]+/models/[^/@]+)(?:@([^/@]+))?")
_MODEL_FIELDS = (
    "display_name",
    "description",
    "labels",
    "create_time",
    "update_time",
)  # the others are a version's


class Name(msgspec.Struct, frozen=True):
    model: str  # with the project's number, without a version
    version: str  # a number, an alias, or ""


class Version:
    """One version: what was uploaded, and when."""

    def __init__(self, number: int, content: Any) -> None:
        self.number = number
        self.content = content  # a Model; the version's labels are its labels
        self.evaluations: dict[str, Any] = {}  # by id


class RegisteredModel:
    """One model. `shared` holds what all versions have in common, with the model's own labels."""

    def __init__(self, name: str, shared: Any) -> None:
        self.name = name
        self.shared = shared
        self.versions: dict[int, Version] = {}
        self.aliases: dict[str, int] = {}
        self.latest = 0  # numbers are not used again
        self.changes = 0
        self.deployed: dict[tuple[str, str], int] = {}  # (endpoint, DeployedModel's id) -> version

    @property
    def revision(self) -> str:
        """The name of the model's current state, from which etags are made; a change renames it."""
        return f"{self.name} {self.changes}"


class Models:
    """The models of one stack by name. Hold the lock to read, decide and write."""

    def __init__(self) -> None:
        self.by_name: dict[str, RegisteredModel] = {}
        self.lock = threading.RLock()


def parse(call: Call, name: str) -> Name:
    """Parse a model's resource name, which may end in @VERSION, into its parts."""
    match = _NAME.fullmatch(canonical(call, name))
    if match is None:
        raise invalid(
            f"{name!r} is not the name of a model: projects/P/locations/L/models/M, with "
            "@VERSION or @ALIAS behind it or nothing."
        )
    return Name(match[1], match[2] or "")


def registered_model(call: Call, name: Name) -> RegisteredModel:
    """Return the record of a registered model with all its versions; raise GcpError NOT_FOUND."""
    model = call.store(Models).by_name.get(name.model)
    if model is None:
        raise GcpError("NOT_FOUND", f"The Model does not exist: {name.model}")
    return model


def version_of(model: RegisteredModel, version: str) -> Version:
    """Return a model's version by number or alias, or its default version for "".

    Raises GcpError NOT_FOUND if there is no such version.
    """
    number = int(version) if version.isdecimal() else model.aliases.get(version or DEFAULT)
    if number not in model.versions:
        raise GcpError("NOT_FOUND", f"The Model does not exist: {model.name}@{version or DEFAULT}")
    return model.versions[number]


def version_by_name(call: Call, name: str) -> Any:
    """Return the Model message of the version that a resource name means, as GetModel does.

    Its name has the version's number if it was asked for by a number or an alias.
    """
    parsed = parse(call, name)
    with call.store(Models).lock:
        model = registered_model(call, parsed)
        return version_message(
            model, version_of(model, parsed.version), versioned=bool(parsed.version)
        )


def version_message(model: RegisteredModel, version: Version, *, versioned: bool = False) -> Any:
    """Return a version's Model message; if `versioned`, its name ends in the version number."""
    message = ModelPb()
    message.CopyFrom(version.content)
    for field in _MODEL_FIELDS:
        message.ClearField(field)
    message.MergeFrom(model.shared)
    for key, value in version.content.labels.items():
        message.labels[key] = value
    message.name = f"{model.name}@{version.number}" if versioned else model.name
    message.version_id = str(version.number)
    message.version_aliases.extend(
        alias for alias, number in model.aliases.items() if number == version.number
    )
    for (endpoint, deployed), number in model.deployed.items():
        if number == version.number:
            message.deployed_models.append(
                DeployedModelRef.pb()(endpoint=endpoint, deployed_model_id=deployed)
            )
    message.etag = etags.fresh(model.revision)
    return message


def note_change(call: Call, model: RegisteredModel, version: Version | None = None) -> None:
    """Renew the revision and update time of a model, and of one of its versions if it is set."""
    model.changes += 1
    model.shared.update_time.CopyFrom(call.now_pb())
    if version is not None:
        version.content.version_update_time.CopyFrom(call.now_pb())


def note_deployed(call: Call, name: str, endpoint: str, deployed: str) -> None:
    """Record that the model version `name` is deployed to an endpoint as `deployed`.

    A deployed version cannot be deleted. `name` ends in @NUMBER.
    """
    parsed = parse(call, name)
    with call.store(Models).lock:
        registered_model(call, parsed).deployed[endpoint, deployed] = int(parsed.version)


def note_undeployed(call: Call, endpoint: str, deployed: str) -> None:
    """Remove the record that a model version is deployed to an endpoint as `deployed`."""
    store = call.store(Models)
    with store.lock:
        for model in store.by_name.values():
            model.deployed.pop((endpoint, deployed), None)
