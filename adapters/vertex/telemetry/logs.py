"""LogSource over Cloud Logging: what model servers and jobs wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, final

import msgspec

from ....errors import Invalid, NotFound
from ....storage import LogPage
from ....target import Target
from ..endpoints import deployed_models, lookup
from ..names import endpoint_id
from ..session import VertexSession, session_of

_PAGE = 1000  # entries, at most


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last entry of a page; entries of the same moment are told apart by their ids."""

    timestamp: str
    ids: tuple[str, ...]


@final
class CloudLogging:
    """The LogSource port over Cloud Logging.

    `resource` is `[endpoints/]<endpoint>[/<variant>]`, or a job: `jobs/<id>`, or a custom job's
    name.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = session_of(target)

    def tail(self, resource: str, *, after: str | None = None, limit: int = 100) -> LogPage:
        """Return the last `limit` log lines, or with `after` (a page's cursor) the next ones.

        Raises:
            NotFound: Nothing has been logged yet.
            Invalid: `resource` or the cursor is wrong.
        """
        chosen = _filter(self._session, resource)
        if after is not None:
            cursor = _cursor(after)
            entries = self._entries(
                f'{chosen} AND timestamp>="{cursor.timestamp}"', "timestamp asc", _PAGE
            )
            fresh = (
                entry
                for entry in entries
                if not (_moment(entry) == cursor.timestamp and entry.insert_id in cursor.ids)
            )
            return _page(list(islice(fresh, limit)), previous=cursor)
        last = (
            list(islice(self._entries(chosen, "timestamp desc", min(limit, _PAGE)), limit))
            if limit
            else []
        )
        if limit and not last:
            raise NotFound(f"{resource} has written no log yet")
        now = self._target.clock().astimezone(UTC)
        return _page(
            last[::-1],
            previous=_Cursor(now.isoformat(timespec="microseconds").replace("+00:00", "Z"), ()),
        )

    def _entries(self, chosen: str, order: str, size: int) -> Iterator[Any]:
        """Yield the log entries that the Cloud Logging filter `chosen` selects, in an order.

        `size` is how many are fetched in one call.
        """
        request = {
            "resource_names": [f"projects/{self._session.project}"],
            "filter": chosen,
            "order_by": order,
            "page_size": size,
        }
        with self._session.reading("ListLogEntries", chosen):
            yield from self._session.logging.list_log_entries(request=request)


def _filter(session: VertexSession, ref: str) -> str:
    """Return the Cloud Logging filter for the log of an endpoint, a variant or a job (`ref`)."""
    if ref.startswith("projects/") and "/customJobs/" in ref:
        ref = f"jobs/{ref.rpartition('/')[2]}"
    parts = ref.split("/")
    if parts[0] == "jobs" and len(parts) == 2:
        return f'resource.type="ml_job" AND resource.labels.job_id="{parts[1]}"'
    names = parts[1:] if parts[0] == "endpoints" else parts
    if len(names) not in (1, 2) or not all(names) or '"' in ref:
        raise Invalid(f"{ref} names no log", remedy="<endpoint>/<variant>, or jobs/<id>")
    of_endpoints, of_id = (
        'resource.type="aiplatform.googleapis.com/Endpoint" AND',
        "resource.labels.endpoint_id",
    )
    whole = lookup.number(session, names[0])
    if len(names) == 1:
        return f'{of_endpoints} ({of_id}="{whole}" OR {of_id}=~"^{whole}--")'
    head = lookup.find(session, names[0])
    if head is not None and names[1] in deployed_models.intention(head).apart:
        return f'{of_endpoints} {of_id}="{endpoint_id(session.name, *names)}"'
    model_id = _deployed_id(head, *names)
    return (
        f'{of_endpoints} {of_id}="{whole}" AND (labels.deployed_model_id="{model_id}" OR '
        f'resource.labels.deployed_model_id="{model_id}")'
    )


def _deployed_id(described: Any | None, endpoint: str, variant: str) -> str:
    """Return the id of a variant's DeployedModel; raise NotFound if it is not deployed.

    `described` is Vertex AI's endpoint or None.
    """
    for number, spec in deployed_models.specs(described).items() if described is not None else ():
        if spec is not None and spec.name == variant:
            return number
    raise NotFound(f"{variant} is not deployed to {endpoint}")


def _page(entries: list[Any], *, previous: _Cursor) -> LogPage:
    """Return log entries as a page of lines; its cursor continues after them and `previous`."""
    if not entries:
        return LogPage(lines=(), cursor=msgspec.json.encode(previous).decode())
    last = _moment(entries[-1])
    ids = [entry.insert_id for entry in entries if _moment(entry) == last]
    ids += previous.ids if last == previous.timestamp else ()
    cursor = msgspec.json.encode(_Cursor(last, tuple(ids))).decode()
    return LogPage(lines=tuple(map(_entry_line, entries)), cursor=cursor)


def _moment(entry: Any) -> str:
    """Return a log entry's time as RFC 3339 text."""
    moment: str = entry.timestamp.rfc3339()
    return moment


def _entry_line(entry: Any) -> str:
    """Return a log entry as a line: its text, or the message of a structured entry."""
    if entry.json_payload:
        payload = dict(entry.json_payload)
        return str(payload.get("message") or json.dumps(payload, default=str))
    return str(entry.text_payload).rstrip("\r\n")


def _cursor(text: str) -> _Cursor:
    """Decode the cursor of a log page; raise Invalid if the text is none."""
    try:
        cursor = msgspec.json.decode(text, type=_Cursor)
        datetime.fromisoformat(cursor.timestamp)
    except (msgspec.DecodeError, ValueError) as error:
        raise Invalid(f"{text!r} is no cursor of a log") from error
    return cursor
