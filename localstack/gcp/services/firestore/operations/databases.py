"""FirestoreAdmin's databases: native mode, standard edition."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from google.cloud.firestore_admin_v1 import types
from google.protobuf.message import Message

from ....core.call import Call
from ....core.errors import GcpError, invalid
from ....core.projects import canonical, with_project_id
from ....core.registry import handles
from ....core.resources import operations
from ..records import Database, Firestore

_SERVICE = "google.firestore.admin.v1.FirestoreAdmin"
_SECONDS = 2.0  # that the provider takes
_DEFAULT = "(default)"
_ID = re.compile(r"[a-z][a-z0-9-]{2,61}[a-z0-9]")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PARENT = re.compile(r"projects/[^/]+")
_Shape = types.Database
_NATIVE, _STANDARD = _Shape.DatabaseType.FIRESTORE_NATIVE, _Shape.DatabaseEdition.STANDARD
_UNSUPPORTED = ("cmek_config", "source_info")


@handles(f"{_SERVICE}.CreateDatabase")
def create_database(call: Call, request: Any) -> Any:
    """Answer Firestore's API call CreateDatabase: create a database."""
    store = call.store(Firestore)
    _check(request)
    database = _complete(
        call,
        request.database,
        f"{with_project_id(call, request.parent)}/databases/{request.database_id}",
    )
    with store.lock:
        if database.name in store.databases or database.name in store.creating:
            raise GcpError(
                "ALREADY_EXISTS", "Database already exists. Please use another database_id"
            )
        store.creating.add(database.name)

    def create() -> Any:
        with store.lock:
            store.creating.discard(database.name)
            store.databases[database.name] = Database(database)
        return database

    return operation(call, database.name, create, metadata=types.CreateDatabaseMetadata.pb()())


@handles(f"{_SERVICE}.GetDatabase")
def get_database(call: Call, request: Any) -> Any:
    """Answer Firestore's API call GetDatabase: return a database."""
    return call.store(Firestore).database(call, request.name).message


@handles(f"{_SERVICE}.ListDatabases")
def list_databases(call: Call, request: Any) -> Any:
    """Answer Firestore's API call ListDatabases: list the databases."""
    prefix = f"{with_project_id(call, request.parent)}/databases/"
    store = call.store(Firestore)
    with store.lock:
        databases = [
            database.message
            for name, database in sorted(store.databases.items())
            if name.startswith(prefix)
        ]
    return types.ListDatabasesResponse.pb()(databases=databases)


@handles(f"{_SERVICE}.DeleteDatabase")
def delete_database(call: Call, request: Any) -> Any:
    """Delete a database with all that is in it at once; the operation ends later."""
    store = call.store(Firestore)
    with store.lock:
        message = store.database(call, request.name).message
        if request.etag and request.etag != message.etag:
            raise GcpError(
                "FAILED_PRECONDITION", f"The etag does not match the current one of {message.name}."
            )
        if (
            message.delete_protection_state
            == _Shape.DeleteProtectionState.DELETE_PROTECTION_ENABLED
        ):
            raise GcpError(
                "FAILED_PRECONDITION",
                f"Delete protection is enabled for {message.name}: disable it first.",
            )
        del store.databases[message.name]
    message.delete_time.CopyFrom(call.now_pb())
    return operation(
        call, message.name, lambda: message, metadata=types.DeleteDatabaseMetadata.pb()()
    )


def operation(call: Call, parent: str, work: Callable[[], Any], *, metadata: Message) -> Any:
    """Return a long-running operation for `work`; on the instant clock it is complete at once.

    `parent` is the resource that it belongs to, `metadata` its metadata.
    """
    if call.clock.mode == "instant":
        return operations.completed_operation(
            call, canonical(call, parent), work(), metadata=metadata
        )
    return operations.start(
        call, canonical(call, parent), lambda _: work(), metadata=metadata, delay=_SECONDS
    )


def _check(request: Any) -> None:
    """Raise INVALID_ARGUMENT for a CreateDatabase request that Firestore does not accept."""
    database, identifier = request.database, request.database_id
    if not _PARENT.fullmatch(request.parent):
        raise invalid(f'The parent "{request.parent}" is not projects/{{project_id}}.')
    if identifier != _DEFAULT and (not _ID.fullmatch(identifier) or _UUID.fullmatch(identifier)):
        raise invalid(
            f"Invalid database_id {identifier!r}: 4 to 63 small letters, digits and dashes, "
            "a letter first and a letter or digit last,"
            " and not like a UUID."
        )
    if not database.location_id:
        raise invalid("location_id is required.")
    if not database.type_:
        raise invalid("type is required: FIRESTORE_NATIVE or DATASTORE_MODE.")
    _refuse(database)


def _refuse(database: Any) -> None:
    """Raise UNIMPLEMENTED for a database whose mode or edition is not supported."""
    if database.type_ != _NATIVE or database.database_edition not in (0, _STANDARD):
        raise GcpError(
            "UNIMPLEMENTED",
            "databases other than FIRESTORE_NATIVE, STANDARD are not supported by the "
            "offline GCP yet",
        )
    for field in _UNSUPPORTED:
        if database.HasField(field):
            raise GcpError(
                "UNIMPLEMENTED", f"a database with {field} is not supported by the offline GCP yet"
            )


def _complete(call: Call, requested: Any, name: str) -> Any:
    """Return the message of a new database `name`: what the request says, and Google's defaults.

    Tags are input only.
    """
    database = _Shape.pb()(
        name=name,
        uid=str(uuid.uuid4()),
        create_time=call.now_pb(),
        update_time=call.now_pb(),
        location_id=requested.location_id,
        type_=_NATIVE,
        database_edition=_STANDARD,
        concurrency_mode=requested.concurrency_mode or _Shape.ConcurrencyMode.PESSIMISTIC,
        app_engine_integration_mode=_Shape.AppEngineIntegrationMode.DISABLED,
        point_in_time_recovery_enablement=(
            requested.point_in_time_recovery_enablement
            or _Shape.PointInTimeRecoveryEnablement.POINT_IN_TIME_RECOVERY_DISABLED
        ),
        delete_protection_state=requested.delete_protection_state
        or _Shape.DeleteProtectionState.DELETE_PROTECTION_DISABLED,
        etag=secrets.token_urlsafe(24),
    )
    database.version_retention_period.FromTimedelta(timedelta(hours=1))
    return database
