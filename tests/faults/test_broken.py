"""Broken files, code and models: a plain message, exit code 1, nothing half-made; mended, it works."""

import pytest

import isthmus as im
from isthmus.tests.cli.running import create, edit, isthmus, tree
from isthmus.tests.faults.flow import settle

pytestmark = [pytest.mark.soak, pytest.mark.slow]


def failed(folder, *arguments):
    said = isthmus(folder, *arguments, ok=False)
    assert said.code == 1, said
    return said.err


@pytest.fixture(scope="module")
def bandit(tmp_path_factory):
    folder = create(tmp_path_factory.mktemp("bandit") / "openbandit", example="openbandit")
    isthmus(folder, "apply")
    return folder


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda data: b"PAR1" + data[4:-4].replace(b"\x00", b"\x01") + b"PAR1",
    ],
)
def test_a_corrupt_parquet_file_is_named_and_changes_nothing(bandit, damage):
    file = bandit / "data/random.parquet"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    before = tree(bandit / ".isthmus")
    try:
        said = failed(bandit, "ingest")
        assert said.startswith("error  sources/impression.sql: ")
        assert "nothing was changed" in said
        assert tree(bandit / ".isthmus") == before
    finally:
        file.write_bytes(whole)


def test_a_corrupt_static_table_is_named_at_its_line(bandit):
    file = bandit / "data/random_items.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    try:
        line = 1 + (bandit / "project.yaml").read_text().split("random_items.parquet")[0].count(
            "\n"
        )
        for command in ("validate", "plan", "apply"):
            said = failed(bandit, command)
            assert f"project.yaml:{line}" in said
            assert "random_items.parquet cannot be read" in said
    finally:
        file.write_bytes(whole)
    isthmus(bandit, "apply")


def test_five_mistakes_are_told_at_once(new):
    edit(new / "project.yaml", "unit: visitor_id ", "unt: visitor_id ")
    edit(new / "project.yaml", "explore: 5%", "explore: 500%")
    edit(new / "profiles.yaml", "default: local", "default: locl")
    edit(new / "models/history.yaml", "trainer: ranker.history", "trainer: ranker.histroy")
    edit(new / "models/history.yaml", "item_history.item_ctr_7d", "item_history.item_crt_7d")
    said = failed(new, "validate")
    errors = [line for line in said.splitlines() if line.startswith("error")]
    for word in ("unt", "500%", "locl", "histroy"):
        assert [line for line in errors if word in line], word
    assert said.splitlines()[-1] == f"{len(errors)} errors; nothing was changed"
    assert len(errors) >= 4  # unt is one: that unit is missing is not told as well
    assert not (new / ".isthmus").exists()
    assert failed(new, "apply").splitlines()[-1].endswith("errors; nothing was changed")


def test_a_trainer_that_raises_is_named_with_its_line_and_nothing_is_registered(shop):
    edit(
        shop / "ranker.py",
        "    return History(data",
        "    raise RuntimeError('no luck today')\n    return History(data",
    )
    line = 1 + (shop / "ranker.py").read_text().split("raise RuntimeError")[0].count("\n")
    said = failed(shop, "train", "models/history.yaml")
    assert "no luck today" in said
    assert f"ranker.py:{line}" in said or f"line {line}" in said
    assert "nothing was registered; log " in said
    settle(shop)
    assert isthmus(shop, "models", "list").out == "no version yet: isthmus train models/...\n"
    assert isthmus(shop, "runs", "list", "--json").json[0]["status"] == "failed"
    assert "no luck today" in isthmus(shop, "runs", "show", "r1").out
    edit(shop / "ranker.py", "    raise RuntimeError('no luck today')\n", "")
    assert "registered ranker@1" in isthmus(shop, "train", "models/history.yaml").out


def test_a_model_that_fails_to_load_is_said_and_the_endpoint_can_be_mended(shop):
    isthmus(shop, "train", "models/history.yaml")
    with im.open(shop / "project.yaml") as project:
        version = project.target.registry.get("ranker", 1)
        uri = f"{version.uri}/attributes.json"
        whole = project.target.blobs.get(uri)
        project.target.blobs.put(uri, b'{"nobody": "knows this"}')
    try:
        said = failed(shop, "deploy", "home")
        assert "champion" in said
        listed = isthmus(shop, "endpoints", "list", "--json").json["endpoints"]["home"]
        assert listed is None or listed["phase"] == "failed"
        with im.open(shop / "project.yaml") as project:
            project.target.blobs.put(uri, whole)
        assert "20 of 20 requests answered" in isthmus(shop, "deploy", "home").out
    finally:
        isthmus(shop, "destroy", "--yes")


def test_a_model_that_answers_wrongly_fails_the_deploy_by_its_smoke_test(shop):
    edit(
        shop / "ranker.py",
        "    def predict(self, rows):\n",
        "    def predict(self, rows):\n        if len(rows) == 4:\n            raise "
        "KeyError('item_category')\n",
    )
    isthmus(shop, "train", "models/history.yaml")
    try:
        said = isthmus(shop, "deploy", "home", ok=False)
        assert said.code == 1
        assert "0 of 20 requests answered (first error: " in said.out
        assert "item_category" in said.out
        assert said.out.splitlines()[-1] == "next   isthmus endpoints logs home"
        assert "item_category" in isthmus(shop, "endpoints", "logs", "home").out
    finally:
        isthmus(shop, "destroy", "--yes")
