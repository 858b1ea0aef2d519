"""Every command has a verb of its name: `isthmus runs show` is `im.runs.show`."""

import inspect
import sys
from operator import attrgetter
from pathlib import Path
from typing import get_origin

import pytest

import isthmus
from isthmus.cli.console.examples import EXAMPLES
from isthmus.tests.cli.json_shapes import alternatives, evaluate, is_struct, verb_of

PROGRAMS = {"completion", "ui"}  # for a shell and for a browser: there is nothing to return
COMMANDS = sorted(
    EXAMPLES.keys() - PROGRAMS
)  # test_command_line.py holds that every command stands there


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_a_public_verb_that_says_its_types(command):
    verb = verb_of(command)
    signature = inspect.signature(verb.__init__ if inspect.isclass(verb) else verb)
    assert signature.return_annotation is not inspect.Signature.empty
    untyped = [
        name
        for name, one in signature.parameters.items()
        if name != "self" and one.annotation is inspect.Parameter.empty
    ]
    assert untyped == []
    assert verb.__doc__


@pytest.mark.parametrize("room", ["events", "endpoints"])
def test_no_module_of_a_room_takes_the_place_of_a_verb(room):
    """Python sets a package's attribute when it loads a module of that name."""
    verbs = {command.split()[1] for command in COMMANDS if command.split()[0] == room} - {"serve"}
    folder = Path(getattr(isthmus, room).__file__).parent
    assert [
        name
        for name in sorted(verbs)
        if (folder / name).exists() or (folder / f"{name}.py").exists()
    ] == []


@pytest.mark.parametrize("room", ["events", "endpoints"])
def test_a_room_has_no_other_name(room):
    with pytest.raises(AttributeError, match=f"module 'isthmus.{room}' has no attribute 'nothing'"):
        attrgetter(f"{room}.nothing")(isthmus)


ROOMS = sorted({command.split()[0] for command in COMMANDS if " " in command})


@pytest.mark.parametrize("room", ROOMS)
def test_completion_offers_the_verbs_of_a_room_and_nothing_else(room, monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    below = [command.split()[1:] for command in COMMANDS if command.split()[0] == room]
    verbs = {words[0].replace("-", "_") for words in below} - {"serve"}  # im.Gateway
    verbs |= {"open"} if room == "dataset" else set()  # batches are for Python
    assert dir(getattr(isthmus, room)) == sorted(verbs)


# what is told by others' structs, which know no page: a port's, the description's, a stack's
ELSEWHERE = (
    "isthmus.endpoints.port",
    "isthmus.pipelines.port",
    "isthmus.project",
    "isthmus_stack",
    "isthmus.events.port",
)


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if not inspect.isclass(verb_of(command))]
)
def test_what_a_verb_returns_knows_how_a_notebook_shows_it(command):
    """A struct, or a tuple of structs that is a table."""
    verb = verb_of(command)
    for kind in alternatives(evaluate(verb.__annotations__["return"], verb.__module__)):
        plain = get_origin(kind) or kind
        assert plain is not tuple, (
            f"{command} returns a tuple: let it be reports.results.StructRows"
        )
        if is_struct(plain) and not plain.__module__.startswith(ELSEWHERE):
            assert hasattr(plain, "_repr_html_"), (
                f"{command} returns {plain.__name__}: give it reports.results.Shown"
            )
