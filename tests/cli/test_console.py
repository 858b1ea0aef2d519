"""How a command talks: progress on a terminal only, Ctrl-C, a closed pipe, the system's own errors,
columns.
"""

import errno

import click
import pytest

from isthmus.cli.console import console
from isthmus.cli.console.console import Console
from isthmus.cli.console.exits import guarded
from isthmus.tests.cli.running import at_terminal, isthmus, plain, start

pytestmark = pytest.mark.slow


def test_long_work_shows_where_it_is_on_a_terminal_and_leaves_only_its_result(shop):
    _, seen = at_terminal(shop, "ingest")
    assert "\rimpression  420 of 420  " in seen
    assert plain(seen)[0].startswith("impression   420 read")
    assert "\rmaterialize item_history  0 of 1" in at_terminal(shop, "materialize")[1]


def test_nothing_but_the_result_is_written_to_a_file(shop):
    assert isthmus(shop, "ingest").err == ""


def test_work_that_has_begun_and_whose_size_nobody_knows_is_under_way(capsys, monkeypatch):
    monkeypatch.setattr(console, "QUIET", 0.0)
    talking = Console()
    for done, total in ((0, None), (3, None), (0, 4)):
        talking.progress("replay", done, total)
    assert capsys.readouterr().err.splitlines() == [
        "replay  under way",
        "replay  3",
        "replay  0 of 4",
    ]


def said(capsys, raises, **settings):
    def act():
        raise raises

    code = guarded(act, lambda: Console(**settings))
    out, err = capsys.readouterr()
    return code, out, err


def test_ctrl_c_says_how_to_go_on(capsys):
    code, out, err = said(capsys, KeyboardInterrupt())
    assert (code, out) == (130, "")
    assert err == "\nstopped.\nNothing is half-done: run the same command again to go on.\n"


def test_ctrl_c_keeps_the_note_that_the_interrupted_work_left(capsys):
    """click raises its own Abort from the KeyboardInterrupt."""
    interrupt = KeyboardInterrupt()
    interrupt.add_note("run r1 goes on. Look again: isthmus runs show r1")
    abort = click.Abort()
    abort.__cause__ = interrupt
    assert (
        said(capsys, abort)[2] == "\nstopped.\nrun r1 goes on. Look again: isthmus runs show r1\n"
    )


def test_ctrl_c_in_the_middle_of_an_import_is_ctrl_c(capsys):
    """Python 3.11 makes a RuntimeError of what a descriptor's __set_name__ raises."""
    error = RuntimeError(
        "Error calling __set_name__ on 'cached_property' instance 'epsneg' in 'finfo'"
    )
    error.__cause__ = KeyboardInterrupt()
    assert said(capsys, error)[0] == 130


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_that_no_room_translated_is_said_plainly(capsys, number):
    code, out, err = said(capsys, OSError(number, "No space left on device", "/data/x"))
    assert (code, out) == (1, "")
    assert (
        err == "error  the disk is full (/data/x)\n       free some space and run the same command "
        "again: it goes on where it was\n"
    )
    assert (
        '"kind": "LimitExceeded"'
        in said(capsys, OSError(number, "No space left on device"), as_json=True)[1]
    )


def test_another_error_of_the_system_is_told_in_its_words(capsys):
    assert (
        said(capsys, OSError(errno.EIO, "Input/output error", "/data/x"))[2]
        == "error  Input/output error (/data/x)\n"
    )


def test_a_folder_that_may_not_be_written_is_said_with_a_remedy(capsys):
    first, second = said(capsys, PermissionError(errno.EACCES, "Permission denied", "/data/x"))[
        2
    ].splitlines()
    assert first == "error  Permission denied (/data/x)"
    assert second.strip().startswith("make the folder writable for you")


def test_a_reader_that_has_enough_is_no_error(served):
    child = start(served, "schema")
    child.stdout.close()
    assert child.wait(timeout=120) == 0
    assert child.stderr.read() == ""
    child.stderr.close()


def test_a_query_that_ctrl_c_stopped_is_a_stop_and_not_a_mistake(capsys):
    def query():
        raise RuntimeError("Query interrupted")  # DuckDB 2.0's word for SIGINT during a query

    assert guarded(query, Console) == 130
    assert "stopped." in capsys.readouterr().err
