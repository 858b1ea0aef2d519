"""ModelRegistry on Vertex AI: a model and its versions, movable aliases, approval as a label.

UploadModel has no request id. So a process that registers a digest looks for it first, claims it in
the StateStore, and looks again.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, final

import msgspec

from ....core.formats import decoder
from ....errors import AlreadyExists, Conflict, IsthmusError, NotFound
from ....pipelines.port import Approval, ModelVersion
from ....storage import wait
from ....target import Target
from ...common.pipelines.registry import check_alias, check_approval, no_version
from .. import operations
from ..machines import image as our_image
from ..names import dashed
from ..session import session_of

PREDICT, HEALTH = "/invocations", "/ping"
_DIGEST = "ISTHMUS_DIGEST"  # in the container's environment, which never changes
_APPROVAL = "isthmus_approval"
_DEFAULT = "default"
# after which a claim that was not renewed is of somebody who was killed
_CLAIMED = timedelta(minutes=2)
_READY = timedelta(minutes=15)
_TRIES = 5  # of a change that somebody else was quicker with


class _Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The claim in the StateStore while a digest is being registered."""

    holder: str
    until: datetime


@final
class VertexRegistry:
    """The ModelRegistry port over Vertex AI."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = session_of(target)
        self._holder = secrets.token_hex(8)
        self._registering = threading.Lock()  # a claim is this object's, not a thread's

    def register(self, model: str, *, uri: str, digest: str, image: str) -> ModelVersion:
        """Register a model version, or return the one that has the digest.

        It waits for the upload, and holds a claim on the digest meanwhile, so that two at once, or
        a repeat, make one version.
        """
        name = self._name(model)
        version = self._by_digest(name, digest)
        if version is None:
            with self._registering, self._exclusive(model, digest) as renew:
                self._await_uploads(name, renew)
                version = self._by_digest(name, digest) or self._upload(
                    model, uri=uri, digest=digest, image=image, renew=renew
                )
        return _model_version(model, version)

    def get(self, model: str, number_or_alias: int | str) -> ModelVersion:
        """Return a model's version by its number or alias; NotFound names those that exist."""
        versions = self._versions(self._name(model))
        return _model_version(model, _find_version(model, versions, number_or_alias))

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return a model's versions, oldest first; an unknown model has none."""
        return tuple(
            _model_version(model, version) for version in self._versions(self._name(model))
        )

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Move a model's alias to a version, and read it back; None removes the alias."""
        check_alias(alias)
        name, theirs = self._name(model), alias.replace("_", "-")
        versions = self._versions(name)
        if version is not None:
            self._merge(f"{name}@{_find_version(model, versions, version).version_id}", theirs)
            versions = self._versions(name)
        for other in versions:
            if theirs in other.version_aliases and other.version_id != str(version):
                self._merge(f"{name}@{other.version_id}", f"-{theirs}")

    def set_approval(self, model: str, version: int, approval: Approval, note: str) -> None:
        """Record a version's approval and the reason `note` in its labels.

        Labels are replaced as a whole: read, changed, and written if the etag is still the same.
        """
        from google.cloud.aiplatform_v1 import Model

        check_approval(approval)
        name = self._name(model)
        for attempt in range(1, _TRIES + 1):
            current = _find_version(model, self._versions(name), version)
            labels = {**current.labels, _APPROVAL: approval}
            changed = Model(
                name=f"{name}@{version}",
                etag=current.etag,
                labels=labels,
                version_description=note[:1024] or current.version_description,
            )
            try:
                with self._session.mutating("UpdateModel", f"{model}@{version}"):
                    self._session.models.update_model(
                        model=changed, update_mask={"paths": ["labels", "version_description"]}
                    )
            except Conflict:
                if attempt == _TRIES:
                    raise
            else:
                return

    def _name(self, model: str) -> str:
        """Return the full resource name of a model at Vertex AI."""
        return f"{self._session.parent}/models/{dashed(self._session.name, model)}"

    def _versions(self, name: str) -> list[Any]:
        """Return Vertex AI's versions of a model, oldest first; an unknown model has none.

        If a digest was uploaded twice, only its first version is returned.
        """
        try:
            with self._session.reading("ListModelVersions", name):
                listed = list(self._session.models.list_model_versions(request={"name": name}))
        except NotFound:
            return []
        by_digest: dict[str, Any] = {}
        for version in sorted(listed, key=lambda version: int(version.version_id)):
            by_digest.setdefault(_digest(version) or version.version_id, version)
        return list(by_digest.values())

    def _by_digest(self, name: str, digest: str) -> Any | None:
        """Return Vertex AI's version of a model that has a digest, or None."""
        return next(
            (version for version in self._versions(name) if _digest(version) == digest), None
        )

    def _upload(
        self, model: str, *, uri: str, digest: str, image: str, renew: Callable[[], None]
    ) -> Any:
        """Upload a new model version, and return it; the first upload creates the model.

        `renew` is called meanwhile, to renew the claim on the digest.
        """
        from google.cloud.aiplatform_v1 import (
            EnvVar,
            Model,
            ModelContainerSpec,
            Port,
            UploadModelRequest,
        )

        name, session = self._name(model), self._session
        uploaded = Model(
            display_name=dashed(session.name, model),
            artifact_uri=uri,
            labels={**session.labels("model", model), _APPROVAL: "pending"},
            container_spec=ModelContainerSpec(
                image_uri=image or our_image(session.profile),
                env=[EnvVar(name=_DIGEST, value=digest)],
                ports=[Port(container_port=8080)],
                predict_route=PREDICT,
                health_route=HEALTH,
            ),
        )
        exists = bool(self._versions(name))
        request = UploadModelRequest(parent=session.parent, model=uploaded)
        request.parent_model, request.model_id = (
            (name, "") if exists else ("", name.rpartition("/")[2])
        )
        client = session.client("models", retrying=False)
        try:
            with session.mutating("UploadModel", f"{model} {digest}"):
                operation = client.upload_model(request=request)
            operations.wait_for_success(
                session,
                session.models,
                operation,
                what=f"registering {model}",
                deadline=_READY,
                meanwhile=renew,
            )
        except AlreadyExists:  # another digest of a new model was a little faster
            if exists:
                raise
            wait(
                lambda: self._versions(name),
                bool,
                deadline=_READY,
                what=f"the first version of {model}",
            )
            return self._upload(model, uri=uri, digest=digest, image=image, renew=renew)
        return wait(
            lambda: self._by_digest(name, digest),
            lambda version: version is not None,
            deadline=_READY,
            what=f"registering {model}",
        )

    def _await_uploads(self, name: str, renew: Callable[[], None]) -> None:
        """Wait until no upload of the model runs, such as one of a killed process.

        `renew` is called meanwhile, to renew the claim on the digest.
        """
        for operation in operations.list_operations(self._session, self._session.models, name):
            if not operation.done and operation.metadata.type_url.endswith(
                "UploadModelOperationMetadata"
            ):
                operations.wait_until_done(
                    self._session,
                    self._session.models,
                    operation,
                    what="an upload under way",
                    deadline=_READY,
                    meanwhile=renew,
                )

    @contextmanager
    def _exclusive(self, model: str, digest: str) -> Iterator[Callable[[], None]]:
        """Hold a claim on a digest while the block runs, so that no other process registers it.

        It yields a function that renews the claim: an upload may take longer than a claim stands.
        """
        state, key = self._target.state, f"registry/{model}/{digest[:64]}"
        token = wait(
            lambda: self._claim(key),
            lambda token: token is not None,
            deadline=_READY,
            what=f"another registration of {model}",
        )
        until = self._target.clock() + _CLAIMED

        def renew() -> None:
            nonlocal token, until
            if until - (now := self._target.clock()) > _CLAIMED / 2:
                return
            with suppress(
                Conflict
            ):  # we were away for so long that another took it: it waits for our upload
                token, until = (
                    state.put(key, self._claim_until(now + _CLAIMED), expect=token),
                    now + _CLAIMED,
                )

        try:
            yield renew
        finally:
            with suppress(IsthmusError):
                state.delete(key, expect=token or "")

    def _claim_until(self, moment: datetime) -> bytes:
        """Return this process's claim on a digest, valid until a time, as JSON."""
        return msgspec.json.encode(_Claim(holder=self._holder, until=moment))

    def _claim(self, key: str) -> str | None:
        """Take the claim on a digest in the StateStore; return its token, or None if it is held."""
        state, now = self._target.state, self._target.clock()
        standing = state.get(key)
        if standing is not None:
            claim = decoder(_Claim).decode(standing.value)
            if claim.holder != self._holder and claim.until > now:
                return None
        try:
            return state.put(
                key,
                self._claim_until(now + _CLAIMED),
                expect=None if standing is None else standing.token,
            )
        except Conflict:
            return None

    def _merge(self, version: str, alias: str) -> None:
        """Add an alias to a model version, or remove it if it begins with `-`."""
        with self._session.mutating("MergeVersionAliases", f"{version} {alias}"):
            self._session.models.merge_version_aliases(name=version, version_aliases=[alias])


def _model_version(model: str, version: Any) -> ModelVersion:
    """Convert Vertex AI's description of a version to a ModelVersion.

    One that Isthmus did not upload has no digest.
    """
    approval = version.labels.get(_APPROVAL, "")
    return ModelVersion(
        model=model,
        version=int(version.version_id),
        digest=_digest(version),
        uri=version.artifact_uri.rstrip("/"),
        image=version.container_spec.image_uri,
        approval=approval if approval in ("approved", "rejected") else "pending",
        aliases=frozenset(
            alias.replace("-", "_") for alias in version.version_aliases if alias != _DEFAULT
        ),
    )


def _digest(version: Any) -> str:
    """Return the model digest that a version's container environment states, or ""."""
    return next(
        (
            str(variable.value)
            for variable in version.container_spec.env
            if variable.name == _DIGEST
        ),
        "",
    )


def _find_version(model: str, versions: Sequence[Any], ref: int | str) -> Any:
    """Return Vertex AI's version by number or alias `ref`; NotFound names those that exist."""
    theirs = ref.replace("_", "-") if isinstance(ref, str) else None
    for version in versions:
        if (
            version.version_id == str(ref)
            if theirs is None
            else theirs in version.version_aliases and theirs != _DEFAULT
        ):
            return version
    raise no_version(
        model,
        ref,
        {
            int(version.version_id): sorted(_model_version(model, version).aliases)
            for version in versions
        },
    )
