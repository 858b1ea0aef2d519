"""`logging.getLogger("isthmus")`: names that stay, on stderr where somebody asks, as text or JSON."""

import ast
import asyncio
import json
import logging
import re
import subprocess
import sys
import warnings
from datetime import datetime

import pytest

from isthmus.core import logs, spans
from isthmus.endpoints.http.server import config
from isthmus.errors import IsthmusWarning
from isthmus.lifecycle.checks.validate import validate
from isthmus.tests.cli.running import isthmus
from isthmus.tests.test_architecture import FILES, nodes


@pytest.fixture(autouse=True)
def logger(monkeypatch):
    """The logger, as it was afterwards."""
    logger = logging.getLogger(logs.LOGGER)
    for name in (logs.FORM, logs.LEVEL):
        monkeypatch.setenv(name, "")
    yield logger
    logger.handlers[:], logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


def emitted():
    """(event, its fields) of each place in the code."""
    for path in FILES:
        for node in nodes(path) if "logs.emit(" in path.read_text() else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "logs.emit":
                names = (
                    [node.args[0]]
                    if isinstance(node.args[0], ast.Constant)
                    else [node.args[0].body, node.args[0].orelse]
                )
                for name in names:
                    yield name.value, {keyword.arg for keyword in node.keywords} - {None}


def test_every_event_of_the_table_is_logged_and_no_other_with_the_fields_that_it_says():
    assert {name for name, _ in emitted()} == logs.EVENTS.keys()
    assert [
        (name, fields)
        for name, fields in emitted()
        if not fields <= set(logs.EVENTS[name][1].split(", "))
    ] == []


def test_a_program_that_listens_hears_what_a_provider_is_asked(new, caplog):
    with caplog.at_level("DEBUG", logs.LOGGER):
        isthmus(new, "apply")
    assert {record.event for record in caplog.records} == {"call", "read"}
    call = next(record for record in caplog.records if record.event == "call")
    assert call.fields.keys() == {"operation", "resource"}
    assert (
        call.getMessage()
        == f"call  operation={call.fields['operation']}  resource={call.fields['resource']}"
    )


def test_a_command_logs_calls_with_v_reads_with_vv_and_nothing_without(new):
    assert isthmus(new, "apply", "--dry-run").err == ""
    assert re.match(r"\d\d:\d\d:\d\d call  operation=", isthmus(new, "apply", "-v").err)
    assert " read  operation=" not in isthmus(new, "plan", "-v").err
    assert " read  operation=" in isthmus(new, "plan", "-vv").err
    assert " read  operation=" in isthmus(new, "plan", "--log-level", "debug").err


def test_quiet_says_the_result_and_not_what_to_do_next(new):
    loud, quiet = isthmus(new, "plan").out, isthmus(new, "plan", "-q").out
    assert loud.removeprefix(quiet) == "next   isthmus apply\n"
    assert isthmus(new, "status", "--target", "nowhere", "-q", ok=False).err.startswith(
        "error  there is no target nowhere"
    )


def test_as_json_every_line_is_a_record_an_error_too(new, monkeypatch):
    monkeypatch.setenv(logs.FORM, "json")
    lines = [json.loads(line) for line in isthmus(new, "apply").err.splitlines()]
    assert {line["event"] for line in lines} == {"call"}
    assert datetime.fromisoformat(lines[0]["time"]).tzinfo
    (error,) = map(
        json.loads, isthmus(new, "status", "--target", "nowhere", ok=False).err.splitlines()
    )
    assert (error["level"], error["event"], error["kind"]) == ("error", "error", "NotFound")
    monkeypatch.setenv(logs.LEVEL, "chatty")
    (unheard,) = map(
        json.loads, isthmus(new, "status", "--target", "nowhere", ok=False).err.splitlines()
    )
    assert unheard["message"] == error["message"], "an error is told where the level is none"
    (usage,) = map(json.loads, isthmus(new, "trian", ok=False).err.splitlines())
    assert usage["message"] == "No such command 'trian'. Did you mean train?"


def test_a_warning_of_ours_is_told_as_errors_are(new, monkeypatch):
    warnings.simplefilter("always")  # else Python tells the second one not at all

    def warned(*arguments, **options):
        warnings.warn("run r1 is not in MLflow", IsthmusWarning, stacklevel=2)
        return validate(*arguments, **options)

    monkeypatch.setattr("isthmus.lifecycle.checks.validate.validate", warned)
    assert isthmus(new, "validate").err == "warning  run r1 is not in MLflow\n"
    monkeypatch.setenv(logs.FORM, "json")
    (record,) = map(json.loads, isthmus(new, "validate").err.splitlines())
    assert (record["level"], record["event"], record["message"]) == (
        "warning",
        "warning",
        "run r1 is not in MLflow",
    )


def test_a_server_logs_a_line_a_request_when_asked(logger, caplog, monkeypatch):
    monkeypatch.setattr(
        spans, "listening", lambda: False
    )  # another test of this process may have imported OpenTelemetry

    async def pages(scope, receive, send):
        await send({"type": "http.response.start", "status": 404, "headers": []})

    async def send(_message): ...

    assert config(pages, lifespan="off").app is pages
    with caplog.at_level("INFO", logs.LOGGER):
        asked = config(pages, lifespan="off").app(
            {"type": "http", "method": "GET", "path": "/nowhere", "headers": []}, None, send
        )
        asyncio.run(asked)
    (record,) = caplog.records
    assert {name: value for name, value in record.fields.items() if name != "ms"} == {
        "method": "GET",
        "path": "/nowhere",
        "status": 404,
    }


def test_isthmus_is_imported_without_logging():
    code = (
        "import isthmus, sys; from isthmus.core import logs; logs.emit('read', operation='get', "
        "resource='a'); print('logging' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )
