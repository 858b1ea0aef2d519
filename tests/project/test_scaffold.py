"""`isthmus init`: a folder that loads."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from isthmus.errors import AlreadyExists, NotFound
from isthmus.project import scaffold
from isthmus.project.load import load, parse
from isthmus.project.profiles.profiles import profiles
from isthmus.project.reading import yaml


def test_the_starter_loads_without_a_problem_and_is_named_as_its_folder(tmp_path):
    files = scaffold.create(tmp_path / "My-Shop", example="starter")
    description, problems = parse(tmp_path / "My-Shop")
    assert problems == ()
    spec = description.spec
    assert (spec.name, sorted(spec.events), len(spec.feature_views), len(spec.models)) == (
        "my_shop",
        ["click", "impression"],
        1,
        1,
    )
    assert files == tuple(
        sorted(path for path in (tmp_path / "My-Shop").rglob("*") if path.is_file())
    )


def test_without_a_name_it_is_the_shop_named_as_its_folder_with_a_profile_to_fill_for_each_cloud(
    tmp_path,
):
    scaffold.create(tmp_path / "mine")
    description, problems = parse(tmp_path / "mine")
    assert [problem for problem in problems if problem.severity == "error"] == []
    assert (description.spec.name, sorted(description.spec.experiments)) == (
        "mine",
        ["order", "same"],
    )
    assert set(profiles(description)) == {"local", "sagemaker", "vertex"}


def test_a_project_has_a_readme_with_its_name_tests_a_workflow_and_schemas_that_its_files_name(
    tmp_path,
):
    files = {
        path.relative_to(tmp_path).as_posix()
        for path in scaffold.create(tmp_path / "shop", example="starter")
    }
    assert {
        "shop/README.md",
        "shop/tests/test_project.py",
        "shop/.github/workflows/isthmus.yml",
    } <= files
    assert (tmp_path / "shop/README.md").read_text().startswith("# shop\n")
    for file in ("project.yaml", "profiles.yaml", "models/history.yaml"):
        path = tmp_path / "shop" / file
        named = (
            path.parent
            / re.search(r"^# yaml-language-server: \$schema=(.+)$", path.read_text(), re.MULTILINE)[
                1
            ]
        )
        whole, _, part = json.loads(named.read_text())["$ref"].partition("#")
        validator = Draft202012Validator(
            json.loads((named.parent / whole).read_text()) | {"$ref": f"#{part}"}
        )
        node, _ = yaml.read(path.read_text(), file)
        assert list(validator.iter_errors(yaml.plain(node))) == []
        assert list(validator.iter_errors({"no_such_key": 1})) != []


def test_an_examples_own_tests_stay(tmp_path):
    scaffold.create(tmp_path / "shop", example="openbandit")
    own = Path(scaffold.__file__).parents[1] / "examples/openbandit/tests/test_project.py"
    assert (tmp_path / "shop/tests/test_project.py").read_bytes() == own.read_bytes()


def test_the_example_is_copied_whole_and_loads(tmp_path):
    scaffold.create(tmp_path / "shop", example="openbandit")
    spec = load(tmp_path / "shop").spec
    assert (spec.name, len(spec.models)) == ("openbandit", 2)
    assert ".isthmus/" in (tmp_path / "shop" / ".gitignore").read_text()


def test_the_shop_s_data_are_made_with_it_and_the_same_each_time(tmp_path):
    for name in ("one", "two"):
        scaffold.create(tmp_path / name, example="shop")
    spec = load(tmp_path / "one").spec
    assert (spec.objectives["ctr"].unit, spec.objectives["ctr"].ranked_within) == (
        "visitor_id",
        "session_id",
    )
    assert parse(tmp_path / "one")[1] == ()
    for log in ("items", "impressions", "clicks", "purchases"):
        assert (tmp_path / "one" / "data" / f"{log}.csv").read_bytes() == (
            tmp_path / "two" / "data" / f"{log}.csv"
        ).read_bytes()
    assert not list((tmp_path / "one").rglob("__pycache__"))


@pytest.mark.parametrize("name", ["a" * 40, "123", "Über-Laden", "_", "shop__2"])
def test_any_folders_name_gives_a_projects_name(tmp_path, name):
    scaffold.create(tmp_path / name, example="starter")
    assert parse(tmp_path / name)[1] == ()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AlreadyExists, match=r"notes\.txt"):
        scaffold.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_may_be_filled_while_one_stands_in_it(tmp_path, monkeypatch):
    empty = tmp_path / "shop"
    empty.mkdir()
    monkeypatch.chdir(empty)
    scaffold.create(empty, example="starter")
    assert load(empty).spec.name == "shop"
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


@pytest.fixture
def dead():
    """The number of no process: one that has ended may be another's meanwhile, and Linux gives none
    above 2**22.
    """
    return 2**22


def test_what_a_killed_init_left_beside_goes_with_the_next_one_and_a_living_one_s_stays(
    tmp_path, dead
):
    for process in (dead, os.getppid()):
        (tmp_path / f".shop.{process}.new" / "data").mkdir(parents=True)
    scaffold.create(tmp_path / "shop", example="starter")
    assert {path.name for path in tmp_path.iterdir()} == {"shop", f".shop.{os.getppid()}.new"}


@pytest.fixture
def half(tmp_path, dead):
    """An empty folder that an init was killed in after two of its pieces."""
    scaffold.create(tmp_path / "shop", example="starter")
    draft = (tmp_path / "shop").rename(tmp_path / f".shop.{dead}.new")
    (tmp_path / "shop").mkdir()
    for name in ("data", "README.md"):
        (draft / name).rename(tmp_path / "shop" / name)
    return tmp_path / "shop"


def test_an_empty_folder_that_a_killed_init_filled_in_part_is_filled_by_the_next_one(
    tmp_path, half
):
    files = scaffold.create(half, example="starter")
    assert len(files) == len(scaffold.create(tmp_path / "other", example="starter"))
    assert {path.name for path in tmp_path.iterdir()} == {"shop", "other"}


def test_it_is_also_filled_where_the_next_one_has_the_number_of_the_killed_one_as_in_a_container(
    tmp_path, half, dead
):
    (tmp_path / f".shop.{dead}.new").rename(tmp_path / f".shop.{os.getpid()}.new")
    scaffold.create(half, example="starter")
    assert load(half).spec.name == "shop"
    assert {path.name for path in tmp_path.iterdir()} == {"shop"}


def rewrite(folder):
    (folder / "README.md").write_text("mine")


def remove_a_file(folder):
    next(path for path in (folder / "data").rglob("*") if path.is_file()).unlink()


def link(folder):
    (folder / "project.yaml").symlink_to(folder / "mine.yaml")


@pytest.mark.parametrize(
    "change", [rewrite, remove_a_file, link, lambda folder: (folder / "models").mkdir()]
)
def test_what_somebody_changed_since_in_such_a_folder_is_left_alone(half, change):
    change(half)
    before = sorted(half.rglob("*"))
    with pytest.raises(AlreadyExists, match=r"holds README.md, data"):
        scaffold.create(half, example="starter")
    assert sorted(half.rglob("*")) == before
    assert change is not rewrite or (half / "README.md").read_text() == "mine"
    assert not (half / "project.yaml").exists()


@pytest.mark.parametrize("stands", [True, False], ids=["an empty folder", "a new one"])
def test_of_two_at_one_moment_one_fills_the_folder_and_the_other_is_told(
    tmp_path, monkeypatch, stands
):
    folder, fill = tmp_path / "shop", scaffold._fill
    if stands:
        folder.mkdir()

    def overtaken(draft, name, **kinds):
        fill(draft, name, **kinds)
        with monkeypatch.context() as other:
            other.setattr(scaffold, "_fill", fill)
            other.setattr(os, "getpid", os.getppid)
            scaffold.create(folder, example="starter")

    monkeypatch.setattr(scaffold, "_fill", overtaken)
    with pytest.raises(AlreadyExists, match=r"is not empty: it holds \.github"):
        scaffold.create(folder, example="openbandit")
    assert load(folder).spec.name == "shop"
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]


def test_the_files_are_told_as_the_folder_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert all(
        path.relative_to("shop") for path in scaffold.create(Path("shop"), example="starter")
    )


def test_an_unknown_example_is_guessed_and_nothing_is_made(tmp_path):
    with pytest.raises(NotFound) as error:
        scaffold.create(tmp_path / "shop", example="openbandits")
    assert "did you mean openbandit?" in error.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scaffold.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        scaffold.create(tmp_path / "shop", example="openbandit")
    assert list(tmp_path.iterdir()) == []


def test_the_files_can_be_edited_even_where_the_package_is_read_only(tmp_path):
    files = scaffold.create(tmp_path / "shop", example="openbandit")
    assert all(path.stat().st_mode & stat.S_IWUSR for path in files)


def test_a_folder_without_a_project_is_not_offered_as_an_example():
    assert scaffold.examples() == ("openbandit", "ratings", "shop", "starter")
