"""Counters in Firestore: a database for each endpoint, and in it a document for each unit.

The fields of a unit's document are its numbers. Firestore's databases take no labels: the name says
whose one is. A document is called by its unit's digest, which is always an id that Firestore takes,
and which spreads units that are numbered one after the other
(firebase.google.com/docs/firestore/best-practices).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from hashlib import sha256
from typing import Any, TypeVar, final

from ....errors import AlreadyExists, Conflict, Denied, NotFound, Throttled, Unavailable
from ....storage import Phase, wait
from ....target import Target
from ...common.storage.counters import counters_of
from .. import names, operations
from ..errors import from_google, is_disabled, translated
from ..session import VertexSession, session_of

T = TypeVar("T")
_UNITS = "units"  # the collection
_UNTIL = "until"  # the field whose time a document may outlive by a day
_NUMBER = "n"  # begins the name of a field that is a number: no name is reserved, empty or `until`
_MOST = 500  # increments of one document in a commit (firebase.google.com/docs/firestore/quotas)
_WITHIN = 2  # seconds that a call may take: somebody waits for an answer
_PATIENCE = 1.0  # seconds in which what is transient is asked again
_OFFLINE = 15  # seconds for either at a stack, which shares its machine with others
_NEEDS_REPAIR = 3


@final
class FirestoreCounters:
    """The Counters port over Firestore."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)

    def apply(self, endpoint: str) -> None:
        """Create an endpoint's Firestore database with a time to live, and wait for it.

        It has no indexes. The call can be repeated.
        """
        phase = self.observe(endpoint)
        if phase == "ready":
            return
        if phase is None:
            self._create(endpoint)
        # nothing is queried, and each index would be written at each addition
        self._set(endpoint, "*", {"index_config": {"indexes": []}})
        # last: see `observe`
        self._set(endpoint, _UNTIL, {"index_config": {"indexes": []}, "ttl_config": {}})

    def _create(self, endpoint: str) -> None:
        """Create an endpoint's Firestore database, unless another process is creating it."""
        session, name = self._session, _database(self._session, endpoint)
        database = {"location_id": session.location, "type_": "FIRESTORE_NATIVE"}
        request = {
            "parent": f"projects/{session.project}",
            "database_id": name.rpartition("/")[2],
            "database": database,
        }
        with suppress(AlreadyExists):  # another process makes it, or this one did before a crash
            with session.mutating("CreateDatabase", name):
                making = session.firestore_admin.create_database(request=request)
            operations.wait_for_success(
                session, session.firestore_admin, making.operation, what=f"making {name}"
            )
        wait(lambda: self.observe(endpoint), bool, deadline=operations.USUAL, what=f"making {name}")

    def _set(self, endpoint: str, field: str, settings: dict[str, Any]) -> None:
        """Change the index or TTL settings of a field in an endpoint's Firestore database."""
        name = _field(self._session, endpoint, field)
        with self._session.mutating("UpdateField", name):
            self._session.firestore_admin.update_field(field={"name": name, **settings})

    def observe(self, endpoint: str) -> Phase | None:
        """Return the phase of an endpoint's Firestore database, or None if there is none.

        It is "creating" until the field of the time to live is set, which happens last.
        """
        name = _field(self._session, endpoint, _UNTIL)
        try:
            with self._session.reading("GetField", name):
                field = self._session.firestore_admin.get_field(request={"name": name})
        except NotFound:
            return None
        if not field.ttl_config:
            return "creating"  # half-made: `apply` makes the rest
        return "failed" if field.ttl_config.state == _NEEDS_REPAIR else "ready"

    def get(self, endpoint: str, unit: str) -> Mapping[str, int]:
        """Return the counts of a unit (such as a user) by name, by a strongly consistent read.

        Raises:
            NotFound: `apply` was not called for the endpoint.
            Unavailable: Firestore does not answer.
        """
        from google.cloud.firestore_v1.types import BatchGetDocumentsRequest

        session, database = self._session, _database(self._session, endpoint)
        request = BatchGetDocumentsRequest(database=database, documents=[_document(database, unit)])
        client = _client(session)
        with counters_of(endpoint), session.reading("BatchGetDocuments", database):
            (answer,) = _again(session, lambda: list(client.batch_get_documents(request=request)))
        return _numbers(type(answer).pb(answer).found.fields)

    def add(
        self,
        endpoint: str,
        unit: str,
        amounts: Mapping[str, int],
        *,
        forget: Collection[str] = (),
        until: datetime,
    ) -> None:
        """Add amounts to a unit's counts, kept until `until`, and remove the counts in `forget`.

        Each 500 of them are one commit. Raises NotFound if `apply` was not called for the endpoint,
        Unavailable if Firestore does not answer.
        """
        session, database = self._session, _database(self._session, endpoint)
        client = _client(session)
        with counters_of(endpoint), session.mutating("Commit", database):
            for request in _commits(database, unit, amounts, forget, until):
                _again(session, partial(client.commit, request=request))


def remove(session: VertexSession, endpoint: str) -> None:
    """Delete an endpoint's Firestore database with every count; it may be absent.

    The inventory calls this.
    """
    name = _database(session, endpoint)
    with suppress(NotFound):
        with translated(f"deleting {name}", effect=True):
            deleting = session.firestore_admin.delete_database(name=name)
        operations.wait_for_success(
            session, session.firestore_admin, deleting.operation, what=f"deleting {name}"
        )


def databases(session: VertexSession) -> Iterator[tuple[str, str]]:
    """Yield the project's Firestore databases of counters as (endpoint, database).

    There are none if Firestore's API is not enabled.
    """
    try:
        with session.reading("ListDatabases", session.project):
            answer = session.firestore_admin.list_databases(parent=f"projects/{session.project}")
    except Denied as error:
        if is_disabled(error):
            return
        raise
    for database in answer.databases:
        if (
            endpoint := names.endpoint_of(session.name, database.name.rpartition("/")[2])
        ) is not None:
            yield endpoint, database.name


def _commits(
    database: str, unit: str, amounts: Mapping[str, int], forget: Collection[str], until: datetime
) -> Iterator[Any]:
    """Yield the Firestore commits for a change of counts; removals come before additions.

    `amounts` are added and `forget` are names to remove. Usually one commit suffices. `until` is
    when the counts expire.
    """
    from google.cloud.firestore_v1 import types

    increments = [(name, amount) for name, amount in amounts.items() if name not in forget]
    for start in range(0, max(len(increments), 1), _MOST):
        request = types.CommitRequest.pb()(database=database)
        write = request.writes.add()
        write.update.name = _document(database, unit)
        write.update.fields[_UNTIL].timestamp_value.FromDatetime(until)
        write.update_mask.field_paths.extend([_UNTIL, *(map(_path, forget) if start == 0 else ())])
        for name, amount in increments[start : start + _MOST]:
            write.update_transforms.add(field_path=_path(name)).increment.integer_value = amount
        yield types.CommitRequest.wrap(request)


def _path(name: str) -> str:
    """Return the quoted Firestore field path of a count's name, which may be any text."""
    quoted = f"{_NUMBER}{name}".replace("\\", "\\\\").replace("`", "\\`")
    return f"`{quoted}`"


def _numbers(fields: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts among a Firestore document's fields, by name."""
    return {
        name.removeprefix(_NUMBER): value.integer_value
        for name, value in fields.items()
        if name.startswith(_NUMBER)
    }


def _document(database: str, unit: str) -> str:
    """Return the full name of the Firestore document that holds a unit's counts."""
    return f"{database}/documents/{_UNITS}/{sha256(unit.encode()).hexdigest()}"


def _field(session: VertexSession, endpoint: str, field: str) -> str:
    """Return the full resource name of a Firestore field, for its index and TTL settings."""
    return f"{_database(session, endpoint)}/collectionGroups/{_UNITS}/fields/{field}"


def _database(session: VertexSession, endpoint: str) -> str:
    """Return the full resource name of an endpoint's Firestore database."""
    return f"projects/{session.project}/databases/{names.database(session.name, endpoint)}"


def _client(session: VertexSession) -> Any:
    """Return a Firestore client with a short time-out and without retries."""
    return session.client(
        "firestore", retrying=False, within=_OFFLINE if session.offline else _WITHIN
    )


def _again(session: VertexSession, call: Callable[[], T]) -> T:
    """Call a function; repeat it after a transient error or contention; return its result.

    A repeated call may count twice, which is better than not at all.
    """
    repeated: T = _retry(_OFFLINE if session.offline else _PATIENCE)(call)()
    return repeated


@cache
def _retry(patience: float) -> Any:
    """Return Google's Retry object for counters, which gives up after `patience` seconds."""
    from google.api_core.retry import Retry

    return Retry(
        predicate=_worth_repeating, initial=0.05, maximum=0.5, multiplier=2.0, timeout=patience
    )


def _worth_repeating(error: BaseException) -> bool:
    """Return whether an error is transient, so that the call may be repeated."""
    return isinstance(from_google(error, ""), (Throttled, Unavailable, Conflict))
