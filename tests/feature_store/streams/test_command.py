"""isthmus stream replay at the console, on the example's real log with a stream view."""

from shutil import copytree

import pytest

import isthmus as im

from ...adapters.sql.example import FOLDER
from ...cli.running import isthmus

LAST = "  segment_history: {entity: segment, ttl: 7d}\n"
VIEW = """  item_live:
    entity: item
    stream: {every: 1m, lateness: 5m, delay: 1m}
    ttl: 1h
    features:
      item_shown_10m:   {count: impression, window: 10m}
      item_clicked_10m: {count: click, window: 10m}
      item_shown_1h:    {count: impression, window: 1h}
"""


@pytest.fixture(scope="module")
def bandit(tmp_path_factory):
    """The example with a stream view, its log ingested, and history beyond the log's last window."""
    folder = tmp_path_factory.mktemp("bandit") / "openbandit"
    copytree(FOLDER, folder)
    project_file = folder / "project.yaml"
    text = project_file.read_text()
    assert LAST in text
    project_file.write_text(text.replace(LAST, LAST + VIEW))
    isthmus(folder, "apply", "--yes")
    isthmus(folder, "ingest")
    said = isthmus(folder, "materialize", "item_live", "--until", "2019-12-01T02:00:00")
    assert "item_live    53,349 rows   by its stream   known up to 2019-12-01 02:00" in said.out
    return folder


def test_the_real_logs_replay_differs_nowhere_from_the_history(bandit):
    said = isthmus(bandit, "stream", "replay", "item_live")
    assert said.out == (
        "replayed 20,080 events as fast as they go   53,349 rows   0 differ from the history   "
        "0 late\n"
    )
    listed = isthmus(bandit, "stream", "list").out
    assert "item_live  stream view  impression, click  every 1m" in listed


def test_a_replay_in_json_from_a_moment_on(bandit):
    said = isthmus(bandit, "stream", "replay", "item_live", "--from", "2019-11-28", "--json").json
    assert (said["view"], said["differ"], said["late"]) == ("item_live", 0, 0)
    assert 0 < said["events"] < 20_080
    assert 0 < said["rows"] < 53_349
    assert (said["since"], said["until"]) == ("2019-11-28T00:00:00Z", "2019-12-01T02:00:00Z")


def test_a_replay_that_differs_exits_with_one(bandit, tmp_path):
    folder = tmp_path / "copy"
    copytree(bandit, folder)
    with im.open(folder) as project:
        table = "item_live"
        rows = project.target.warehouse.query(
            f"SELECT * FROM {table} WHERE item_shown_1h = 3 ORDER BY event_timestamp LIMIT 1", {}
        )
        wrong = rows.drop_columns(["dt"]).to_pylist()[0]
        wrong |= {
            "item_shown_1h": 4,
            "created_timestamp": wrong["created_timestamp"].replace(second=1),
        }
        schema = rows.drop_columns(["dt"]).schema
        changed = type(rows).from_pylist([wrong], schema)
        project.target.warehouse.append(table, changed, batch="tampered")
    said = isthmus(folder, "stream", "replay", "item_live", ok=False)
    assert said.code == 1
    assert "1 differ from the history" in said.out
    assert "'item_shown_1h': 3}, history" in said.out
