"""The command line itself: where the project is, which target, what help and completion say, and
who is asked.
"""

import shlex
from contextlib import chdir

import click
import pytest

from isthmus.cli.console.console import Console, project_file
from isthmus.cli.console.examples import EXAMPLES
from isthmus.cli.main import COMMANDS, GROUPS, main
from isthmus.core.user_state import make
from isthmus.errors import Refused
from isthmus.target import Profile
from isthmus.tests.cli.running import isthmus


def leaves(path, command):
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from leaves(f"{path} {name}", child)


COMMAND_OF = dict(
    leaf for name in COMMANDS for leaf in leaves(name, main.get_command(click.Context(main), name))
)


def test_every_command_stands_under_one_heading():
    assert sum(map(len, GROUPS.values())) == len(COMMANDS)


def test_every_command_has_an_example():
    assert EXAMPLES.keys() == COMMAND_OF.keys()


def test_an_example_is_a_command_line_that_parses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clicks.jsonl").touch()
    for name, line in EXAMPLES.items():
        path, words = name.split(), shlex.split(line.partition(" >> ")[0])
        assert words[: len(path)] == path
        COMMAND_OF[name].make_context(
            name, words[len(path) :], parent=click.Context(main, info_name="isthmus")
        )


def test_help_shows_the_example():
    assert "Example:\n  isthmus traffic home challenger=20" in main_help("traffic")


@pytest.mark.parametrize("words", [["--help"], ["aws", "--help"], ["gcp", "--help"]])
def test_help_of_stack_run_may_stand_behind_the_cloud(words, capsys):
    with pytest.raises(click.exceptions.Exit):
        COMMAND_OF["stack run"].make_context("run", words)
    assert "-- COMMAND..." in capsys.readouterr().out


def main_help(name):
    root = click.Context(main, info_name="isthmus")
    return COMMAND_OF[name].get_help(click.Context(COMMAND_OF[name], info_name=name, parent=root))


def test_a_project_is_looked_for_in_the_folders_above(tmp_path, monkeypatch):
    below = tmp_path / "features" / "old"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project_file("project.yaml", above=True) == "project.yaml"
    (tmp_path / "project.yaml").touch()
    assert project_file("project.yaml", above=True) == str(tmp_path / "project.yaml")
    assert project_file("project.yaml", above=False) == "project.yaml"
    assert project_file(str(tmp_path), above=True) == str(tmp_path / "project.yaml")
    (below / "project.yaml").touch()
    assert project_file("project.yaml", above=True) == "project.yaml"


def test_a_flag_goes_before_the_environment_and_that_before_the_working_folder(
    tmp_path, monkeypatch
):
    for name in ("here", "there"):
        isthmus(tmp_path, "init", name, "--example", "starter")
    monkeypatch.setenv("ISTHMUS_PROJECT", str(tmp_path / "there"))
    (tmp_path / "here/project.yaml").write_text("nonsense: 1\n")
    assert isthmus(tmp_path / "here", "events", "list").code == 0
    assert (
        isthmus(tmp_path / "here", "events", "list", "--project", "project.yaml", ok=False).code
        == 1
    )
    monkeypatch.delenv("ISTHMUS_PROJECT")
    assert isthmus(tmp_path / "here", "-C", "../there", "events", "list").code == 0
    monkeypatch.setenv("ISTHMUS_TARGET", "nowhere")
    assert "there is no target nowhere" in isthmus(tmp_path / "there", "status", ok=False).err
    assert isthmus(tmp_path / "there", "status", "--target", "local").out.startswith("local")


def completed(folder, line):
    """What bash is offered after `line`, whose last word may be begun."""
    words = shlex.split(line)
    at = len(words) if line.endswith(" ") else len(words) - 1
    from click.shell_completion import ShellComplete

    begun = words[at] if at < len(words) else ""
    with chdir(folder):
        return [
            item.value
            for item in ShellComplete(main, {}, "isthmus", "").get_completions(words[1:at], begun)
        ]


def test_names_of_the_project_are_completed(tmp_path):
    isthmus(tmp_path, "init", "shop", "--example", "shop")
    shop = tmp_path / "shop"
    (make(shop / ".isthmus") / "runs/r7").mkdir(parents=True)
    (shop / ".isthmus/runs/r7/record.json").touch()
    assert completed(shop, "isthmus tra") == ["train", "traffic"]
    assert completed(shop, "isthmus deploy ") == ["home"]
    assert completed(shop, "isthmus plan --target ") == ["local", "sagemaker", "vertex"]
    assert completed(shop, "isthmus train models/l") == ["models/likes.yaml"]
    assert completed(shop, "isthmus runs show ") == ["r7"]
    assert completed(shop, "isthmus experiment start s") == ["same"]
    assert completed(tmp_path, "isthmus -C shop events show ") == [
        "impression",
        "click",
        "purchase",
        "stay",
    ]
    assert completed(tmp_path, "isthmus deploy ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_its_script(tmp_path, shell):
    assert "_ISTHMUS_COMPLETE" in isthmus(tmp_path, "completion", shell).out


class Cloud:
    """What `ask` looks at of a project: its target."""

    def __init__(self, *, remote=True, **options):
        self.name, self.target, self.adapter, self.remote = "prod", self, self, remote
        self.profile = Profile(name="prod", adapter="cloud", project="shop", options=options)


def test_nothing_changes_on_a_cloud_without_a_yes():
    never = pytest.fail
    with pytest.raises(Refused) as refusal:
        Console().ask(Cloud(), "deploy?", never, yes=False)
    assert refusal.value.remedy == "pass --yes"
    with pytest.raises(Refused):
        Console(as_json=True).ask(Cloud(), "deploy?", never, yes=False)
    Console().ask(Cloud(), "deploy?", never, yes=True)
    Console(dry_run=True).ask(Cloud(), "deploy?", never, yes=False)
    Console().ask(Cloud(endpoint_url="http://127.0.0.1:4566"), "deploy?", never, yes=False)
    Console().ask(Cloud(remote=False), "deploy?", never, yes=False)
