"""Files of events with bytes changed at random: each is refused whole, or each of its rows is
counted as good or as bad.
"""

import gzip
import io
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import Invalid, IsthmusError
from isthmus.events.intake.ingest import ingest
from isthmus.events.intake.staging import stage
from isthmus.events.refusals.open_rows import quarantine
from isthmus.events.sources.origins import open_source
from isthmus.project.reading.fence import fence

from .conftest import IMPRESSION, NOW, impression, raw_count

PIECES = [
    b"\0", b"\xff", b"\xed\xa0\x80", b"\n", b"\r", b"\r\n", b'"', b",", b"\t", b"{", b"}", b"[", b"{}",
    b"null", b"NaN", b"1e999", b"-0", b"9" * 40, b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x0c", b"\x85", b"\\",
    b"\\ud800", b'"event_id"', b":", b"true", b"T24:00:00Z", b"+25:00",
]  # fmt: skip


def content_of(rng):
    """A sound file of a kind."""
    rows = [impression(number) for number in rng.choices(range(6), k=rng.randrange(1, 7))]
    names = list(rows[0])
    match kind := rng.choice(["jsonl", "csv", "tsv", "parquet"]):
        case "jsonl":
            return kind, "".join(json.dumps(row) + "\n" for row in rows).encode()
        case "parquet":
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), sink, compression="none")
            return kind, sink.getvalue()
        case _:
            delimiter = "," if kind == "csv" else "\t"
            return kind, "".join(
                delimiter.join(map(str, row)) + "\n"
                for row in (names, *(row.values() for row in rows))
            ).encode()


def changed(content, rng):
    """The content with a few places of it cut, repeated or written over."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        start = rng.randrange(len(content) + 1)
        end = start + rng.randrange(8)
        piece = rng.choice(
            [
                b"",
                rng.choice(PIECES),
                bytes([rng.randrange(256)]),
                content[start : start + rng.randrange(60)],
            ]
        )
        content = (
            content[:start]
            + piece
            + content[rng.choice([start, end, len(content) if rng.random() < 0.2 else end]) :]
        )
    return content


@pytest.mark.parametrize("seed", range(6))
def test_a_changed_file_is_refused_or_each_of_its_rows_is_counted(tmp_path, seed):
    rng = random.Random(seed)
    for number in range(40):
        kind, content = content_of(rng)
        content = changed(content, rng)
        if rng.random() < 0.1:
            kind, content = f"{kind}.gz", changed(gzip.compress(content), rng)
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / f"rows.{kind}"
        path.write_bytes(content)
        try:
            source = open_source(fence(folder), IMPRESSION, path, folder / "raw")
            staged = stage(
                IMPRESSION, source, folder / "staged", now=NOW, progress=lambda _rows: None
            )
        except IsthmusError:
            continue
        counted = sum(
            pq.read_metadata(part).num_rows for part in (staged.good, staged.late, staged.bad)
        )
        assert staged.read == counted, content


def parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="none")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("values", "name"),
    [(["x"], b"policy"), ([{"name": "x"}], b"name")],
    ids=["a column", "a struct"],
)
def test_a_name_of_a_column_that_is_not_utf8_is_refused(project, tmp_path, values, name):
    table = pa.Table.from_pylist([impression(1)])
    table = table.set_column(table.schema.get_field_index("policy"), "policy", pa.array(values))
    (tmp_path / "rows.parquet").write_bytes(parquet(table).replace(name, b"\xff" + name[1:]))
    with pytest.raises(Invalid, match=r"rows\.parquet has a column whose name is not UTF-8: \\xff"):
        ingest(project, event="impression", data=tmp_path / "rows.parquet")
    assert raw_count(project, "impression") == 0


@pytest.mark.parametrize("name", ["event_id", "event_timestamp", "policy"])
def test_text_of_parquet_that_is_not_utf8_is_quarantined_and_the_rows_beside_it_are_stored(
    project, tmp_path, name
):
    table = pa.Table.from_pylist([impression(1), impression(2)])
    whole = table[name].to_pylist()[1].encode()
    offsets = pa.array([0, 1, 1 + len(whole)], pa.int32()).buffers()[1]
    wrong = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"\xff" + whole))
    table = table.set_column(table.schema.get_field_index(name), name, wrong)
    (tmp_path / "rows.parquet").write_bytes(parquet(table))
    (report,) = ingest(project, event="impression", data=tmp_path / "rows.parquet", max_bad=1)
    assert (report.read, report.stored, report.quarantined) == (2, 1, 1)
    (refused,) = quarantine(project, "impression").to_pylist()
    assert refused["attribute"] == name


def test_a_packed_file_that_is_torn_is_refused(project, tmp_path):
    content = bytearray(
        gzip.compress("".join(json.dumps(impression(n)) + "\n" for n in range(50)).encode())
    )
    content[40:60] = b"\xff" * 20
    (tmp_path / "rows.jsonl.gz").write_bytes(content)
    with pytest.raises(Invalid, match=r"rows\.jsonl\.gz cannot be read"):
        ingest(project, event="impression", data=tmp_path / "rows.jsonl.gz")
