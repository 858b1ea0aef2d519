"""Text of somebody else's on its way to a terminal, a pipe and a program: shown, and not done."""

import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.cli.console import console as talking
from isthmus.core.escapes import escaped, escaped_line, escaping
from isthmus.tests.cli.running import at_terminal, create, isthmus, made

CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"  # OSC 52: what a terminal puts into the clipboard
HOSTILE = f"{CLIPBOARD}\x9b31m\x7f\u202eback\u2066in\rover\x08\x00" + "\u2028"
HARMLESS = "Ж 日本 שלום می‌خواهم 👩‍👩‍👧 é"
VALUE = f"{CLIPBOARD}\u202e{HARMLESS}\nerror  two\t"
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[K|\x1b\[2J\x1b\[H|\r")  # colours, the bar, a picture
ACTED_UPON = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(folder, *arguments, ok=True):
    """What a verb writes to a terminal and to a pipe: neither acts upon anything but what draws the
    terminal.
    """
    _, terminal = at_terminal(folder, *arguments, ok=ok, columns=500)
    outcome = isthmus(folder, *arguments, ok=ok)
    for text in (OURS.sub("", terminal), outcome.out, outcome.err):
        assert not ACTED_UPON.search(text), repr(text)
    return terminal, outcome.out + outcome.err


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Events whose ids are hostile, one of them stored; the others wait or are refused in
    quarantine.
    """
    folder = made(tmp_path_factory.mktemp("hostile") / "shop")
    moment = "2026-01-01T10:00:00Z"
    stored = {"event_id": VALUE, "event_timestamp": moment, "item_id": 424242, "position": 1}
    (folder / "impressions.jsonl").write_text(json.dumps(stored) + "\n")
    isthmus(folder, "ingest", "impressions.jsonl", "--event", "impression", "--backfill")
    waiting = {"event_id": HOSTILE, "event_timestamp": moment, "impression_id": "none"}
    lines = [
        *map(json.dumps, (waiting, waiting | {"event_id": "wrong", HOSTILE: 1})),
        f"{HOSTILE} is not JSON",
    ]
    (folder / "clicks.jsonl").write_text("\n".join(lines) + "\n")
    isthmus(folder, "ingest", "clicks.jsonl", "--event", "click", "--max-bad", "1", "--backfill")
    return folder


def test_an_events_value_is_one_line_of_a_table_and_exact_as_json(shop):
    sql = "SELECT event_id FROM events_impression WHERE item_id = 424242"
    for text in shown(shop, "query", sql):
        assert rf"\u001b]52;c;cm0gLXJmIH4=\u0007\u202e{HARMLESS}\nerror  two\t" in text
    outcome = isthmus(shop, "query", sql, "--json")
    assert not ACTED_UPON.search(outcome.out)
    assert outcome.json == [{"event_id": VALUE}]


def test_what_is_in_quarantine_is_shown_and_exact_as_json(shop):
    for text in shown(shop, "events", "quarantine", "click"):
        assert r"\u001b]52;c" in text
    outcome = isthmus(shop, "events", "quarantine", "click", "--json")
    assert not ACTED_UPON.search(outcome.out)
    rows = {row["attribute"]: row for row in outcome.json["rows"]}
    assert rows["impression_id"]["event_id"] == HOSTILE
    assert rows[HOSTILE]["event_id"] == "wrong"
    assert rows["line"]["payload"].startswith(CLIPBOARD)


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", f"SELECT '{HOSTILE}' FROM nowhere{CLIPBOARD}"),
        ("events", "describe", HOSTILE.replace("\x00", "")),
        ("ingest", f"{CLIPBOARD}.jsonl", "--event", "click"),
        ("runs", "show", CLIPBOARD),
        (CLIPBOARD,),
        ("query", f"--{CLIPBOARD}"),
        ("validate", "--target", CLIPBOARD),
        ("events", "diff", CLIPBOARD),
    ],
)
def test_errors_show_what_they_repeat(shop, arguments):
    shown(shop, *arguments, ok=False)


def test_file_names_that_are_no_text_are_shown(tmp_path):
    new = create(tmp_path / "new")
    (new / "features" / f"{CLIPBOARD}\udcff.sql").write_text("SELECT 1")
    (new / "experiments").mkdir()
    (new / "experiments" / f"{CLIPBOARD}\udcff.yaml").write_text(f'"{HOSTILE}": [')
    for text in shown(new, "validate", ok=False):
        assert r"\u001b]52" in text
        assert r"\udcff" in text
    outcome = isthmus(new, "validate", "--json", ok=False)
    assert any(
        CLIPBOARD in problem["file"] for problem in json.loads(outcome.out)["error"]["problems"]
    )


def test_progress_warnings_and_whatever_else_is_printed_are_shown(monkeypatch, capsys):
    monkeypatch.setattr(talking, "QUIET", 0)
    monkeypatch.setattr(sys, "stderr", escaping(sys.stderr))
    console = talking.Console()
    console.progress(HOSTILE, 1, 2)
    console.warn(HOSTILE)
    print(HOSTILE, file=sys.stderr)
    words = capsys.readouterr().err
    assert words.count(r"\u001b]52;c") == 3
    assert not ACTED_UPON.search(words)


@given(st.text(st.characters(), max_size=40))
def test_escaped_text_has_nothing_to_act_upon_and_json_of_it_is_the_same_value(text):
    assert not ACTED_UPON.search(escaped(text).replace("\r\n", ""))
    line = escaped_line(text)
    assert not set("\n\t") & set(line)
    assert not ACTED_UPON.search(line)
    assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == text
    assert escaped(escaped(text)) == escaped(text)
