"""The commands `features extract` and `features quarantine`: their text, JSON and dry run."""

import shutil

import pytest

from isthmus.tests.cli.json_shapes import shape_of, strangers
from isthmus.tests.cli.running import isthmus
from isthmus.tests.pipelines.extraction import world


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    folder = world.create(tmp_path_factory.mktemp("commands") / "reader")
    rows, _ = world.items(300)
    world.write(folder, "item_published", [*rows, ("bare", world.moment(400), 400, None)])
    isthmus(folder, "apply")
    isthmus(folder, "ingest")
    return folder


@pytest.fixture
def folder(ingested, tmp_path):
    shutil.copytree(ingested, tmp_path / "reader", symlinks=True)
    return tmp_path / "reader"


def test_it_says_what_was_computed_and_what_could_not_be_read(folder):
    said = isthmus(folder, "features", "extract", "item_text").out.splitlines()
    assert said[0].startswith(
        "item_text@1   301 items   261 computed   0 from before   1 unreadable"
    )
    assert said[0].endswith("% of variance")
    assert said[1] == "301 rows published   301 keys online   known up to 2026-02-01 00:00"
    assert said[2] == (
        "warning item_text: 1 of 261 contents could not be read "
        "(isthmus features quarantine item_text); their vectors are null"
    )
    told = isthmus(folder, "features", "quarantine", "item_text").out
    assert "bare" in told
    assert "nothing to read" in told


def test_both_say_their_result_as_json(folder):
    document = isthmus(folder, "features", "extract", "item_text", "--json").json
    assert strangers(document, shape_of("features extract")) == []
    assert document["extraction"]["unreadable"] == 1
    rows = isthmus(folder, "features", "quarantine", "item_text", "--json").json
    assert [(row["event_id"], row["key"]) for row in rows] == [("bare", 400)]


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(folder):
    said = isthmus(folder, "features", "extract", "item_text", "--dry-run").out.splitlines()
    assert said[0] == (
        "item_text   fits item_text@1 on what is there, then   261 of 261 contents to compute"
    )
    assert said[-1].startswith("dry run: would call ")
    after = isthmus(folder, "features", "quarantine", "item_text").out
    assert after == "item_text: every content was read\n"


def test_a_view_without_an_extractor_is_refused_with_the_command_that_computes_it(folder):
    said = isthmus(folder, "features", "extract", "user_taste", ok=False)
    assert said.code != 0
    assert "feature_views.user_taste has no extract" in said.err
    assert "isthmus materialize user_taste" in said.err
