"""YAML as trees with lines."""

import json

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from isthmus.project.reading import yaml

TEXT = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12
)  # JSON's surrogate pairs are not YAML
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, JSON, min_size=1, max_size=4))
def test_json_reads_as_itself(value):
    node, problems = yaml.read(json.dumps(value), "x.yaml")
    assert problems == ()
    assert yaml.plain(node) == value


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=5),
        st.integers() | st.lists(st.integers(), max_size=3),
        min_size=1,
    )
)
def test_every_key_knows_its_line(value):
    text = "# a comment\n" + pyyaml.safe_dump(value, default_flow_style=False, sort_keys=False)
    node, _ = yaml.read(text, "x.yaml")
    lines = text.splitlines()
    assert all(lines[line - 1].startswith(f"{key}:") for key, line in node.lines.items())


@given(st.text(max_size=60))
def test_no_text_raises(text):
    node, problems = yaml.read(text, "x.yaml")
    assert node is None or problems == () or all(p.line >= 0 and p.message for p in problems)


@given(st.text("{}[]:,-&*!|>'\"#%@` \n\tab1", max_size=40))
def test_no_yaml_like_text_raises(text):
    yaml.read(text, "x.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1e-3", 0.001),
        ("1:30", "1:30"),
        ("010", 10),
        ("0o10", "0o10"),
        ("2019-11-24", "2019-11-24"),
        ("~", None),
        ("'5'", "5"),
        (".5", 0.5),
        (".inf", ".inf"),
        ("true", True),
        ("1_000", "1_000"),
    ],
)
def test_scalars_follow_the_core_schema_as_editors_do(text, value):
    node, problems = yaml.read(f"a: {text}\n", "x.yaml")
    found = yaml.plain(node)["a"]
    assert (found, type(found), problems) == (value, type(value), ())


def test_a_number_keeps_how_it_was_written():
    node, _ = yaml.read("a: 0.10\n", "x.yaml")
    assert node.entries["a"].text == "0.10"


def test_each_later_duplicate_is_told_and_the_first_stays():
    node, problems = yaml.read("a: 1\nb: 2\na: 3\na: 4\n", "x.yaml")
    assert [p.line for p in problems] == [3, 4]
    assert yaml.plain(node) == {"a": 1, "b": 2}


def test_an_anchor_cannot_unfold_into_a_bomb():
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    _, problems = yaml.read("\n".join(lines), "x.yaml")
    assert len(problems) == 40 + 2 * 39
