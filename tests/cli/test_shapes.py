"""`--json` of format 1: no place goes or changes its type.

What comes beside is written down with `python -m isthmus.tests.cli.test_shapes`.
"""

import json
from pathlib import Path

import pytest

from isthmus.cli.console import FORMAT
from isthmus.tests.cli.json_shapes import shapes, strangers

KEPT = Path(__file__).with_name("json_shapes.json")


def kinds(text):
    """The types of a place, and the words that it may say."""
    parts = text.split(" or ")
    return {part for part in parts if not part.startswith('"')}, {part for part in parts if part.startswith('"')}


def changed(kept, now):
    """Places that went, and those of another type. Words may be added."""
    for place, text in kept.items():
        types, words = kinds(text)
        if place not in now or kinds(now[place])[0] != types or not words <= kinds(now[place])[1]:
            yield f"{place}: {text} -> {now.get(place, 'gone')}"


@pytest.fixture(scope="module")
def now():
    return shapes()


def test_nothing_that_a_program_reads_goes_or_changes_within_a_format(now):
    assert FORMAT == 1, "keep the shapes of the new format in a file of their own"
    kept = json.loads(KEPT.read_text())
    broken = {command: [*changed(places, now.get(command, {}))] for command, places in kept.items()}
    assert {command: lines for command, lines in broken.items() if lines} == {}


def test_what_came_is_kept_from_now_on(now):
    assert json.loads(KEPT.read_text()) == now, "write it down: python -m isthmus.tests.cli.test_shapes"


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
    assert strangers({"a": None, "b": [{"c": 1}], "d": {"x": {"y": 1}}, "e": ["a", "b"]}, shape) == []
    assert strangers({"a": "", "b": [{"z": 1}], "f": [], "g": {}}, shape) == ["b[].*", "*", "*"]


if __name__ == "__main__":
    KEPT.write_text(json.dumps(shapes(), indent=0, sort_keys=True) + "\n")
