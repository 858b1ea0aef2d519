"""FirestoreAdmin's settings of fields.

A time to live acts on documents; indexes are stored and shown, as there are no queries.
"""

from __future__ import annotations

from typing import Any

from google.cloud.firestore_admin_v1 import types
from google.cloud.firestore_admin_v1.types import operation as metadata

from ....core.call import Call
from ....core.errors import invalid
from ....core.projects import with_project_id
from ....core.registry import handles
from ..paths import ANY_FIELD, FieldName, field_name
from ..records import Database, Firestore
from .databases import operation

_SERVICE = "google.firestore.admin.v1.FirestoreAdmin"
_State = types.Field.TtlConfig.State
_SETTINGS = ("index_config", "ttl_config")


@handles(f"{_SERVICE}.UpdateField")
def update_field(call: Call, request: Any) -> Any:
    """Answer UpdateField: change the index and TTL settings of a field.

    A time to live applies at once to new writes; to existing documents when the operation is over.
    """
    name = field_name(with_project_id(call, request.field.name))
    store = call.store(Firestore)
    with store.lock:
        database = store.database(call, name.database)
        field = _field(database, name, with_project_id(call, request.field.name))
        for setting in _mask(request):
            _set(field, request.field, setting)
        _check(database, name, field)
        database.fields[name.collection, name.path] = field

    def settle() -> Any:
        if field.HasField("ttl_config"):
            field.ttl_config.state = _State.ACTIVE
        return field

    return operation(
        call,
        name.database,
        settle,
        metadata=metadata.FieldOperationMetadata.pb()(field=field.name, start_time=call.now_pb()),
    )


@handles(f"{_SERVICE}.GetField")
def get_field(call: Call, request: Any) -> Any:
    """Answer Firestore's API call GetField: return the index and TTL settings of a field."""
    full_name = with_project_id(call, request.name)
    name = field_name(full_name)
    return _field(call.store(Firestore).database(call, name.database), name, full_name)


def _mask(request: Any) -> list[str]:
    """Return the names of the field settings (indexes, TTL) that an update's mask names."""
    named = [path.partition(".")[0] for path in request.update_mask.paths]
    if wrong := set(named) - set(_SETTINGS):
        raise invalid(
            f"update_mask names {', '.join(sorted(wrong))}, which a field has not, or which "
            "cannot be updated."
        )
    return named or [setting for setting in _SETTINGS if request.field.HasField(setting)]


def _set(field: Any, source: Any, setting: str) -> None:
    """Copy one setting of a field's configuration from `source`; clear it if absent there."""
    field.ClearField(setting)
    if source.HasField(setting):
        getattr(field, setting).CopyFrom(getattr(source, setting))
        getattr(field, setting).SetInParent()
    elif setting == "index_config":
        _inherit(field)
    if field.HasField("ttl_config"):
        field.ttl_config.state = _State.CREATING


def _check(database: Database, name: FieldName, field: Any) -> None:
    """Raise an error for index or TTL settings that the field `name` cannot have."""
    if not field.HasField("ttl_config"):
        return
    if name.path == (ANY_FIELD,):
        raise invalid("ttl_config cannot be set on the field *.")
    for (collection, path), other in database.fields.items():
        if collection == name.collection and path != name.path and other.HasField("ttl_config"):
            raise invalid(
                f"The collection group {collection} has a TTL policy already, on the field "
                f"{'.'.join(path)}: it can have one."
            )


def _field(database: Database, name: FieldName, full_name: str) -> Any:
    """Return the Field message of a field: its own index and TTL settings, or inherited ones."""
    field = types.Field.pb()(name=full_name)
    settings = database.fields.get((name.collection, name.path))
    if settings is None:
        _inherit(field)
    else:
        field.CopyFrom(settings)
    return field


def _inherit(field: Any) -> None:
    """Set a Field message's index configuration to the one that all fields inherit."""
    field.index_config.uses_ancestor_config = True
    field.index_config.ancestor_field = (
        f"{field.name.partition('/collectionGroups/')[0]}/collectionGroups/__default__/fields/*"
    )
