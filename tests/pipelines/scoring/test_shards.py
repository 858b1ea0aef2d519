"""The files of a batch's shards: who gets which row, and how many rows are held at a time."""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from isthmus.pipelines.scoring.shards import FILE, deal, limited, parts

SCHEMA = pa.schema({"n": pa.int64(), "word": pa.string()})


def tables(rows, size):
    """Numbered rows, so many at a time; a number is narrower than the schema's."""
    for start in range(0, rows, size):
        numbers = pa.array(range(start, min(start + size, rows)), pa.int32())
        yield pa.table({"n": numbers, "word": pc.cast(pc.bit_wise_and(numbers, 7), pa.string())})


def dealt(folder, rows, size, shards):
    folders = [folder / f"{size}_{number}" for number in range(shards)]
    for place in folders:
        place.mkdir()
    assert deal(tables(rows, size), SCHEMA, folders) == rows
    return folders


@pytest.mark.parametrize(("rows", "shards"), [(10, 4), (3, 4), (250_003, 3), (100_000, 1)])
def test_each_row_is_in_one_shard_in_its_order_and_shards_differ_by_one_row(tmp_path, rows, shards):
    folders = dealt(tmp_path, rows, 40_000, shards)
    held = [pa.concat_tables(parts(folder)) for folder in folders]
    for number, shard in enumerate(held):
        assert shard["n"].to_pylist() == list(range(number, rows, shards))
        assert shard.schema.equals(SCHEMA)
    assert sum(shard.num_rows for shard in held) == rows


def test_a_shards_file_does_not_depend_on_how_the_rows_came(tmp_path):
    digests = {
        tuple(
            hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
            for folder in dealt(tmp_path, 230_000, size, 3)
        )
        for size in (230_000, 100_000, 7_001)
    }
    assert len(digests) == 1


def test_no_more_is_held_than_a_part_of_the_rows(tmp_path):
    whole, most = 0, 0

    def watched():
        nonlocal whole, most
        before = pa.total_allocated_bytes()
        for _ in range(40):
            most = max(most, pa.total_allocated_bytes() - before)
            table = pa.table({"n": pa.array(range(50_000)), "word": ["a"] * 50_000})
            whole += table.nbytes
            yield table
            del table

    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    assert deal(watched(), SCHEMA, folders) == 2_000_000
    assert most < whole / 4
    assert max(part.num_rows for part in parts(folders[0])) <= 100_000
    assert pq.read_metadata(folders[0] / FILE).num_row_groups == 20


@pytest.mark.parametrize(("limit", "kept"), [(None, 25), (3, 3), (10, 10), (14, 14), (90, 25)])
def test_a_limit_takes_the_first_rows_and_asks_for_no_more(limit, kept):
    asked = []

    def watched():
        for table in tables(25, 10):
            asked.append(table.num_rows)
            yield table

    taken = pa.concat_tables(limited(watched(), limit))
    assert taken["n"].to_pylist() == list(range(kept))
    assert len(asked) == -(-kept // 10)
