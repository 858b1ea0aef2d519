"""`--json` of one format: no place goes or changes its type.

What comes beside is written down by `make docs`.
"""

import json

import pytest

from isthmus.tests.cli.json_shapes import KEPT, changed, shapes, strangers


@pytest.fixture(scope="module")
def now():
    return shapes()


def test_nothing_that_a_program_reads_goes_or_changes_within_a_format(now):
    kept = json.loads(KEPT.read_text())
    broken = {command: [*changed(places, now.get(command, {}))] for command, places in kept.items()}
    assert {command: lines for command, lines in broken.items() if lines} == {}


def test_what_came_is_kept_from_now_on(now):
    assert json.loads(KEPT.read_text()) == now, "write it down: make docs"


def test_the_number_of_the_format_hides_no_field(now):
    assert [command for command, places in now.items() if "format" in places] == []


def test_a_change_of_a_shape_is_seen():
    kept = {"a": "text", "b": 'null or "x"', "c[].d": "integer"}
    assert list(changed(kept, kept | {"e": "text", "b": 'null or "x" or "y"'})) == []
    assert list(changed(kept, {"a": "null or text", "b": '"x"'})) == [
        "a: text -> null or text", 'b: null or "x" -> "x"', "c[].d: integer -> gone",
    ]  # fmt: skip


def test_a_document_beside_its_shape_is_seen():
    shape = {"a": "text", "b[].c": "integer", "d.*": "any", "e[0]": "text", "e[1]": "text"}
    assert (
        strangers({"a": None, "b": [{"c": 1}], "d": {"x": {"y": 1}}, "e": ["a", "b"]}, shape) == []
    )
    assert strangers({"a": "", "b": [{"z": 1}], "f": [], "g": {}}, shape) == ["b[].*", "*", "*"]
