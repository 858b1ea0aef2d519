"""What a terminal shows, and that a pipe and NO_COLOR have the plain text."""

import sys

import pytest

from isthmus.cli.console.console import Console
from isthmus.cli.console.tables import grid
from isthmus.cli.console.terminal import broken
from isthmus.tests.cli.running import at_terminal, edit, isthmus, plain

RED = "\x1b[1;31m"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def test_a_table_is_as_wide_as_the_terminal(new):
    wide, narrow = (
        plain(at_terminal(new, "events", "list", columns=columns)[1]) for columns in (200, 60)
    )
    assert max(map(len, narrow)) <= 60 < max(map(len, wide))
    assert sorted(" ".join(narrow).split()) == sorted(" ".join(wide).split()), (
        "no word is lost or broken"
    )


def test_a_table_whose_words_do_not_fit_is_told_row_by_row(new):
    _, seen = at_terminal(new, "events", "list", columns=24)
    assert "event       impression" in [line.rstrip() for line in plain(seen)]


@pytest.mark.parametrize(
    "command",
    [["events", "list"], ["events", "show", "click"], ["validate"], ["plan"], ["features", "get"]],
)
def test_without_colour_a_terminal_has_the_text_of_a_pipe(new, monkeypatch, command):
    said = isthmus(new, *command, ok=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert at_terminal(new, *command, ok=False) == (said.code, said.out + said.err)


def test_a_pipe_has_no_colour(new):
    said = isthmus(new, "plan")
    assert "\x1b" not in said.out + said.err


def test_a_query_without_rows_has_its_columns_names(shop):
    assert (
        "event_id"
        in plain(at_terminal(shop, "query", "SELECT event_id FROM events_click WHERE false")[1])[0]
    )


def test_text_to_be_copied_is_as_it_is(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    Console().result(None, "\terror  a tab, and a word that is no mistake", raw=True)
    assert capsys.readouterr().out == "\terror  a tab, and a word that is no mistake\n"


@pytest.mark.parametrize("columns", ["0", "-1", "wide"])
def test_a_width_that_is_none_is_not_taken(new, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, plain(at_terminal(new, "events", "list", columns=60)[1]))) <= 60


def test_errors_and_signs_of_a_plan_have_a_colour(new):
    assert "\x1b[32m  +\x1b[0m event table" in at_terminal(new, "plan")[1]
    edit(new / "project.yaml", "owner:", "ownr:")
    code, seen = at_terminal(new, "validate", ok=False)
    assert (code, seen.startswith(f"{RED}error\x1b[0m  project.yaml:")) == (1, True)


def test_a_long_line_goes_on_below_its_last_cell():
    assert broken("  + event   click, impression, purchase   apply", 30) == [
        "  + event   click, impression,",
        "            purchase   apply",
    ]  # fmt: skip
    assert broken("next   isthmus train models/a.yaml    isthmus deploy home", 40) == [
        "next   isthmus train models/a.yaml",
        "    isthmus deploy home",
    ]
    assert broken("cost   (a machine, its price)   (another machine, its price)", 24) == [
        "cost   (a machine, its",
        "       price)",
        "       (another machine,",
        "       its price)",
    ]
    assert broken("  pages   .isthmus/reports/first.html   .isthmus/reports/second.png", 60) == [
        "  pages   .isthmus/reports/first.html",
        "      .isthmus/reports/second.png",
    ]
    assert broken("a line that fits", 16) == ["a line that fits"]
    assert broken("https://example.com/a/long/path", 10) == ["https://example.com/a/long/path"]


def test_a_table_of_a_pipe_is_aligned():
    assert (
        str(grid([("a", 1), ("bcd", 1000)], head=("name", "n")))
        == "name      n\na         1\nbcd   1,000"
    )
    assert str(grid([])) == ""
    assert str(grid([(None, True, 0.5)])) == "  yes  0.5"
