"""What callers can bring about fills no log: a traceback once a cause, then one line a minute with
what was not told.
"""

import pytest

from isthmus.endpoints.http import error_log as mistakes
from isthmus_stack.core import error_log as of_stacks


@pytest.fixture(params=[mistakes, of_stacks], ids=["endpoints", "stacks"])
def told(request, monkeypatch):
    clock = [1_000.0]
    monkeypatch.setattr(request.param.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(request.param, "_told", {})
    return request.param, clock


def fail(module, text):
    try:
        int(text)
    except ValueError as error:
        module.tell("a request failed", error)


def test_a_cause_is_told_in_full_once_and_then_by_a_line_a_minute_with_the_count(told, capsys):
    module, clock = told
    for number in range(140):
        fail(module, f"caller {number}")
    err = capsys.readouterr().err
    assert err.count("Traceback") == 1
    assert len(err.splitlines()) < 12
    clock[0] += 61
    fail(module, "later\n\x1b]52;c;x\x07")
    (line,) = capsys.readouterr().err.splitlines()
    assert "139 more like it were not told" in line
    assert "\x1b" not in line


def test_a_callers_own_mistake_is_a_line_without_a_traceback(told, capsys):
    module, clock = told
    for number in range(50):
        module.tell_line("a request cannot be read", f"ValueError: {number}")
    assert capsys.readouterr().err.splitlines() == ["a request cannot be read: ValueError: 0"]
    clock[0] += 61
    module.tell_line("a request cannot be read", "ValueError: 51")
    assert "49 more" in capsys.readouterr().err


def test_another_cause_is_told_at_once(told, capsys):
    module, _ = told
    fail(module, "one")
    try:
        [].index(1)
    except ValueError as error:
        module.tell("a search failed", error)
    assert capsys.readouterr().err.count("Traceback") == 2
