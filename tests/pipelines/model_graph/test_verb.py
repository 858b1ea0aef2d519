"""`isthmus models graph CONFIG`: from a project's own runs, as text, as a page, to a file."""

import json

import pytest

import isthmus
from isthmus.errors import NotFound, Unavailable
from isthmus.pipelines.run_pages import runs
from isthmus.project.load import load
from isthmus.tests.cli.running import isthmus as command
from isthmus.tests.pipelines import trained

MORE = """features: [item_history.item_ctr, {bucketize: item_history.item_ctr, at: [0.1, 0.2], as: shown}]
trainer: isthmus.logistic
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = trained.make_project(tmp_path_factory.mktemp("verb") / "shop")
    text = trained.CONFIG.replace("features: [item_history.item_ctr]\n", "")
    text = text.replace("trainer: shop_trainer.train\n", MORE)
    (folder / "models" / "file.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def project(folder):
    with trained.open_project(folder) as project, pytest.MonkeyPatch.context() as patch:
        isthmus.apply(project)
        trained.run_here(project, "good", trained.data(), patch)
        trained.run_here(project, "file", trained.data(), patch)
        yield project


def test_a_run_keeps_its_columns_and_the_graph_has_them(project):
    run = isthmus.runs.show(project, "r2")
    assert [column.name for column in run.columns] == ["item_history.item_ctr", "shown"]
    assert [column.nulls for column in run.columns] == [42, 42]
    weight = run.columns[0].weight
    assert (weight.measure, weight.value > 0.1) == ("weight", True)
    text = str(isthmus.models.graph(project, "models/file.yaml"))
    assert (
        f"feature item_history.item_ctr   weight {weight.value:+.3g}, 2.0 % null, "
        "known in 98.0 % of 2,100 rows"
    ) in text
    assert "version ranker@2   run r2" in text
    assert (
        "transform shown   bucketize item_ctr: below 0.1, 0.1 to 0.2, 0.2 or more; range " in text
    )


def test_a_description_alone_has_the_graph_without_figures(folder):
    graph = isthmus.models.graph(load(folder / "project.yaml"), "file", form="html")
    assert graph.page is None
    assert "No figures: the description alone was read" in graph.graph


def test_a_page_is_kept_among_the_reports_and_written_where_it_is_said(project, tmp_path):
    kept = isthmus.models.graph(project, "file", form="html")
    assert kept.page.endswith("reports/graph-file.html")
    assert (project.folder / ".isthmus/reports/graph-file.html").read_text() == kept.graph
    every = isthmus.models.graph(project, form="html", output=tmp_path / "every.html")
    assert every.page == str(tmp_path / "every.html")
    text = (tmp_path / "every.html").read_text()
    assert text.count("<svg") == 2
    assert "Figures are those of run r1." in text
    assert "Figures are those of run r2." in text


def test_the_command_prints_where_the_page_is_and_the_graph_as_json(project, tmp_path):
    folder = project.folder
    said = command(folder, "models", "graph", "file", "--format", "html")
    assert said.out == "page      .isthmus/reports/graph-file.html\n"
    said = command(folder, "models", "graph", "file", "--output", str(tmp_path / "tree.txt"))
    assert said.out == f"file      {tmp_path / 'tree.txt'}\n"
    assert (tmp_path / "tree.txt").read_text().startswith("version ranker@2   run r2\n")
    said = json.loads(command(folder, "models", "graph", "--json").out)
    assert sorted(said) == ["form", "format", "graph"], "as it was before there were pages"


def test_an_unknown_configuration_is_refused_and_nothing_is_written(project, tmp_path):
    with pytest.raises(NotFound, match="there is no configuration fil "):
        isthmus.models.graph(project, "fil", form="html", output=tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_is_away_leaves_the_graph_and_a_note(project, monkeypatch):
    def away(*_):
        raise Unavailable("nobody answers")

    monkeypatch.setattr(type(project.target.registry), "versions", away)
    text = str(isthmus.models.graph(project, "file"))
    assert "versions could not be read: nobody answers" in text
    assert "feature item_history.item_ctr   weight " in text, "its run was read"


def test_runs_that_cannot_be_read_are_a_note_and_no_advice_to_train(project, monkeypatch):
    def away(*_, **__):
        raise Unavailable("nobody answers")

    monkeypatch.setattr(runs, "list_runs", away)
    text = str(isthmus.models.graph(project, "file"))
    assert "runs and versions could not be read: nobody answers" in text
    assert "isthmus train" not in text


def test_a_model_that_no_newest_run_trained_is_said_so_and_runs_are_read_once(project, monkeypatch):
    asked, list_runs = [], runs.list_runs

    def newest(*arguments, **options):
        asked.append(options["newest"])
        return [run for run in list_runs(*arguments, **options) if run.configuration == "good"]

    monkeypatch.setattr(runs, "list_runs", newest)
    page = isthmus.models.graph(project, form="html").graph
    assert asked == [200]
    assert "Figures are those of run r1." in page
    assert "none of the newest 200 runs trained it: isthmus train models/file.yaml" in page
