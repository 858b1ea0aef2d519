"""Whatever stands in the files, parsing tells problems and never falls over; what it calls sound is
sound.
"""

import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.project.load import load, parse
from isthmus.project.reading import yaml

from . import home_shop
from .conftest import EXAMPLE

FILES = ["project.yaml", "models/logistic.yaml", "models/popularity.yaml", "profiles.yaml"]
VALUES = st.one_of(
    st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            3.5,
            "",
            "x",
            "ctr",
            "click",
            "item",
            "order",
            "30m",
            "5%",
            [],
            {},
            [[]],
            {"a": 1},
            [1, "b"],
            "a.b",
            "ranker@1",
        ]
    ),
    st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8),
)


def spots(tree, path=()):
    yield path
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in inner:
        yield from spots(value, (*path, key))


def tree_of(file):
    return yaml.plain(yaml.read((EXAMPLE / file).read_text(), file)[0])


SPOTS = [(file, path) for file in FILES for path in spots(tree_of(file)) if path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("robust") / "p"
    shutil.copytree(EXAMPLE, path, ignore=shutil.ignore_patterns(".isthmus", "__pycache__"))
    return path


def edit(tree, path, kind, value):
    at = tree
    for key in path[:-1]:
        at = at[key]
    if kind == "replace":
        at[path[-1]] = value
    elif kind == "rename" and isinstance(at, dict):
        at[str(value)] = at.pop(path[-1])
    else:
        del at[path[-1]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    path = tmp_path_factory.mktemp("robust_shop")
    home_shop.write(path)
    return path


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(SPOTS), st.sampled_from(["replace", "remove", "rename"]), VALUES)
def test_any_one_edit_is_read_or_explained(folder, spot, kind, value):
    file, path = spot
    tree = tree_of(file)
    edit(tree, path, kind, value)
    try:
        (folder / file).write_text(json.dumps(tree, indent=1))
        description, problems = parse(folder)
        lines = len((folder / file).read_text().splitlines())
        assert all(p.message and p.line <= max(lines, 60) for p in problems)
        errors = [p for p in problems if p.severity == "error"]
        if not errors:
            assert load(folder) == description
            assert {m.objective for m in description.spec.models.values()} <= set(
                description.spec.objectives
            )
        else:
            assert (
                description is None
                or description.spec.events.keys() == {"impression", "click"}
                or "rename" in kind
            )
    finally:
        shutil.copyfile(EXAMPLE / file, folder / file)


SHOP = home_shop.FILES["project.yaml"].lstrip()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(
        [path for path in spots(yaml.plain(yaml.read(SHOP, "project.yaml")[0])) if path]
    ),
    st.sampled_from(["replace", "remove", "rename"]),
    VALUES,
)
def test_any_one_edit_of_experiments_is_read_or_explained(shop, path, kind, value):
    tree = yaml.plain(yaml.read(SHOP, "project.yaml")[0])
    edit(tree, path, kind, value)
    (shop / "project.yaml").write_text(json.dumps(tree, indent=1))
    description, problems = parse(shop)
    assert all(p.message and p.line <= 350 for p in problems)
    if not any(p.severity == "error" for p in problems):
        assert load(shop) == description
    if description is not None:
        assert all(
            experiment.layer in description.spec.layers
            for experiment in description.spec.experiments.values()
        )


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_a_file_cut_anywhere_is_read_or_explained(folder, data):
    file = data.draw(st.sampled_from(FILES))
    text = (EXAMPLE / file).read_bytes()
    try:
        (folder / file).write_bytes(text[: data.draw(st.integers(0, len(text)))])
        _, problems = parse(folder)
        assert all(p.message for p in problems)
    finally:
        shutil.copyfile(EXAMPLE / file, folder / file)
