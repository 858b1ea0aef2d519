"""What verbs return, in a notebook and in other libraries."""

from datetime import UTC, datetime

import msgspec

from isthmus.reports.results import Shown, StructRows


class Figure(Shown, msgspec.Struct, frozen=True):
    value: float
    low: float


class Run(Shown, msgspec.Struct, frozen=True):
    name: str
    started: datetime
    auc: Figure | None = None
    parameters: dict[str, object] = {}
    tags: tuple[str, ...] = ()


class Spoken(Shown, msgspec.Struct, frozen=True):
    text: str

    def __str__(self):
        return f"it says {self.text}"


START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
RUNS = StructRows(
    [
        Run("r1", START, Figure(0.61234567, 0.5), {"C": 1}, ("a", "b")),
        Run("<r2>", START, None, {"C": "auto"}),
    ]
)


def test_rows_become_arrow_and_pandas_with_a_column_a_field():
    table = RUNS.to_arrow()
    assert table.column_names == ["name", "started", "auc", "parameters", "tags"]
    assert table["started"].to_pylist() == [START, START]
    assert table["auc"].to_pylist() == [{"value": 0.61234567, "low": 0.5}, None]
    assert table["parameters"].to_pylist() == ['{"C":1}', '{"C":"auto"}']  # no common type: JSON
    assert RUNS.to_pandas()["name"].tolist() == ["r1", "<r2>"]
    assert StructRows(()).to_arrow().num_rows == 0


def test_rows_may_be_dicts_too():
    rows = StructRows([{"key": "7", "clicks": 3}, {"key": "8", "clicks": None}])
    assert rows.to_arrow().to_pylist() == list(rows)
    assert "<td>3</td>" in rows._repr_html_()


def test_rows_are_a_tuple_and_the_same_json():
    assert RUNS[0].name == "r1"
    assert msgspec.json.encode(RUNS) == msgspec.json.encode(tuple(RUNS))


def test_a_notebook_shows_rows_as_a_table_and_a_struct_as_the_console_prints_it_or_field_by_field():
    shown = RUNS._repr_html_()
    assert "<td>value 0.612346, low 0.5</td>" in shown
    assert "<td>2026-01-02 03:04:00</td>" in shown
    assert "<r2>" not in shown
    assert Spoken("<yes>")._repr_html_() == '<pre tabindex="0">it says &lt;yes&gt;</pre>'
    assert '<th>value</th><td class="words">0.612346</td>' in RUNS[0].auc._repr_html_()
    assert "99 more rows" in StructRows([Spoken("x")] * 199)._repr_html_()
    assert "no rows" in StructRows(())._repr_html_()


def test_a_prompt_shows_rows_as_a_table_and_a_struct_as_the_console_prints_it():
    first, second, third = repr(RUNS).splitlines()
    assert first.split() == ["name", "started", "auc", "parameters", "tags"]
    assert "value 0.612346, low 0.5" in second
    assert third.split()[0] == "<r2>"
    assert repr(Spoken("yes")) == "it says yes"
    assert repr(RUNS[0].auc) == "Figure(value=0.61234567, low=0.5)"
    assert "99 more rows" in repr(StructRows([Spoken("x")] * 199))
    assert repr(StructRows(())) == "no rows"


def test_a_prompt_shows_a_cell_in_one_line_that_moves_no_cursor():
    _, line = repr(StructRows([Spoken("two\nlines\x1b[2J" + "x" * 99)])).splitlines()
    assert line.strip().startswith("two\\nlines\\x1b[2Jxx")
    assert line.endswith("…")
    assert len(line) < 70


class Brief(Shown, msgspec.Struct, frozen=True):
    name: str
    record: str

    def overview(self):
        return {"name": self.name}


def test_a_struct_says_what_a_table_shows_of_it_and_data_frames_have_all():
    rows = StructRows([Brief("one", "long"), Brief("two", "longer")])
    assert [line.split() for line in repr(rows).splitlines()] == [["name"], ["one"], ["two"]]
    assert "long" not in rows._repr_html_()
    assert rows.to_arrow().column_names == ["name", "record"]
