"""The catalogue, who reads it, and what a change of it breaks."""

import subprocess
from datetime import timedelta

import msgspec
import pytest

from isthmus.errors import Invalid, NotFound
from isthmus.events.catalogue.changes import at_revision, diff
from isthmus.events.catalogue.entries import catalogue, describe
from isthmus.events.catalogue.readers import readers
from isthmus.project.specs.description import (
    Attribute,
    Event,
    Feature,
    FeatureView,
    Model,
    Objective,
    Place,
    ProjectSpec,
)

ITEM = Attribute(name="item_id", type="int", min=0, max=79, entity="item")
CTR = "SELECT item_id, event_timestamp, count(*) AS n FROM ctr GROUP BY 1, 2"
SPEC = ProjectSpec(
    name="shop",
    events={
        "impression": Event(
            name="impression",
            owner="home",
            attributes=(ITEM, Attribute(name="position", type="int", allowed=(1, 2, 3))),
        ),
        "click": Event(
            name="click",
            attributes=(Attribute(name="impression_id", type="string", event="impression"), ITEM),
        ),
        "search": Event(
            name="search", attributes=(Attribute(name="words", type="string", required=False),)
        ),
    },
    objectives={
        "ctr": Objective(
            name="ctr", outcome="click", exposure="impression", within=timedelta(minutes=30)
        )
    },
    feature_views={
        "item_history": FeatureView(
            name="item_history", entity="item", path="features/item_history.sql", sql=CTR
        ),
        "segment_history": FeatureView(
            name="segment_history",
            entity="segment",
            path="features/segment_history.sql",
            sql="SELECT segment_id, sum(outcome) AS s FROM ctr GROUP BY 1",
        ),
        "all_searches": FeatureView(
            name="all_searches",
            entity="item",
            path="features/all_searches.sql",
            sql="SELECT * FROM events_search",
        ),
        "derived": FeatureView(
            name="derived",
            entity="item",
            path="features/derived.sql",
            sql="SELECT words FROM all_searches",
        ),
    },
    models={
        "logistic": Model(
            name="logistic",
            path="models/logistic.yaml",
            model="ranker",
            objective="ctr",
            features=(Feature(view="item_history", name="n"),),
            trainer="ranker.logistic",
        )
    },
)


def changed(event, *attributes, **other):
    events = dict(SPEC.events)
    old = events[event]
    kept = {a.name: a for a in old.attributes} | {a.name: a for a in attributes}
    events[event] = msgspec.structs.replace(old, attributes=tuple(kept.values()), **other)
    return msgspec.structs.replace(SPEC, events=events)


def without(event, attribute):
    events = dict(SPEC.events)
    events[event] = msgspec.structs.replace(
        events[event], attributes=tuple(a for a in events[event].attributes if a.name != attribute)
    )
    return msgspec.structs.replace(SPEC, events=events)


def test_readers_are_those_that_name_the_attribute_or_take_everything():
    assert readers(SPEC, "click", "item_id") == (
        "objective ctr",
        "item_history",
        "models/logistic.yaml",
    )
    assert readers(SPEC, "search", "words") == ("all_searches", "derived")
    assert readers(SPEC, "impression") == (
        "objective ctr",
        "item_history",
        "segment_history",
        "models/logistic.yaml",
    )


def test_a_changed_type_reads_as_in_the_specification():
    text = changed("click", msgspec.structs.replace(ITEM, type="string", min=None, max=None))
    (change,) = diff(
        SPEC,
        text,
        versions={"ranker": (1, 2)},
        places={"events.click": Place(file="project.yaml", line=23)},
    )
    assert str(change) == (
        "click.item_id: int -> string is BREAKING: objective ctr, item_history, ranker@1, "
        "ranker@2 read it. Add an attribute instead."
    )
    assert change.place == Place(file="project.yaml", line=23)


@pytest.mark.parametrize(
    ("new", "what", "breaking"),
    [
        (without("click", "item_id"), "removed", True),
        (changed("click", Attribute(name="price", type="float")), "new required attribute", True),
        (
            changed("click", Attribute(name="price", type="float", required=False)),
            "new optional attribute",
            False,
        ),
        (changed("click", msgspec.structs.replace(ITEM, max=50)), "0 .. 79 -> 0 .. 50", True),
        (changed("click", msgspec.structs.replace(ITEM, max=100)), "0 .. 79 -> 0 .. 100", False),
        (
            changed("click", msgspec.structs.replace(ITEM, min=None, max=None)),
            "0 .. 79 -> any value",
            False,
        ),
        (
            changed("click", msgspec.structs.replace(ITEM, required=False)),
            "required -> optional",
            False,
        ),
        (changed("search", Attribute(name="words", type="string")), "optional -> required", True),
        (
            changed(
                "search",
                Attribute(name="words", type="string", required=False, description="typed"),
            ),
            "description changed",
            False,
        ),
        (
            changed("impression", Attribute(name="position", type="int", allowed=(1, 2))),
            "1, 2, 3 -> 1, 2",
            True,
        ),
        (
            changed("impression", Attribute(name="position", type="int", allowed=(1, 2, 3, 4))),
            "1, 2, 3 -> 1, 2, 3, 4",
            False,
        ),
        (
            changed("impression", Attribute(name="position", type="int", min=1, max=9)),
            "1, 2, 3 -> 1 .. 9",
            False,
        ),
        (changed("impression", owner="away"), "owner changed", False),
    ],
)
def test_a_change_is_breaking_when_right_events_become_wrong_or_a_reader_loses_what_it_reads(
    new, what, breaking
):
    (change,) = diff(SPEC, new)
    assert (change.what, change.breaking) == (what, breaking)


def test_breaking_changes_come_first_and_no_change_is_no_change():
    new = msgspec.structs.replace(
        SPEC,
        events={k: v for k, v in SPEC.events.items() if k != "search"}
        | {"play": Event(name="play", attributes=())},
    )
    assert [str(change) for change in diff(SPEC, new)] == [
        (
            "search: removed is BREAKING: all_searches, derived read it. Keep it until nothing "
            "reads it."
        ),
        "play: new event",
    ]
    assert diff(SPEC, SPEC) == ()


def test_an_event_is_described_with_its_rules_references_and_readers():
    entry = describe(SPEC, "click")
    assert [(a.name, a.rule, a.refers_to) for a in entry.attributes] == [
        ("impression_id", "", "event impression"),
        ("item_id", "0 .. 79", "entity item"),
    ]
    assert entry.objectives == ("ctr",)
    assert describe(SPEC, "impression").referred_by == ("click.impression_id",)
    assert [(e.event, e.attributes, e.objectives) for e in catalogue(SPEC)] == [
        ("impression", 2, ("ctr",)),
        ("click", 2, ("ctr",)),
        ("search", 1, ()),
    ]
    with pytest.raises(NotFound, match="there is no event clicks"):
        describe(SPEC, "clicks")


PROJECT = (
    "name: shop\ntables:\n  items: data/items.csv\nevents:\n  search:\n    attributes:\n      "
    "words: {type: string}\n"
)


def git(folder, *arguments):
    subprocess.run(
        ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        check=True,
        capture_output=True,
    )


def test_a_revision_is_read_without_touching_the_working_tree(tmp_path):
    folder = tmp_path / "repo" / "shop"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "items.csv").write_text("item_id\n1\n")
    (folder / ".gitignore").write_text("data/\n")
    (folder / "project.yaml").write_text(PROJECT)
    git(tmp_path / "repo", "init", "-q", "-b", "main")
    git(tmp_path / "repo", "add", ".")
    git(tmp_path / "repo", "commit", "-q", "-m", "one")
    (folder / "project.yaml").write_text(PROJECT.replace("string", "int"))
    assert at_revision(folder, "main").events["search"].attributes[0].type == "string"
    assert "int" in (folder / "project.yaml").read_text()
    with pytest.raises(NotFound, match="no revision nowhere"):
        at_revision(folder, "nowhere")
    with pytest.raises(NotFound, match="no revision --help"):
        at_revision(folder, "--help")


def test_nothing_that_a_repositorys_configuration_names_is_run(tmp_path):
    folder, ran = tmp_path / "shop", tmp_path / "ran"
    (folder / "data").mkdir(parents=True)
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "data" / "items.csv").write_text("item_id\n1\n")
    (folder / ".gitattributes").write_text("*.yaml filter=own\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    command = tmp_path / "command"
    command.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    command.chmod(0o755)
    for key in (
        "core.fsmonitor",
        "core.sshCommand",
        "filter.own.smudge",
        "filter.own.clean",
        "core.pager",
    ):
        git(folder, "config", key, command)
    for hook in ("post-index-change", "post-checkout"):
        (folder / ".git" / "hooks" / hook).symlink_to(command)
    assert at_revision(folder, "main").events["search"].attributes[0].type == "string"
    assert not ran.exists()


def test_a_folder_without_git_says_so(tmp_path):
    with pytest.raises(Invalid, match="is in no git repository"):
        at_revision(tmp_path, "main")


def test_an_event_shows_as_text_with_who_reads_what():
    assert str(describe(SPEC, "search")) == (
        "search\n  words   string?\n      read by all_searches, derived\nlate by 30 days at "
        "most; ? may be missing"
    )
