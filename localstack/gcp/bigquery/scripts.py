"""Several statements in one job: run one after the other, each as a child job. Variables and control flow are refused by their name."""

from __future__ import annotations

import re

from .analysis import rejected
from .errors import not_run

_COMMENT = re.compile(r"--[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_CONTROL = re.compile(r"(DECLARE|SET|IF|LOOP|WHILE|FOR|BEGIN|COMMIT|ROLLBACK|CASE|CALL|EXECUTE|REPEAT|RAISE|RETURN)\b", re.IGNORECASE)


def statements(sql: str) -> list[str]:
    """Each statement, behind as much white space as stands before it: so an error's place is the script's. invalidQuery, notImplemented."""
    if ";" not in sql.rstrip("; \t\r\n"):
        return [sql]
    from ..googlesql.service import SqlRejected

    data, place, parts = sql.encode(), 0, list[str]()
    while _words(rest := data[place:].decode()):
        if match := _CONTROL.match(_words(rest)):
            raise not_run(f"the script statement {match[1].upper()}")
        try:
            end = _end(sql, place)
        except SqlRejected as error:
            raise rejected(error.message) from error
        before = re.sub(r"[^\n]", " ", data[:place].decode())
        parts.append(before + data[place:end].decode())
        place = end
    return parts


def _words(text: str) -> str:
    return _COMMENT.sub("", text).strip()


def _end(sql: str, place: int) -> int:
    """Where the statement ends that begins at a byte."""
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    from ..googlesql.analyzer import analyzer_options
    from ..googlesql.service import service

    request = messages.ExtractTableNamesFromNextStatementRequest(options=analyzer_options({}).language_options)
    request.parse_resume_location.input = sql
    request.parse_resume_location.byte_position = place
    answer = service().call("ExtractTableNamesFromNextStatement", request)
    end: int = messages.ExtractTableNamesFromNextStatementResponse.FromString(answer).resume_byte_position
    return end
