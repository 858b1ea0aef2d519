"""Recorded calls, asked again of a server that must answer as the recorded one did.

Compared are the status, the error code, the shape of the answer (names and kinds), and the values
that do not change from one time to the next: those of a list in the service's model, truths, and
what the caller had named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from ...core.calls import is_mutating
from ..core.environment import variables
from .form import About, Call, plain
from .scrub import STACK, UUID, WORD

_STATES = ("Status", "State")  # how a member is called that says how far something is
_ON_ITS_WAY = ("ing", "inprogress", "queued", "pending", "submitted", "started")
_PATIENCE = 120.0  # seconds until what was over when it was recorded is over here
_PAUSE = 0.1


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is otherwise than it was recorded."""

    call: int  # its number in the recording
    operation: str  # sagemaker:DescribeEndpoint
    where: str  # in the answer: ProductionVariants[].CurrentWeight; status, error
    recorded: str
    here: str

    def __str__(self) -> str:
        return (
            f"{self.call:>4}  {self.operation:<40} {self.where}   recorded {self.recorded}, here "
            f"{self.here}"
        )


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The differences of all calls."""

    compared: int  # calls
    passing: int  # calls that were asked and not compared: what they told of was on its way
    differences: tuple[Difference, ...]

    def __str__(self) -> str:
        verdict = f"{len(self.differences)} differences" if self.differences else "no difference"
        lines = [
            *map(str, self.differences),
            (
                f"{self.compared} calls compared, {self.passing} of something on its way left "
                f"out: {verdict}"
            ),
        ]
        return "\n".join(lines)


class _Answer(msgspec.Struct, frozen=True):
    status: int
    error: str | None
    value: Mapping[str, Any]


def compare(calls: Sequence[Call], about: About, url: str) -> Comparison:
    """Replay a recording of AWS calls against the server at `url`, and compare the responses.

    `about` is the recording's head. Buckets that existed when the calls were recorded are made
    first.
    """
    client = _clients(url, about.region)
    for bucket in _existing_buckets(calls):
        client("s3").create_bucket(Bucket=bucket, **_location(about.region))
    learnt = Replacements()
    learnt.add(STACK, url)
    differences: list[Difference] = []
    passing = 0
    for call in _without_polling(calls):
        answer = _settled_answer(client(call.service), call, learnt.translated(call.params))
        learnt.add(call.answer, answer.value)
        if is_in_progress(call.answer):
            passing += 1
        else:
            shape = (
                client(call.service).meta.service_model.operation_model(call.operation).output_shape
            )
            differences += _differences(call, answer, shape, learnt)
        learnt.use(call.params)
    return Comparison(
        compared=len(_without_polling(calls)) - passing,
        passing=passing,
        differences=tuple(differences),
    )


def _clients(url: str, region: str) -> Callable[[str], Any]:
    """Return a function that makes boto3 clients, by service, for the server at a URL."""
    import boto3
    from botocore.config import Config

    keys = {name.lower(): value for name, value in variables(url).items() if "_KEY" in name}
    session = boto3.Session(region_name=region, **keys)
    return cache(
        lambda service: session.client(
            service, endpoint_url=url, config=Config(retries={"max_attempts": 0})
        )
    )


def _existing_buckets(calls: Sequence[Call]) -> list[str]:
    """Return the S3 buckets that a recording uses and does not create before."""
    created: set[str] = set()
    used: dict[str, None] = {}
    for call in calls:
        if call.service != "s3" or "Bucket" not in call.params:
            continue
        name = str(call.params["Bucket"])
        if call.operation == "CreateBucket" and name not in used:
            created.add(name)
        elif name not in created:
            used[name] = None
    return list(used)


def _location(region: str) -> dict[str, Any]:
    """Return the parameter of CreateBucket that names a region, where one is needed."""
    return (
        {}
        if region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )


class Replacements:
    """The texts of the recording that stand for other ones now, and those that were used."""

    def __init__(self) -> None:
        self._here: dict[str, str] = {}
        self._used: set[str] = set()

    def add(self, recorded: Any, answered: Any) -> None:
        """Note which recorded ids, in a response, became which new ones in the replay.

        `recorded` and `answered` are the two responses.
        """
        if isinstance(recorded, Mapping) and isinstance(answered, Mapping):
            for name in recorded.keys() & answered.keys():
                self.add(recorded[name], answered[name])
        elif isinstance(recorded, list) and isinstance(answered, list):
            for first, second in zip(recorded, answered, strict=False):
                self.add(first, second)
        elif isinstance(recorded, str) and isinstance(answered, str):
            if WORD.fullmatch(recorded) or recorded == STACK:
                self._here[recorded] = answered
                self._here.setdefault(f"{recorded}-name", answered.rpartition("/")[2])
            ids, ours = UUID.findall(recorded), UUID.findall(answered)
            if len(ids) == len(ours):
                self._here.update(zip(ids, ours, strict=True))

    def use(self, params: Any) -> None:
        """Note every text in a recorded request's parameters as used by the caller."""
        self._used.update(_texts(params))

    def is_used(self, text: str) -> bool:
        """Return whether a text in a response had been used by the caller before."""
        return text in self._used and not WORD.fullmatch(text)

    def translated(self, value: Any) -> Any:
        """Return a recorded value with recorded ids replaced by those of the replay."""
        if isinstance(value, Mapping):
            return {name: self.translated(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.translated(member) for member in value]
        if not isinstance(value, str):
            return value
        text = self._here.get(value) or UUID.sub(lambda hit: self._here.get(hit[0], hit[0]), value)
        return text.replace(STACK, self._here.get(STACK, STACK))


def is_in_progress(answer: Any) -> bool:
    """Return whether a response says that something is still in progress (Creating ...)."""
    if isinstance(answer, Mapping):
        return any(
            member.lower().endswith(_ON_ITS_WAY)
            if isinstance(member, str) and name.endswith(_STATES)
            else is_in_progress(member)
            for name, member in answer.items()
        )
    return isinstance(answer, list) and any(map(is_in_progress, answer))


def _without_polling(calls: Sequence[Call]) -> tuple[Call, ...]:
    """Return the recorded calls without repeated polling.

    Of equal reads between two changes that show something in progress, only the last one is left.
    """
    later: set[tuple[str, str, bytes]] = set()
    significant: list[Call] = []
    for call in reversed(calls):
        if is_mutating(call.operation):
            later.clear()
        elif (
            key := (call.service, call.operation, msgspec.json.encode(call.params, order="sorted"))
        ) in later and is_in_progress(call.answer):
            continue
        else:
            later.add(key)
        significant.append(call)
    return tuple(reversed(significant))


def _settled_answer(client: Any, call: Call, params: dict[str, Any]) -> _Answer:
    """Send a recorded call with `params`, and return the response.

    A read is repeated until what the recording shows as finished is finished here, too, or for two
    minutes.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        answer = _answer(client, call.operation, plain(params))
        unsettled = is_in_progress(answer.value) and not is_in_progress(call.answer)
        if not unsettled or is_mutating(call.operation) or time.monotonic() > end:
            return answer
        time.sleep(_PAUSE)


def _answer(client: Any, operation: str, params: dict[str, Any]) -> _Answer:
    """Call an operation through a boto3 client, and return its response or its error."""
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        value = getattr(client, xform_name(operation))(**params)
    except ClientError as error:
        return _Answer(
            error.response["ResponseMetadata"]["HTTPStatusCode"],
            str(error.response["Error"]["Code"]),
            {},
        )
    except BotoCoreError as error:
        return _Answer(0, type(error).__name__, {})
    status = value.pop("ResponseMetadata")["HTTPStatusCode"]
    for member in value.values():
        if hasattr(member, "iter_chunks"):  # a body: its connection is wanted again
            member.read()
    return _Answer(status, None, value)


def _differences(
    call: Call, answer: _Answer, shape: Any, learnt: Replacements
) -> Iterator[Difference]:
    """Yield the differences between a recorded response and the one of the replay.

    `shape` is botocore's shape of the response. `learnt` knows which recorded ids became which ids
    of the replay.
    """
    if call.error != answer.error:
        places = [("error", call.error or "an answer", answer.error or "an answer")]
    elif call.status != answer.status:
        places = [("status", str(call.status), str(answer.status))]
    else:
        places = list(
            dict.fromkeys(_value_differences(call.answer, answer.value, shape, "", learnt))
        )
    for where, recorded, now in places:
        yield Difference(
            call=call.number,
            operation=f"{call.service}:{call.operation}",
            where=where,
            recorded=recorded,
            here=now,
        )


def _value_differences(
    recorded: Any, answered: Any, shape: Any, where: str, learnt: Replacements | None
) -> Iterator[tuple[str, str, str]]:
    """Yield where two values of responses differ: the path, and both values.

    Args:
        recorded: The value in the recording.
        answered: The value in the replay.
        shape: botocore's shape of it, if known.
        where: The path to it within the response.
        learnt: Which recorded ids became which ids of the replay; None: only the names and kinds of
            values are compared.
    """
    if (kinds := (kind(recorded), kind(answered)))[0] != kinds[1]:
        yield where, *kinds
    elif kinds[0] == "object":
        yield from _object_differences(recorded, answered, shape, where, learnt)
    elif kinds[0] == "list":
        yield from _list_differences(recorded, answered, shape, where, learnt)
    elif (
        learnt is not None
        and _is_stable(recorded, shape, learnt)
        and (expected := learnt.translated(recorded)) != answered
    ):
        yield where, str(expected), str(answered)


def _is_stable(recorded: Any, shape: Any, learnt: Replacements) -> bool:
    """Return whether a recorded value must be the same in every replay.

    These are booleans, values of an enum, and texts that the caller has used, as `learnt` knows.
    `shape` is botocore's shape of the value.
    """
    is_text = isinstance(recorded, str)
    return isinstance(recorded, bool) or (
        is_text and (recorded in getattr(shape, "enum", ()) or learnt.is_used(recorded))
    )


def _object_differences(
    recorded: Any, answered: Any, shape: Any, where: str, learnt: Replacements | None
) -> Iterator[tuple[str, str, str]]:
    """Yield where two JSON objects of responses differ: the path, and both values.

    `where` is the path to the objects, and `shape` botocore's shape of them. `learnt` knows which
    recorded ids became which ids of the replay; None: only names and kinds of values are compared.
    """
    if getattr(shape, "type_name", "") == "map":
        for first, second in zip(recorded.values(), answered.values(), strict=False):
            yield from _value_differences(first, second, shape.value, f"{where}{{}}", learnt)
        return
    members = getattr(shape, "members", {})
    for name in [*recorded, *(name for name in answered if name not in recorded)]:
        place = f"{where}.{name}" if where else name
        if name not in answered or name not in recorded:
            yield (
                place,
                kind(recorded[name]) if name in recorded else "absent",
                kind(answered[name]) if name in answered else "absent",
            )
        else:
            yield from _value_differences(
                recorded[name], answered[name], members.get(name), place, learnt
            )


def _list_differences(
    recorded: list[Any], answered: list[Any], shape: Any, where: str, learnt: Replacements | None
) -> Iterator[tuple[str, str, str]]:
    """Yield where two lists of responses differ: the path, and both values.

    `where` is the path to the lists, and `shape` botocore's shape of them. `learnt` knows which
    recorded ids became which ids of the replay. Lists of equal length are compared item by item. Of
    others only the first items are, by the names and kinds of their values: an account's list may
    hold things that are not in the recording.
    """
    if len(recorded) == len(answered):
        for first, second in zip(recorded, answered, strict=True):
            yield from _value_differences(
                first, second, getattr(shape, "member", None), f"{where}[]", learnt
            )
    elif recorded and answered:
        yield from _value_differences(recorded[0], answered[0], None, f"{where}[]", None)
    else:
        yield where, f"{len(recorded)} items", f"{len(answered)} items"


def kind(value: Any) -> str:
    """Return the kind of a response's value (object, text, number, time ...), for comparing."""
    if isinstance(value, Mapping):
        return {
            "$time": "time",
            "$stream": "body",
            "$size": "bytes",
            "$bytes": "bytes",
            "$text": "bytes",
        }.get(next(iter(value), ""), "object")
    if isinstance(value, bool) or value is None:
        return "truth" if isinstance(value, bool) else "null"
    if isinstance(value, int | float):
        return "number"
    kinds = ((str, "text"), (datetime, "time"), (bytes, "bytes"), (list, "list"))
    return next((name for type_, name in kinds if isinstance(value, type_)), "body")


def _texts(value: Any) -> Iterator[str]:
    """Yield every string within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(member)
