"""A data set's export: whole or not there, the same again, and read in shards."""

import json
import shutil
from datetime import datetime, timedelta
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus as im
from isthmus.errors import AlreadyExists, Invalid, NotFound
from isthmus.feature_store.datasets import export as exporting
from isthmus.tests.cli.running import isthmus
from isthmus.tests.lifecycle.streams.test_datasets import BEGIN, shop

__all__ = ["shop"]


def tree(folder):
    return {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_an_export_is_parquet_by_day_with_a_manifest_and_the_same_again_changes_nothing(
    shop, monkeypatch
):
    monkeypatch.setattr(exporting, "BLOCK", 7)
    monkeypatch.setattr(exporting, "_PART", 2)
    said = isthmus(shop, "dataset", "export", "served", "--to", "out").out
    assert said.startswith("served   60 rows (20 with an outcome)   ")
    folder = shop / "out"
    manifest = json.loads((folder / "manifest.json").read_text())
    table = pq.read_table(folder / "rows")  # any reader of Parquet
    assert table.num_rows == 60
    assert pa.compute.sum(table["outcome"]).as_py() == 20
    assert [c["path"] for c in manifest["parts"]] == sorted(
        str(f.relative_to(folder)) for f in folder.rglob("*.parquet")
    )
    assert manifest["columns"]["known_timestamp"] == "timestamp"
    assert "60 exposures of gateways" in (folder / "README.md").read_text()
    with im.open(shop) as project:
        until = datetime.fromisoformat(im.dataset.show(folder).until)
        first = im.dataset.export(project, "served", until=until, to=shop / "elsewhere" / "out")
        before = tree(folder)
        again = im.dataset.export(project, "served", until=until, to=folder)
        assert tree(folder) == tree(shop / "elsewhere" / "out") == before
        monkeypatch.setattr(exporting, "BLOCK", 50_000)
        stored = im.dataset.export(project, "served", until=until)
        assert stored.uri.startswith("file://")
        assert f"datasets/served/{stored.hash[:16]}" in stored.uri
        with pytest.raises(AlreadyExists, match="an export of other rows"):
            im.dataset.export(project, "served", since=BEGIN + timedelta(minutes=9), to=folder)
        with pytest.raises(AlreadyExists, match="it is no export"):
            im.dataset.export(project, "served", to=shop / "models")
    assert first.hash == again.hash
    assert [f.name for f in shop.iterdir() if f.name.startswith(".served")] == []


def test_shards_have_each_row_once_and_can_be_iterated_again(shop, monkeypatch):
    monkeypatch.setattr(exporting, "BLOCK", 7)
    isthmus(shop, "dataset", "export", "served", "--to", "out")
    shards = [im.dataset.open(shop / "out", shard=(number, 4)) for number in range(4)]
    for _ in range(2):
        ids = [batch["event_id"].to_pylist() for shard in shards for batch in shard]
        assert sorted(chain.from_iterable(ids)) == sorted(f"q-{number}" for number in range(60))
        assert max(map(len, ids)) == 7
    whole = pa.Table.from_batches(im.dataset.open(shop / "out"), shards[0].schema)
    assert whole["event_id"].to_pylist() == [f"q-{number}" for number in range(60)]
    with pytest.raises(Invalid, match="shard 4 of 4 does not exist"):
        im.dataset.open(shop / "out", shard=(4, 4))


def test_a_hash_is_of_the_rows_and_not_of_how_they_came(shop):
    with im.open(shop) as project:
        table = project.target.warehouse.query(
            "SELECT * FROM served_ctr ORDER BY event_timestamp", {}
        ).select(["event_id", "event_timestamp", "score", "explored", "config", "credit"])
    chunked = pa.concat_tables([table.slice(3, 10), table.slice(13, 20)])
    changed = table.slice(3, 30).set_column(2, "score", pa.array([0.5] * 30))
    first, second, third = map(exporting.rows_hash, (table.slice(3, 30), chunked, changed))
    assert first == second != third


def test_what_is_cut_short_is_not_there_and_a_changed_file_is_told(shop, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    with im.open(shop) as project:
        with monkeypatch.context() as patched:
            patched.setattr(exporting, "_update", cut)
            with pytest.raises(KeyboardInterrupt):
                im.dataset.export(project, "served", to=shop / "out")
        assert not (shop / "out").exists()
        assert [f.name for f in shop.iterdir() if "export" in f.name] == []
        with pytest.raises(NotFound, match="there is no data set serve"):
            im.dataset.export(project, "serve")
        with pytest.raises(Invalid, match="served has no rows whose outcome is known"):
            im.dataset.export(project, "served", until=BEGIN, to=shop / "out")
        with pytest.raises(Invalid, match="not supported yet"):
            im.dataset.export(project, "served", to="s3://bucket/place")
        im.dataset.export(project, "served", to=shop / "out")
    (part, *_) = sorted((shop / "out").rglob("*.parquet"))
    shutil.copy(part, shop / "copy")
    part.write_bytes(part.read_bytes()[:-1])
    refused = isthmus(shop, "dataset", "show", "out", ok=False)
    assert "is not the file that was exported" in refused.err
    shutil.copy(shop / "copy", part)
    assert "60 rows" in isthmus(shop, "dataset", "show", "out").out
    (shop / "out" / "manifest.json").unlink()
    refused = isthmus(shop, "dataset", "show", "out", ok=False)
    assert "it has no manifest.json" in refused.err
