"""LogSource over CloudWatch Logs: what endpoints and jobs wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import msgspec

from ....errors import Invalid, NotFound
from ....storage import LogPage
from ....target import Target
from ....times import epoch_milliseconds
from ..endpoints import adoption
from ..session import AwsSession, aws_of

_GROUPS = {
    "endpoints": "/aws/sagemaker/Endpoints",
    "processing-jobs": "/aws/sagemaker/ProcessingJobs",
    "training-jobs": "/aws/sagemaker/TrainingJobs",
}
_BACK = (
    15 * 60,
    6 * 3600,
    3 * 86_400,
    None,
)  # seconds: the last lines are looked for in ever longer pasts; None is everything


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last event of a page; events of the same millisecond are told apart by their ids."""

    timestamp: int
    ids: tuple[str, ...]


@final
class CloudWatchLogs:
    """The LogSource port over CloudWatch Logs.

    `resource` is `[endpoints/]<endpoint>[/<variant>]`, or a job: `processing-jobs/<name>`,
    `training-jobs/<name>`, or its ARN.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: AwsSession = aws_of(target)

    def tail(self, resource: str, *, after: str | None = None, limit: int = 100) -> LogPage:
        """Return the last `limit` log lines, or with `after` (a page's cursor) the next ones.

        Raises:
            NotFound: Nothing has been logged yet.
            Invalid: `resource` or the cursor is wrong.
        """
        group, prefix = place(self._aws, resource)
        try:
            if after is not None:
                return self._following(group, prefix, _cursor(after), limit)
            return self._last(group, prefix, limit)
        except NotFound as error:
            raise NotFound(f"{resource} has written no log yet") from error

    def _last(self, group: str, prefix: str | None, limit: int) -> LogPage:
        """Return the last `limit` log lines of a group, searched in ever longer spans of time."""
        now = epoch_milliseconds(self._target.clock())
        events: list[dict[str, Any]] = []
        for back in _BACK:
            events = list(self._events(group, prefix, start=now - back * 1000 if back else 0))
            if len(events) >= limit:
                break
        return _page(events[-limit:] if limit else [], previous=_Cursor(now, ()))

    def _following(self, group: str, prefix: str | None, cursor: _Cursor, limit: int) -> LogPage:
        """Return the first `limit` log lines of a group after a cursor."""
        events: list[dict[str, Any]] = []
        for event in self._events(group, prefix, start=cursor.timestamp):
            if event["timestamp"] == cursor.timestamp and event["eventId"] in cursor.ids:
                continue
            if len(events) == limit:
                break
            events.append(event)
        return _page(events, previous=cursor)

    def _events(self, group: str, prefix: str | None, *, start: int) -> Iterator[dict[str, Any]]:
        """Yield the events since `start` (ms) of a CloudWatch log group, in streams of a prefix."""
        request: dict[str, Any] = {"logGroupName": group, "startTime": start}
        if prefix is not None:
            request["logStreamNamePrefix"] = prefix
        while True:
            with self._aws.reading("FilterLogEvents", group):
                answer = self._aws.client("logs").filter_log_events(**request)
            # moto does not look at the prefix, and an account's answer passes anyway
            yield from (
                event
                for event in answer["events"]
                if event["logStreamName"].startswith(prefix or "")
            )
            if not answer.get("nextToken"):
                return
            request["nextToken"] = answer["nextToken"]


def place(aws: AwsSession, ref: str) -> tuple[str, str | None]:
    """Return the CloudWatch log group of a resource, and the prefix of its log streams.

    The prefix is None if all streams of the group are the resource's.
    """
    if ref.startswith("arn:"):
        kind, _, name = ref.rpartition(":")[2].partition("/")
        ref = f"{kind}s/{name}"
    parts = ref.split("/")
    if parts[0] in ("processing-jobs", "training-jobs") and len(parts) == 2:
        return _GROUPS[parts[0]], f"{parts[1]}/"
    names = parts[1:] if parts[0] == "endpoints" else parts
    if len(names) not in (1, 2) or not all(names):
        raise Invalid(
            f"{ref} names no log",
            remedy="<endpoint>/<variant>, processing-jobs/<name> or training-jobs/<name>",
        )
    prefix = f"{adoption.variant_name(aws, *names)}/" if len(names) == 2 else None
    return f"{_GROUPS['endpoints']}/{aws.endpoint_name(names[0])}", prefix


def _page(events: list[dict[str, Any]], *, previous: _Cursor) -> LogPage:
    """Return log events as a page of lines; its cursor continues after them and `previous`."""
    if not events:
        return LogPage(lines=(), cursor=msgspec.json.encode(previous).decode())
    last = events[-1]["timestamp"]
    ids = [event["eventId"] for event in events if event["timestamp"] == last]
    ids += previous.ids if last == previous.timestamp else ()
    cursor = msgspec.json.encode(_Cursor(last, tuple(ids))).decode()
    return LogPage(lines=tuple(event["message"].rstrip("\r\n") for event in events), cursor=cursor)


def _cursor(text: str) -> _Cursor:
    """Decode the cursor of a log page; raise Invalid if the text is none."""
    try:
        return msgspec.json.decode(text, type=_Cursor)
    except msgspec.DecodeError as error:
        raise Invalid(f"{text!r} is no cursor of a log") from error
