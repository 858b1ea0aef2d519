"""Data capture: requests and answers as JSON lines in S3, in SageMaker's layout.

`<DestinationS3Uri>/<endpoint>/<variant>/yyyy/mm/dd/hh/<mm-ss-mmm>-<uuid>.jsonl`. Without a
CaptureContentTypeHeader everything is base64, as the API reference says of it.
"""

from __future__ import annotations

import base64
import random
import sys
import threading
import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from ......serving.connections import Answer
from .....core.home.declarations import not_kept
from .....core.registry import Context
from ...jobs.s3 import split
from .. import timing
from ..records import Endpoint, Target

_FULL = 1000  # records of one variant that are written without waiting for the clock
_draw = random.random
_encode = msgspec.json.Encoder().encode


def capture(
    ctx: Context,
    endpoint: Endpoint,
    target: Target,
    *,
    params: Mapping[str, Any],
    body: bytes,
    answer: Answer,
) -> None:
    """Record an invocation's input and output for data capture, if it is sampled.

    `target` is the variant that answered, `params` are the request's parameters, and `body` is its
    input.
    """
    config = target.fleet.capture
    if (
        not config
        or not config.get("EnableCapture")
        or _draw() * 100 >= config["InitialSamplingPercentage"]
    ):
        return
    called_at = ctx.clock.now()
    line = record(
        config,
        request=body,
        request_type=params.get("ContentType") or "application/octet-stream",
        response=answer.body,
        response_type=answer.headers.get("content-type", "application/octet-stream"),
        event_id=str(uuid.uuid4()),
        inference_id=params.get("InferenceId"),
        attributes=params.get("CustomAttributes"),
        called_at=called_at,
    )
    ctx.store(Buffer).add(ctx, config, (endpoint.name, target.variant.name), called_at, line)


def record(
    config: Mapping[str, Any],
    *,
    request: bytes,
    request_type: str,
    response: bytes,
    response_type: str,
    event_id: str,
    inference_id: str | None,
    attributes: str | None,
    called_at: datetime,
) -> dict[str, Any]:
    """Return the JSON record of data capture for one invocation.

    Args:
        config: The endpoint's DataCaptureConfig.
        request: The input.
        request_type: Its content type.
        response: The output.
        response_type: Its content type.
        event_id: The record's id.
        inference_id: The request's InferenceId, if it has one.
        attributes: Its CustomAttributes, if it has some.
        called_at: When the call came.
    """
    modes = {option["CaptureMode"] for option in config.get("CaptureOptions") or ()}
    data: dict[str, Any] = {}
    if modes & {"Input", "InputAndOutput"}:
        data["endpointInput"] = _part(config, "INPUT", request, request_type)
    if modes & {"Output", "InputAndOutput"}:
        data["endpointOutput"] = _part(config, "OUTPUT", response, response_type)
    event: dict[str, Any] = {"eventId": event_id}
    if inference_id:
        event["inferenceId"] = inference_id
    if attributes:
        event["customAttributes"] = [attributes]
    event["inferenceTime"] = called_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"captureData": data, "eventMetadata": event, "eventVersion": "0"}


def key(
    config: Mapping[str, Any], endpoint: str, variant: str, called_at: datetime, unique: str
) -> tuple[str, str]:
    """Return the S3 bucket and key of a data capture file, by its first record's time.

    `config` is the endpoint's DataCaptureConfig; `unique` ends the file's name.
    """
    bucket, prefix = split(config["DestinationS3Uri"])
    folder = "/".join(
        part
        for part in (prefix.strip("/"), endpoint, variant, called_at.strftime("%Y/%m/%d/%H"))
        if part
    )
    return bucket, f"{folder}/{called_at:%M-%S}-{called_at.microsecond // 1000:03d}-{unique}.jsonl"


@not_kept
class Buffer:
    """The lines that wait to be written, by endpoint, variant and hour."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, str], list[tuple[datetime, bytes]]] = defaultdict(list)
        self._configs: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self._lock = threading.Lock()
        self._ticking = False

    def add(
        self,
        ctx: Context,
        config: Mapping[str, Any],
        owner: tuple[str, str],
        called_at: datetime,
        line: dict[str, Any],
    ) -> None:
        """Add the data capture record `line` to the buffer.

        `config` is the endpoint's DataCaptureConfig; `owner` is the endpoint and the variant.
        """
        place = (*owner, called_at.strftime("%Y%m%d%H"))
        with self._lock:
            self._configs[place] = config
            self._waiting[place].append((called_at, _encode(line)))
            full = len(self._waiting[place]) >= _FULL
            begin, self._ticking = not self._ticking, True
        if begin:
            later = ctx.without_request()
            ctx.clock.call_every(timing.FLUSH, lambda: self.flush(later))
        if full:
            ctx.spawn(self.flush, ctx.without_request())

    def flush(self, ctx: Context) -> None:
        """Write the buffered data capture records to S3.

        Those that cannot be written (no such bucket) are dropped with a line to stderr, as
        SageMaker drops them.
        """
        with self._lock:
            taken, self._waiting = self._waiting, defaultdict(list)
        for place, rows in taken.items():
            endpoint, variant, _ = place
            bucket, name = key(
                self._configs[place], endpoint, variant, rows[0][0], str(uuid.uuid4())
            )
            body = b"".join(line + b"\n" for _, line in rows)
            try:
                ctx.client("s3").put_object(
                    Bucket=bucket, Key=name, Body=body, ContentType="application/json"
                )
            except (ClientError, BotoCoreError) as error:
                sys.stderr.write(
                    f"data capture of {endpoint}/{variant}: {len(rows)} records lost: {error}\n"
                )


def _part(config: Mapping[str, Any], mode: str, data: bytes, content_type: str) -> dict[str, str]:
    """Return the captured input or output of an invocation, as its record has it.

    `mode` is INPUT or OUTPUT.
    """
    encoding = _encoding(config, content_type)
    text = (
        base64.b64encode(data).decode() if encoding == "BASE64" else data.decode("utf-8", "replace")
    )
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def _encoding(config: Mapping[str, Any], content_type: str) -> str:
    """Return the data capture encoding of a content type: CSV, JSON or BASE64."""
    listed = config.get("CaptureContentTypeHeader") or {}
    plain = content_type.partition(";")[0].strip().lower()
    for encoding, member in (("CSV", "CsvContentTypes"), ("JSON", "JsonContentTypes")):
        if plain in (item.lower() for item in listed.get(member) or ()):
            return encoding
    return "BASE64"
