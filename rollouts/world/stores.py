"""StateStore, BlobStore and ModelRegistry in memory.

Any other process sees what they hold, whenever a controller dies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import final

import msgspec

from ...errors import NotFound, Unsupported
from ...pipelines.port import Approval, ModelVersion
from ...storage import BlobInfo, Versioned, check_document, state_conflict
from ...target import CallLog

Clock = Callable[[], datetime]


class Documents(msgspec.Struct):
    """The documents that the StateStores of all controllers share.

    One counter gives all tokens, so that none is given twice.
    """

    values: dict[str, Versioned] = {}
    last: int = 0


@final
class WorldState:
    """One controller's StateStore."""

    def __init__(self, documents: Documents, clock: Clock, calls: CallLog) -> None:
        self._documents, self._clock, self._calls = documents, clock, calls

    def get(self, key: str) -> Versioned | None:
        """Return a document of the simulated store."""
        self._calls.reading("state.get", key)
        return self._documents.values.get(key)

    def put(self, key: str, value: bytes, *, expect: str | None) -> str:
        """Write a document of the simulated store, if `expect` is its token."""
        check_document(key, value)
        with self._calls.mutating("state.put", key):
            self._expect(key, expect)
            self._documents.last += 1
            token = str(self._documents.last)
            self._documents.values[key] = Versioned(
                value=bytes(value), token=token, written_at=self._clock()
            )
        return token

    def delete(self, key: str, *, expect: str) -> None:
        """Delete a document of the simulated store, if `expect` is its token."""
        with self._calls.mutating("state.delete", key):
            self._expect(key, expect)
            del self._documents.values[key]

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the simulated keys with this prefix, sorted."""
        self._calls.reading("state.keys", prefix)
        return tuple(sorted(key for key in self._documents.values if key.startswith(prefix)))

    def _expect(self, key: str, expect: str | None) -> None:
        """Raise Conflict if the token of a stored document is not the expected one."""
        document = self._documents.values.get(key)
        if (token := document.token if document else None) != expect:
            raise state_conflict(key, token, expect)


@final
class WorldBlobs:
    """One controller's BlobStore."""

    root = "world://blobs"

    def __init__(
        self, blobs: dict[str, tuple[bytes, datetime]], clock: Clock, calls: CallLog
    ) -> None:
        self._blobs, self._clock, self._calls = blobs, clock, calls

    def get(self, uri: str) -> bytes:
        """Return a blob of the simulated store."""
        self._calls.reading("blobs.get", uri)
        if uri not in self._blobs:
            raise NotFound(f"there is nothing at {uri}")
        return self._blobs[uri][0]

    def put(self, uri: str, data: bytes) -> None:
        """Write a blob of the simulated store."""
        with self._calls.mutating("blobs.put", uri):
            self._blobs[uri] = (bytes(data), self._clock())

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield the simulated blobs with this prefix."""
        self._calls.reading("blobs.list", prefix)
        for uri in sorted(uri for uri in self._blobs if uri.startswith(prefix)):
            data, modified = self._blobs[uri]
            yield BlobInfo(uri=uri, size=len(data), modified=modified)

    def upload(self, folder: Path, prefix: str) -> None:
        """Refuse to upload a folder: a simulated world has none."""
        raise Unsupported(
            f"a scripted world takes no folder ({folder} to {prefix})", capability="blobs.upload"
        )

    def download(self, prefix: str, folder: Path) -> None:
        """Refuse to download a folder: a simulated world has none."""
        raise Unsupported(
            f"a scripted world gives no folder ({prefix} to {folder})", capability="blobs.download"
        )

    def delete(self, uri: str) -> None:
        """Delete a blob of the simulated store."""
        with self._calls.mutating("blobs.delete", uri):
            self._blobs.pop(uri, None)


class Models(msgspec.Struct):
    """The models that the registries of all controllers share: versions and aliases."""

    versions: dict[str, dict[int, ModelVersion]] = {}
    aliases: dict[tuple[str, str], int] = {}


@final
class WorldRegistry:
    """One controller's ModelRegistry.

    Aliases and approvals move; versions are those that the world began with.
    """

    def __init__(self, models: Models, calls: CallLog) -> None:
        self._models, self._calls = models, calls

    def register(self, model: str, *, uri: str, digest: str, image: str) -> ModelVersion:
        """Refuse to register a model: a simulated world has none."""
        raise Unsupported(
            f"a scripted world registers no models ({model} from {uri}, {digest}, {image})",
            capability="registry.register",
        )

    def get(self, model: str, number_or_alias: int | str) -> ModelVersion:
        """Return a model version of the simulated registry."""
        self._calls.reading("registry.get", f"{model}@{number_or_alias}")
        number = (
            self._models.aliases.get((model, number_or_alias))
            if isinstance(number_or_alias, str)
            else number_or_alias
        )
        return self._version(model, number, number_or_alias)

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return a model's versions in the simulated registry."""
        self._calls.reading("registry.versions", model)
        return tuple(
            self._version(model, number, number)
            for number in sorted(self._models.versions.get(model, {}))
        )

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Point an alias of the simulated registry at a version, or remove it."""
        with self._calls.mutating("registry.set_alias", f"{model}@{alias}"):
            if version is None:
                self._models.aliases.pop((model, alias), None)
            else:
                self._version(model, version, version)
                self._models.aliases[model, alias] = version

    def set_approval(self, model: str, version: int, approval: Approval, note: str) -> None:  # noqa: ARG002  the port's
        """Set whether a simulated model version is approved."""
        with self._calls.mutating("registry.set_approval", f"{model}@{version}"):
            judged = msgspec.structs.replace(
                self._version(model, version, version), approval=approval
            )
            self._models.versions[model][version] = judged

    def _version(self, model: str, number: int | None, ref: int | str) -> ModelVersion:
        """Return a model version with its aliases; raise NotFound if there is none.

        `ref` is the number or alias that was asked for, for the error.
        """
        version = self._models.versions.get(model, {}).get(number or 0)
        if version is None:
            raise NotFound(
                f"there is no {model}@{ref}",
                remedy=f"{model} has {sorted(self._models.versions.get(model, {}))}",
            )
        names = frozenset(
            alias
            for (alias_model, alias), n in self._models.aliases.items()
            if alias_model == model and n == number
        )
        return msgspec.structs.replace(version, aliases=names)
