"""The page of content and profiles: its files make a project, its commands say what it shows."""

import re
from pathlib import Path

import pytest

from isthmus.project.load import load
from isthmus.tests.cli.running import isthmus
from isthmus.tests.docs.test_shown_commands import as_shown
from isthmus.tests.example import FOLDER

PAGE = (Path(__file__).parents[2] / "docs" / "content.md").read_text()
COMMANDS = re.findall(r"^\$ (isthmus .+)$", PAGE, re.MULTILINE)
FILE = r"```(?:yaml|sql|python)\n(?:#|--) (\S+\.\w+)\n(.+?)```"


@pytest.fixture
def folder(tmp_path):
    """The project of the page's files, with all views that it declares."""
    for name, text in re.findall(FILE, PAGE, re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with (tmp_path / "project.yaml").open("a") as file:
        file.writelines(re.findall(r"```yaml\n(  .+?)```", PAGE, re.DOTALL))
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_the_page_say_what_it_shows(folder):
    assert {command: as_shown(folder, "content.md", command) for command in COMMANDS} == {
        command: [] for command in COMMANDS
    }
    said = isthmus(folder, "features", "extract", "item_size").out
    assert said.startswith("item_size@1   8 items   8 computed")
    isthmus(folder, "materialize")
    rows = isthmus(folder, "features", "get", "user_last", "ann", "--json").json["rows"]
    assert [rows[0][f"user_last_{n}"] for n in (1, 2, 3)] == [4, 1, None]


def test_every_view_of_the_page_is_sound_on_all_targets(folder):
    (folder / "profiles.yaml").write_text((FOLDER / "profiles.yaml").read_text())
    said = isthmus(folder, "validate").out
    views = len(load(folder).spec.feature_views)
    assert views == 6
    assert f"sagemaker   ok   {views} views transpiled for Athena" in said
    assert f"vertex      ok   {views} views transpiled for BigQuery" in said
