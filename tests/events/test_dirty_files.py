"""Files as people have them: broken lines, bad times, other encodings, decimal commas.

The bad rows are told by their lines in the user's file and quarantined, the others are stored,
whether the source is a path or SQL over it.
"""

import gzip
import json
from array import array

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.core.runtime.project import Project
from isthmus.errors import Invalid, Refused
from isthmus.events.intake.ingest import ingest
from isthmus.events.refusals.open_rows import quarantine
from isthmus.events.sources.sniffing import sniff
from isthmus.events.sources.text_tables import Lines
from isthmus.project.specs.description import ParsedProject, ProjectSpec

from .conftest import (
    IMPRESSION,
    SPEC,
    apply_tables,
    counts,
    impression,
    make_project,
    raw_count,
    seen,
)

NAMES = ("event_id", "event_timestamp", "item_id", "position", "policy", "propensity")
GOOD = 300


def separated(rows, delimiter=","):
    return "".join(delimiter.join(map(str, row)) + "\n" for row in (NAMES, *rows))


def rows(count=GOOD, **changes):
    return [list((impression(n) | changes).values()) for n in range(count)]


def dirty_csv(delimiter=","):
    """A file with a good row behind each kind of bad one, and the lines of the bad ones."""
    lines = separated(rows(), delimiter).splitlines()
    good = lines[1:]
    values = lines[10].split(delimiter)
    bad = {
        "time": delimiter.join(["b1", "soon", *values[2:]]),
        "int": delimiter.join(["b2", values[1], "n/a", *values[3:]]),
        "few": delimiter.join(["b3", values[1], "3"]),
        "many": delimiter.join(["b4", *values[1:], "more"]),
        "open": delimiter.join(["b5", f'"{values[1]}', *values[2:]]),
        "text": delimiter.join(["b6", f'"{values[1]}"Z', *values[2:]]),
        "blank": "",
    }
    content, numbers = [lines[0]], {}
    for (kind, line), row in zip(bad.items(), good[: len(bad)], strict=True):
        content.append(line)
        numbers[kind] = len(content)
        content.append(row)
    return "\n".join([*content, *good[len(bad) :]]) + "\n", numbers


def dirty_json():
    content, numbers = [], {}
    bad = {
        "time": json.dumps(impression(1, event_id="b1", event_timestamp="soon")),
        "int": json.dumps(impression(1, event_id="b2", item_id="n/a")),
        "few": '{"event_id": "b3"',
        "many": json.dumps([1, 2]),
        "blank": "",
    }
    for n, (kind, line) in enumerate(bad.items()):
        content.append(line)
        numbers[kind] = len(content)
        content.append(json.dumps(impression(n)))
    content += [json.dumps(impression(n)) for n in range(len(bad), GOOD)]
    return "\n".join(content) + "\n", numbers


REASONS = {
    "time": ("event_timestamp", '"soon" is not a timestamp'),
    "int": ("item_id", '"n/a" is not an int'),
    "few": ("line", "has 3 fields, not 6"),
    "many": ("line", "has 7 fields, not 6"),
    "open": ("line", "has a quote that is not closed"),
    "text": ("line", "has text after a closing quote"),
}
JSON_REASONS = REASONS | {
    "few": ("line", "is not JSON (expecting ',' delimiter at column 18)"),
    "many": ("line", "is not a JSON object"),
}
FORMATS = {
    "log.csv": lambda: (*dirty_csv(), REASONS),
    "log.tsv": lambda: (*dirty_csv("\t"), REASONS),
    "log.jsonl": lambda: (*dirty_json(), JSON_REASONS),
}
CAST = "SELECT * REPLACE (CAST(event_timestamp AS TIMESTAMPTZ) AS event_timestamp) FROM {}"
WITHIN = "WITH log AS (SELECT * FROM {}) SELECT l.* FROM log AS l WHERE event_id IS NOT NULL"
DECLARED = {"path": "", "sql": "SELECT * FROM {}", "cast": CAST, "within": WITHIN}


def ingested(folder, name, query="", **options):
    """Ingest data/<name> as the source of impressions: the path, or a query over it."""
    source = f"data/{name}"
    event = IMPRESSION if query else msgspec.structs.replace(IMPRESSION, source=source)
    if query:
        (folder / "sources").mkdir(exist_ok=True)
        sql = query if "read_" in query else query.format(f"'{source}'")
        (folder / "sources" / "impression.sql").write_text(sql)
    spec = msgspec.structs.replace(SPEC, events={"impression": event})
    with make_project(folder, spec) as project:
        (report,) = ingest(project, **options)
        assert report.read == report.stored + report.already_there + report.quarantined
        bad = {
            row["line"]: (row["attribute"], row["reason"])
            for row in quarantine(project, "impression").to_pylist()
        }
        return report, bad, seen(project, "impression")


def write(folder, name, content):
    (folder / "data").mkdir(exist_ok=True)
    content = content if isinstance(content, bytes) else content.encode()
    packed = gzip.compress(content) if name.endswith(".gz") else content
    (folder / "data" / name).write_bytes(packed)


def check_query_over_a_dirty_file(target, folder, impression, now):
    """Of a query over a file in UTF-16, a target stores the good rows and quarantines the bad ones."""
    content, numbers, reasons = FORMATS["log.csv"]()
    write(folder, "log.csv", content.encode("utf-16"))
    (folder / "sources").mkdir()
    (folder / "sources" / "impression.sql").write_text(CAST.format("'data/log.csv'"))
    spec = ProjectSpec(name="conf", now=now, events={"impression": impression})
    project = Project(ParsedProject(spec=spec, folder=str(folder)), target)
    apply_tables(project)
    (report,) = ingest(project, max_bad=6)
    assert (report.read, report.stored, report.quarantined) == (GOOD + 6, GOOD, 6)
    bad = quarantine(project, "impression").to_pylist()
    assert {row["line"]: (row["attribute"], row["reason"]) for row in bad} == {
        numbers[kind]: reason for kind, reason in reasons.items()
    }
    assert {row["source"] for row in bad} == {"sources/impression.sql: data/log.csv"}


@pytest.mark.parametrize("declared", DECLARED)
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("name", FORMATS)
def test_bad_rows_go_to_the_quarantine_with_their_line_and_the_rest_is_stored(
    tmp_path, name, packed, declared
):
    content, numbers, reasons = FORMATS[name]()
    write(tmp_path, name + packed, content)
    report, bad, stored = ingested(tmp_path, name + packed, DECLARED[declared], max_bad=6)
    expected = {numbers[kind]: reasons[kind] for kind in numbers if kind != "blank"}
    assert bad == expected
    assert counts(report) == (GOOD + len(expected), GOOD, 0, len(expected))
    assert [row["event_id"] for row in stored] == sorted(f"i{n}" for n in range(GOOD))
    assert {r.first_line for r in report.reasons} == set(expected)


JAPANESE = separated(rows(20, policy="bts"), ",") + "東京-{},2019-11-30T10:00:00Z,1,1,bts,0.5\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("declared", DECLARED)
def test_a_mark_at_the_beginning_and_utf_16_are_read_as_they_are(tmp_path, encoding, declared):
    write(tmp_path, "log.csv", JAPANESE.encode(encoding))
    report, bad, stored = ingested(tmp_path, "log.csv", DECLARED[declared])
    assert (bad, counts(report)) == ({}, (21, 21, 0, 0))
    assert stored[-1]["event_id"] == "東京-{}"


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp"])
def test_another_encoding_is_proposed_and_the_proposal_reads_the_file(tmp_path, encoding):
    many = separated(rows(20)) + "".join(
        f"東京の{n},2019-11-30T10:00:00Z,1,1,bts,0.5\n" for n in range(30)
    )
    write(tmp_path, "log.csv", many.encode(encoding))
    remedies = []
    for query in ("", "SELECT * FROM {}"):
        with pytest.raises((Refused, Invalid), match=r"line 22: .*is no text in UTF-8") as refusal:
            ingested(tmp_path, "log.csv", query)
        remedies.append(refusal.value.remedy)
    relation = f"read_csv('data/log.csv', delim = ',', header = true, encoding = '{encoding}')"
    assert all(relation in remedy for remedy in remedies), remedies
    report, bad, stored = ingested(tmp_path, "log.csv", f"SELECT * FROM {relation}")
    assert (bad, counts(report)) == ({}, (50, 50, 0, 0))
    assert stored[-1]["event_id"].startswith("東京の")


def test_a_german_log_is_proposed_with_its_decimal_commas_and_its_days_first(tmp_path):
    """A semicolon between fields is taken as it is: the header shows it."""
    german = [
        [f"i{n}", f"{n % 28 + 1:02d}.11.2019 00:04", n % 80, 1, "bts", f"0,{n % 9}"]
        for n in range(40)
    ]
    write(tmp_path, "log.csv", separated([*german, ["b", "bald", 1, 1, "bts", "0,5"]], ";"))
    words = r'data/log\.csv, line 2: event_timestamp "01\.11\.2019 00:04" is not a timestamp'
    with pytest.raises(Refused, match=words) as refusal:
        ingested(tmp_path, "log.csv")
    query = refusal.value.remedy.partition("project.yaml: ")[2]
    assert "decimal_separator = ','" in query
    assert "timestampformat = '%d.%m.%Y %H:%M'" in query
    report, bad, stored = ingested(tmp_path, "log.csv", query, max_bad=0.05)
    assert counts(report) == (41, 40, 0, 1)
    assert bad == {42: ("line", 'event_timestamp = "bald" is not a timestamp')}
    assert {row["propensity"] for row in stored} == {n / 10 for n in range(9)}


def test_times_without_a_zone_are_proposed_as_a_query_where_they_are_utc(tmp_path):
    write(tmp_path, "log.csv", separated(rows(9, event_timestamp="2019-11-30 10:00:00")))
    with pytest.raises(Refused, match="has no time zone") as refusal:
        ingested(tmp_path, "log.csv")
    query = refusal.value.remedy.partition("project.yaml: ")[2]
    report, _, _ = ingested(tmp_path, "log.csv", query)
    assert counts(report) == (9, 9, 0, 0)


@pytest.mark.parametrize("declared", ["path", "sql"])
def test_a_long_file_tells_the_true_line_of_its_one_bad_row(tmp_path, declared):
    """Behind quoted line breaks and empty lines, far behind what DuckDB looks at for types."""
    lines = [",".join(NAMES)]
    for n in range(100_000):
        row = [str(value) for value in impression(n).values()]
        row[0] = f'"i\n{n}"' if n % 1000 == 0 else row[0]
        lines += [",".join(row)] if n % 700 else [",".join(row), ""]
    text = "\n".join(lines).split("\n")
    text[90_000:90_000] = ["b1,2019-11-30T10:00:00Z,none,1,bts,0.5"]
    write(tmp_path, "log.csv", "\n".join(text))
    report, bad, _ = ingested(tmp_path, "log.csv", DECLARED[declared])
    assert counts(report) == (100_001, 100_000, 0, 1)
    assert list(bad) == [90_001]


@pytest.mark.parametrize("name", FORMATS)
def test_a_query_that_computes_with_times_and_numbers_is_given_them_for_all_good_rows(
    tmp_path, name
):
    """One value that is no time makes a column of text, with which the query would not bind."""
    content, numbers, _ = FORMATS[name]()
    write(tmp_path, name, content)
    query = (
        "SELECT * REPLACE (event_timestamp + INTERVAL 0 DAY AS event_timestamp, "
        "item_id + 1 - 1 AS item_id) FROM {}"
    )
    report, bad, _ = ingested(tmp_path, name, query, max_bad=6)
    assert set(bad) == {line for kind, line in numbers.items() if kind != "blank"}
    assert bad[numbers["time"]] == ("line", 'event_timestamp = "soon" is not a timestamp')
    assert bad[numbers["int"]] == ("line", 'item_id = "n/a" is not an int')
    assert report.stored == GOOD


def test_broken_lines_are_judged_as_a_share_of_the_file_and_not_of_what_a_query_keeps(tmp_path):
    """An event may be few of a log's rows: its broken lines are as few as for the others."""
    content = separated(rows(500)) + "damaged\n" * 5
    write(tmp_path, "log.csv", content)
    query = "SELECT * FROM {} WHERE event_id IN ('i1', 'i2')"
    report, bad, _ = ingested(tmp_path, "log.csv", query)
    assert (counts(report), min(bad)) == ((7, 2, 0, 5), 502)
    write(tmp_path, "log.csv", content + "damaged\n")
    with pytest.raises(Refused, match=r"impression: 1\.2 % of 506 read cannot be taken"):
        ingested(tmp_path, "log.csv", query, max_bad=0.01)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=30).flatmap(
        lambda heights: st.tuples(
            st.just(heights), st.sets(st.integers(0, len(heights) - 1), max_size=len(heights) - 1)
        )
    )
)
def test_rows_keep_their_lines_when_others_are_taken_out(case):
    heights, removed = case
    first = [1 + sum(heights[:row]) for row in range(len(heights))]
    lines = Lines(
        array("q", range(len(heights))), array("q", first), array("q", [0] * len(heights))
    ).without(sorted(removed))
    left = [line for row, line in enumerate(first) if row not in removed]
    assert lines.positions(range(len(left)))[1].tolist() == left


def test_a_query_over_several_files_names_the_file_of_each_bad_row(tmp_path):
    for name, number in (("a.csv", 1), ("b.csv", 2)):
        part = [list(impression(n).values()) for n in range(number * 100, number * 100 + 50)]
        part[number][2] = f"x{number}"
        write(tmp_path, name, separated(part))
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "impression.sql").write_text("SELECT * FROM 'data/*.csv'")
    with make_project(tmp_path) as project:
        (report,) = ingest(project, max_bad=2)
        assert counts(report) == (100, 98, 0, 2)
        assert [
            (row["source"], row["line"], row["reason"])
            for row in quarantine(project, "impression").to_pylist()
        ] == [
            ("sources/impression.sql: data/a.csv", 3, '"x1" is not an int'),
            ("sources/impression.sql: data/b.csv", 4, '"x2" is not an int'),
        ]


def test_a_cast_that_may_fail_where_its_value_is_not_taken_is_no_fault(tmp_path):
    write(tmp_path, "log.csv", separated(rows(9, propensity="none")))
    query = (
        "SELECT * REPLACE (CASE WHEN propensity = 'none' THEN NULL ELSE CAST(propensity AS DOUBLE) "
        "END AS propensity, event_timestamp::TIMESTAMPTZ AS event_timestamp) FROM {}"
    )
    report, bad, stored = ingested(tmp_path, "log.csv", query)
    assert (bad, counts(report)) == ({}, (9, 9, 0, 0))
    assert {row["propensity"] for row in stored} == {None}


def test_rows_of_groups_have_no_line_and_broken_lines_below_them_are_still_told(tmp_path):
    content, numbers, _ = FORMATS["log.csv"]()
    write(tmp_path, "log.csv", content)
    query = (
        "SELECT event_id, max(event_timestamp) AS event_timestamp, max(item_id) AS item_id, "
        "max(position) AS position, 'bts' AS policy FROM {} GROUP BY event_id"
    )
    report, bad, _ = ingested(tmp_path, "log.csv", query, max_bad=6)
    assert counts(report) == (GOOD + 6, GOOD, 0, 6)
    assert set(bad) == {None, *(numbers[kind] for kind in ("few", "many", "open", "text"))}


def test_an_error_of_the_engine_is_one_line_with_its_place_and_what_to_do(tmp_path):
    write(tmp_path, "log.csv", separated(rows(9)))
    for query, place, words, remedy in (
        ("SELECT *,\n  nothing\nFROM {}", ", line 2", '"nothing" not found', '"position"'),
        (
            "SELECT max(event_id)::INT AS event_id FROM {}",
            ", line 1",
            "Could not convert",
            "TRY_CAST",
        ),
    ):
        with pytest.raises(Invalid, match=words) as error:
            ingested(tmp_path, "log.csv", query)
        assert str(error.value).startswith(f"sources/impression.sql{place}: ")
        assert "\n" not in str(error.value)
        assert remedy in error.value.remedy
        assert "shell" not in error.value.remedy


def test_a_file_that_is_broken_all_through_is_refused_by_its_first_line(tmp_path):
    write(tmp_path, "log.csv", separated([["a"], *rows(3), *(["b"] for _ in range(9))]))
    for query in ("", "SELECT * FROM {}"):
        with pytest.raises((Refused, Invalid), match=r"data/log\.csv, line 2: .*has 1 field,"):
            ingested(tmp_path, "log.csv", query)
    with make_project(tmp_path) as project:
        assert raw_count(project, "impression") == 0


def test_a_sniffed_file_says_what_is_ambiguous(tmp_path):
    write(tmp_path, "log.csv", "when,n\n" + "".join(f"0{n}/0{n}/2026,1\n" for n in range(1, 9)))
    form = sniff(tmp_path / "data" / "log.csv")
    assert (form.either_order, form.time_formats) == (("when",), {"when": "%m/%d/%Y"})
    write(tmp_path, "log.csv", "when,n\n13/01/2026,1\n" + "01/02/2026,1\n" * 9)
    form = sniff(tmp_path / "data" / "log.csv")
    assert (form.either_order, form.time_formats) == ((), {"when": "%d/%m/%Y"})
