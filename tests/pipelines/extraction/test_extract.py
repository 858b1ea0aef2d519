"""`isthmus features extract`: what is computed, once, and published; cuts; what is refused."""

import shutil

import pytest

import isthmus as im
from isthmus.errors import Busy, Invalid, NotFound, Refused
from isthmus.pipelines.extraction import extraction
from isthmus.tests.pipelines.extraction import world

TABLE = "SELECT * FROM item_text_extracted ORDER BY event_id, created_timestamp"
OWN = """
class Lengths:
    def __init__(self, mean):
        self.mean = mean

    def extract(self, rows):
        if any(row["title"] == "broken" for row in rows):
            raise ValueError("it is broken")
        return [
            [len(row["title"]) - self.mean, len(row["title"].split()), 0, 1] for row in rows
        ]


def lengths(rows, dimensions):
    return Lengths(sum(len(row["title"]) for row in rows) / len(rows))
"""


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    """A project whose events are ingested, and nothing is extracted."""
    folder = world.create(tmp_path_factory.mktemp("content") / "reader")
    with im.open(folder) as project:
        im.apply(project)
        im.ingest(project)
    return folder


@pytest.fixture
def folder(ingested, tmp_path):
    shutil.copytree(ingested, tmp_path / "reader", symlinks=True)
    return tmp_path / "reader"


@pytest.fixture
def project(folder):
    with im.open(folder) as opened:
        yield opened


def rows(project, sql=TABLE):
    return im.query(project, sql).to_pylist()


def edit(folder, old, new):
    file = folder / "project.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def publish(folder, published):
    """Ingest events of published items beside those that are there."""
    world.write(folder, "item_published", published)
    with im.open(folder) as project:
        im.ingest(project, event="item_published")


def test_every_event_gets_a_vector_in_the_history_and_online(project):
    extracted = im.features.extract(project, "item_text")
    published, _ = world.items(300)
    assert extracted.extraction.items == 300
    assert extracted.extraction.computed == len({title for *_, title in published})
    assert extracted.published.rows == 300
    history = rows(project, "SELECT * FROM item_text ORDER BY item_id")
    stored = {row["item_id"]: row for row in rows(project)}
    assert [row["item_text_00"] for row in history] == [
        stored[row["item_id"]]["item_text_00"] for row in history
    ]
    served = im.features.get(project, "item_text", [0, 299]).rows
    assert [row["item_text_03"] for row in served] == pytest.approx(
        [stored[key]["item_text_03"] for key in (0, 299)]
    )


def test_titles_on_one_subject_are_nearer_to_each_other_than_to_the_rest(project):
    im.features.extract(project, "item_text")
    _, subjects = world.items(300)
    table = rows(project, "SELECT * FROM item_text ORDER BY item_id")
    vectors = [[row[f"item_text_0{n}"] for n in range(4)] for row in table]

    def nearest(number):
        own = vectors[number]
        others = [n for n in range(len(vectors)) if vectors[n] != own]
        return max(others, key=lambda n: sum(a * b for a, b in zip(own, vectors[n], strict=True)))

    right = sum(subjects[nearest(number)] == subjects[number] for number in range(100))
    assert right == 100


def test_a_second_run_computes_nothing_and_appends_nothing(project):
    first = im.features.extract(project, "item_text").extraction
    before = rows(project)
    second = im.features.extract(project, "item_text")
    assert (second.extraction.computed, second.extraction.rows) == (0, 0)
    assert second.extraction.from_before == first.computed
    assert second.published.rows == 0
    assert rows(project) == before


def test_only_contents_that_were_never_seen_are_computed(folder, project):
    im.features.extract(project, "item_text")
    known = world.items(300)[0][7][3]
    publish(
        folder,
        [("new1", world.moment(9000), 900, known), ("new2", world.moment(9001), 901, "a new one")],
    )
    second = im.features.extract(project, "item_text").extraction
    assert (second.computed, second.rows) == (1, 2)
    vectors = {row["item_id"]: row["item_text_00"] for row in rows(project)}
    assert vectors[900] == vectors[7]


def test_an_event_whose_title_was_corrected_is_extracted_again_and_known_only_from_then(
    folder, project
):
    im.features.extract(project, "item_text")
    (event_id, at, item, _), text = world.items(300)[0][7], "orbit of a comet"
    world.write(folder, "item_published", [(event_id, at, item, text)])
    im.ingest(project, event="item_published", corrects=True)
    extracted = im.features.extract(project, "item_text")
    assert extracted.extraction.rows == extracted.published.rows == 1
    first, second = (row for row in rows(project) if row["event_id"] == event_id)
    assert first["created_timestamp"] == first["event_timestamp"]
    assert second["created_timestamp"] == project.now().replace(tzinfo=None)
    served = im.features.get(project, "item_text", [item]).rows[0]
    assert served["item_text_00"] == pytest.approx(second["item_text_00"])
    assert second["item_text_00"] != first["item_text_00"]


class Cut(BaseException):
    """A process that ends here."""


@pytest.mark.parametrize("side", ["before", "after"])
def test_cut_at_any_call_and_run_again_no_row_is_lost_or_doubled(
    ingested, tmp_path, monkeypatch, side
):
    monkeypatch.setattr(extraction, "BATCH", 120)
    whole, cuts = None, 0
    for cut in range(200):
        folder = tmp_path / f"reader{cut}"
        shutil.copytree(ingested, folder, symlinks=True)
        with im.open(folder) as project:
            calls = iter(range(1000))

            def end(_call, cut=cut, calls=calls):
                if next(calls) == cut - 1:  # the first time to the end
                    raise Cut

            setattr(project.target.calls, side, end if cut else lambda _call: None)
            try:
                im.features.extract(project, "item_text")
            except Cut:
                cuts += 1
            else:
                if cut:
                    break
        with im.open(folder) as project:
            im.features.extract(project, "item_text")
            found = [
                {k: v for k, v in row.items() if k not in ("dt", "extractor_digest")}
                for row in rows(project)
            ]
            published = rows(project, "SELECT * FROM item_text ORDER BY item_id")
            assert len(project.target.registry.versions("item_text")) == 1
        whole = whole or (found, published)
        assert [row["event_id"] for row in found] == [row["event_id"] for row in whole[0]]
        assert (found, published) == whole
    assert cuts > 8


def test_of_two_checkouts_at_once_one_is_refused_and_no_row_is_doubled(project, monkeypatch):
    monkeypatch.setattr(extraction, "BATCH", 120)
    append, begun = extraction._Writer._append, []

    def with_another_in_between(writer, *batch):
        begun.append(batch)
        if len(begun) == 1:  # the other one runs to its end while this one writes its first batch
            assert extraction.extract_view(project, "item_text").items == 300
        append(writer, *batch)

    monkeypatch.setattr(extraction._Writer, "_append", with_another_in_between)
    with pytest.raises(Busy, match="another command extracts item_text"):
        im.features.extract(project, "item_text")
    im.features.extract(project, "item_text")
    assert [row["item_id"] for row in rows(project, f"SELECT item_id FROM ({TABLE})")] == [
        item for _, item in sorted((f"p{number}", number) for number in range(300))
    ]


def test_what_cannot_be_read_has_no_vector_and_is_told_with_its_reason(folder, project):
    publish(
        folder, [("empty", world.moment(9000), 900, ""), ("gone", world.moment(9001), 901, None)]
    )
    extracted = im.features.extract(project, "item_text")
    assert extracted.extraction.unreadable == 1  # an empty title of a file of CSV is none, too
    told = im.features.quarantine(project, "item_text")
    assert [(row.event_id, row.key, row.problem) for row in told] == [
        ("gone", 901, "nothing to read"),
        ("empty", 900, "nothing to read"),
    ]
    assert im.features.get(project, "item_text", [900]).rows[0]["item_text_00"] is None


def test_an_extractor_of_ones_own_is_kept_as_a_version_and_asked_row_by_row_where_it_raises(
    folder,
):
    (folder / "sizes.py").write_text(OWN)
    edit(folder, "isthmus.text", "sizes.lengths")
    publish(folder, [("odd", world.moment(9000), 900, "broken")])
    with im.open(folder) as project:
        extracted = im.features.extract(project, "item_text").extraction
        assert (extracted.unreadable, extracted.extractor) == (1, "Lengths")
        assert im.features.quarantine(project, "item_text")[0].problem == "ValueError: it is broken"
        (folder / "sizes.py").unlink()  # the version has its own code
        table = {row["item_id"]: row for row in rows(project)}
        title = world.items(300)[0][3][3]
        assert table[3]["item_text_01"] == 3.0
        again = im.features.extract(project, "item_text").extraction
        assert (again.computed, again.unreadable) == (0, 1)
        assert len(title.split()) == 3


def test_another_fit_under_the_same_name_is_refused_and_nothing_is_changed(folder):
    with im.open(folder) as project:
        im.features.extract(project, "item_text")
        before = rows(project)
    edit(folder, "{dimensions: 4}", "{dimensions: 4, tokenizer: words}")
    with im.open(folder) as project:
        with pytest.raises(Refused, match=r"tokenizer: words.*two fits mean different") as refused:
            im.features.extract(project, "item_text")
        assert "item_text_v2" in refused.value.remedy
        assert rows(project) == before


def test_a_version_whose_folder_is_gone_is_not_fitted_anew(folder, project):
    im.features.extract(project, "item_text")
    shutil.rmtree(folder / ".isthmus" / "models")
    for version in project.target.registry.versions("item_text"):
        assert version.version == 1
    with pytest.raises(NotFound):
        im.features.extract(project, "item_text")


def test_a_view_of_sql_and_one_that_is_not_there_are_refused(project):
    with pytest.raises(NotFound, match="no feature view item_txet") as unknown:
        im.features.extract(project, "item_txet")
    assert "item_text" in unknown.value.remedy
    with pytest.raises(Invalid, match="user_taste has no extract"):
        im.features.extract(project, "user_taste")


def test_nothing_ingested_is_said_with_what_to_do(tmp_path):
    folder = world.create(tmp_path / "reader")
    with im.open(folder) as project:
        im.apply(project)
        with pytest.raises(NotFound, match="no item_published has been ingested") as nothing:
            im.features.extract(project, "item_text")
        assert nothing.value.remedy == "isthmus ingest item_published"


def test_too_few_texts_for_the_dimensions_are_refused_before_anything_is_registered(tmp_path):
    folder = world.create(tmp_path / "reader", published=3)
    with im.open(folder) as project:
        im.apply(project)
        im.ingest(project)
        with pytest.raises(Invalid, match=r"3 texts with .* terms are too few for 4 dimensions"):
            im.features.extract(project, "item_text")
        assert project.target.registry.versions("item_text") == ()
