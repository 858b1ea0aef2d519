"""The ratings example: on a seeded world of its own, and on MovieLens 100K where fetch.py brought
it.
"""

import csv
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import isthmus as im
from isthmus.tests.cli.running import isthmus

EXAMPLE = Path(__file__).parents[2] / "examples/ratings"
PRODUCT = " + ".join(f"own.item_text_{place:02} * near.item_text_{place:02}" for place in range(16))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def script(folder, name):
    """Import a script of a copy of the example, which may import those beside it."""
    spec = importlib.util.spec_from_file_location(f"ratings_{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("world", None)  # the shop has one, too
    return module


@pytest.fixture(scope="module")
def fetch():
    return script(EXAMPLE, "fetch")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A copy of the example with the world's log."""
    folder = tmp_path_factory.mktemp("world") / "ratings"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", ".isthmus"))
    subprocess.run([sys.executable, "world.py"], cwd=folder, check=True, capture_output=True)
    return folder


def ready(folder):
    isthmus(folder, "apply")
    isthmus(folder, "ingest", "--backfill")
    isthmus(folder, "features", "extract", "item_text")
    isthmus(folder, "materialize")


def test_the_taste_of_what_people_liked_ranks_better_and_its_stream_view_replays(world):
    ready(world)
    with im.open(world / "project.yaml") as project:
        replayed = im.stream.replay(project, "item_live")
        assert (replayed.differ, replayed.late) == (0, 0)
        assert replayed.rows > 20_000
        rates = im.train(project, "models/rates.yaml")
        taste = im.train(project, "models/taste.yaml")
        (compared,) = im.runs.compare(project, rates.name, taste.name)
        assert compared.difference.low > 0  # the world has tastes: half of the people's log-odds
        nearest = im.query(
            project,
            f"""
            SELECT item_id, near_id FROM (
                SELECT own.item_id, near.item_id AS near_id, row_number() OVER (PARTITION BY
                       own.item_id ORDER BY {PRODUCT} DESC, near.item_id) AS place
                FROM item_text_extracted AS own
                JOIN item_text_extracted AS near ON near.item_id <> own.item_id) AS ranked
            WHERE place = 1
            """,
        )
    subjects = subjects_of(world)
    pairs = [(row["item_id"], row["near_id"]) for row in nearest.to_pylist()]
    alike = sum(subjects[own] == subjects[near] for own, near in pairs)
    assert alike / len(pairs) > 0.8  # one in six by chance


def subjects_of(folder):
    """The subject of each film, by the words of its title."""
    module = script(folder, "world")
    subject_of = {
        word: subject for subject, words in module.SUBJECTS.items() for word in words.split()
    }
    with (folder / "data/published.csv").open() as file:
        return {
            int(row["item_id"]): next(
                subject_of[word] for word in row["title"].split() if word in subject_of
            )
            for row in csv.DictReader(file)
        }


def test_fetch_turns_ratings_into_viewings_and_likes(fetch, tmp_path):
    wheel = tmp_path / "some.whl"
    tables = {
        "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "2\t7\t4\t100\n1\t9\t3\t90\n",
        "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "7\tToy Story\t1995\tComedy\n9\tJaws\t1975\t\n",
        "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "1\t24\tM\twriter\t1\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in tables.items():
            archive.writestr(f"{fetch.INSIDE}{name}", text)
    with zipfile.ZipFile(wheel) as archive:
        fetch.write_tables(fetch.convert(archive), tmp_path / "data")
    viewings = (tmp_path / "data/viewings.csv").read_text().split()
    assert viewings[1:] == ["v0,1970-01-01T00:01:30Z,1,9", "v1,1970-01-01T00:01:40Z,2,7"]
    likes = (tmp_path / "data/likes.csv").read_text().split()
    assert likes[1:] == ["l1,1970-01-01T00:01:41Z,v1,2,7"]
    assert "Toy Story Comedy" in (tmp_path / "data/published.csv").read_text()


def test_another_file_than_the_one_that_is_known_is_not_used(fetch, tmp_path, monkeypatch):
    def download(command, **_options):
        (Path(command[command.index("--dest") + 1]) / "recbole.whl").write_bytes(b"another")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(fetch.subprocess, "run", download)
    with pytest.raises(SystemExit, match="it is another file, and nothing was written"):
        fetch.download(tmp_path)


def test_nobody_who_does_not_agree_to_the_terms_gets_the_data(world):
    refused = subprocess.run(
        [sys.executable, "fetch.py"],
        cwd=world,
        input="\n",
        text=True,
        capture_output=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "do not redistribute it" in refused.stdout
    assert "nothing was downloaded" in refused.stderr


@pytest.mark.skipif(
    not (EXAMPLE / "data/viewings.csv").exists(), reason="python fetch.py brings the data"
)
def test_the_real_ratings_replay_without_a_difference(tmp_path):
    folder = tmp_path / "ratings"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".isthmus"))
    ready(folder)
    with im.open(folder / "project.yaml") as project:
        replayed = im.stream.replay(project, "item_live")
    assert (replayed.events, replayed.differ) == (155_375, 0)
