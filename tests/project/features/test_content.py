"""What may be wrong with `extract:` and `profile:`, each told at its line."""

import pytest

from isthmus.project.load import load, parse
from isthmus.tests.pipelines.extraction import world

TEXT = "{from: item_published, reads: [title], with: isthmus.text, parameters: {dimensions: 4}}"
TASTE = "{of: item_text, by: click, window: 3d}"
# what is written -> instead of what, the problem, the remedy
MISTAKES = {
    "an unknown event": ("from: item_publisht", "from: item_published", "extract.from: item_publisht is not an event", "did you mean item_published?"),
    "an event without the key": ("from: opened", "from: item_published", "extract.from: opened has no item_id, the key of item", "add item_id to events.opened"),
    "an unknown attribute": ("reads: [titel]", "reads: [title]", "extract.reads[0]: titel is not an attribute of item_published", "did you mean title?"),
    "a number to read": ("reads: [item_id]", "reads: [title]", "item_id is a int, and isthmus.text reads texts", "texts are title"),
    "an unknown extractor": ("with: isthmus.txt", "with: isthmus.text", "isthmus.txt is no extractor of Isthmus", "did you mean isthmus.text?"),
    "an extractor of a later version": ("with: isthmus.image", "with: isthmus.text", "isthmus.image is not supported yet by this version", "an extractor of your own"),
    "a module that is not there": ("with: contents.embed", "with: isthmus.text", "there is no module contents beside project.yaml", "write contents.py there"),
    "too many dimensions": ("dimensions: 65", "dimensions: 4", "extract.parameters.dimensions: 65 is above 64", "write 64 or less"),
    "an unknown parameter": ("dimension: 4", "dimensions: 4", "dimension is not a key of isthmus.text", "did you mean dimensions?"),
    "a tokenizer that is not there": ("tokenizer: mecab", "dimensions: 4", "extract.parameters.tokenizer", None),
    "an unknown view": ("of: item_txt", "of: item_text", "profile.of: item_txt is not a feature view", "did you mean item_text?"),
    "a view without vectors": ("of: user_taste", "of: item_text", "profile.of: user_taste is a view without extract", "views with extract are item_text"),
    "an event without a person": ("by: item_published", "by: click", "profile.by: item_published has no user_id, the key of user", "add user_id"),
    "no window": (f"profile: {TASTE.replace(', window: 3d', '')}", f"profile: {TASTE}", "window is missing", "window: 30d"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    folder = world.create(tmp_path / "reader", published=5, clicked=5)
    file = folder / "project.yaml"
    text = file.read_text().replace(
        "  click:", "  opened: {attributes: {user_id: {type: string}}}\n  click:"
    )
    file.write_text(text)
    return folder


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_at_its_line(case, folder):
    written, instead, message, remedy = MISTAKES[case]
    file = folder / "project.yaml"
    assert instead in file.read_text()
    file.write_text(file.read_text().replace(instead, written))
    _, problems = parse(file)
    (problem,) = (p for p in problems if message in p.message)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if written in text)
    assert (problem.file, problem.line) == ("project.yaml", line)
    assert remedy is None or remedy in (problem.remedy or "")


def test_a_model_may_not_have_the_name_of_an_extractors_view(folder):
    (folder / "models").mkdir()
    (folder / "models" / "own.yaml").write_text(
        "model: item_text\nobjective: ctr\nfeatures: [item_id]\ntrainer: isthmus.logistic\n"
    )
    _, problems = parse(folder / "project.yaml")
    assert any("a model is called item_text" in problem.message for problem in problems)


def test_a_file_of_sql_beside_a_generated_view_is_told(folder):
    (folder / "features").mkdir()
    (folder / "features" / "item_text.sql").write_text("SELECT 1\n")
    _, problems = parse(folder / "project.yaml")
    assert any(problem.file == "features/item_text.sql" for problem in problems)


def test_a_function_beside_the_project_is_looked_up_and_not_run(folder):
    (folder / "content.py").write_text(
        "raise SystemExit\n\n\ndef embed(rows, dimensions):\n    ...\n"
    )
    file = folder / "project.yaml"
    file.write_text(file.read_text().replace("with: isthmus.text", "with: content.embed"))
    assert load(file).spec.feature_views["item_text"].extract.extractor == "content.embed"
    file.write_text(file.read_text().replace("content.embed", "content.embet"))
    _, problems = parse(file)
    (problem,) = (p for p in problems if "content has no function embet" in p.message)
    assert "did you mean embed?" in problem.remedy
