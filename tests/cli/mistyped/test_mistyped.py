"""What a person types by mistake or in part is answered by what there is."""

from decimal import Decimal

import pytest

from isthmus.cli.console import console
from isthmus.cli.console.console import Console
from isthmus.endpoints.split import check
from isthmus.errors import Invalid
from isthmus.tests.cli.running import create, isthmus


def test_train_without_a_name_lists_the_configurations(new):
    refused = isthmus(new, "train", ok=False)
    assert refused.code == 64
    assert "models/history.yaml" in refused.err


def test_a_query_of_an_unknown_table_names_the_nearest_and_those_that_there_are(shop):
    refused = isthmus(shop, "query", "SELECT 1 FROM events_impresion", ok=False)
    assert "did you mean events_impression?   there are " in refused.err


def test_the_target_may_stand_before_the_command_and_the_nearer_one_wins(new):
    before = isthmus(new, "--target", "nowhere", "plan", ok=False)
    assert "there is no target nowhere" in before.err
    nearer = isthmus(new, "--target", "nowhere", "plan", "--target", "local")
    assert nearer.out.startswith("local")
    refused = isthmus(new, "--target", "local", "init", "other", ok=False)
    assert (refused.code, "takes no --target" in refused.err) == (64, True)
    assert not (new / "other").exists()


def test_an_endpoint_that_is_mistyped_is_told_the_one_that_was_meant(new):
    for command in (("traffic", "hom", "champion=20"), ("deploy", "hom"), ("traffic", "hom")):
        assert "did you mean home?" in isthmus(new, *command, ok=False).err


def test_a_share_says_its_range():
    with pytest.raises(Invalid, match="champion=120 is not a percentage") as error:
        check(
            {"champion": Decimal(120)},
            variants=["champion"],
            resolution=Decimal(1),
            where="local home",
        )
    assert error.value.remedy == "a share is a number from 0 to 100"


def test_a_share_that_is_too_large_is_refused_before_the_project_is_looked_at(new):
    refused = isthmus(new, "traffic", "home", "champion=120", ok=False)
    assert "champion=120: a share is a number from 0 to 100" in refused.err


def test_a_project_inside_a_project_is_asked_for(new, tmp_path):
    refused = isthmus(new, "init", "inner", ok=False)
    assert f"{new} is a project" in refused.err
    assert "--yes" in refused.err
    assert not (new / "inner").exists()
    assert isthmus(new, "init", "inner", "--example", "starter", "--yes").code == 0
    assert isthmus(tmp_path, "init", "beside", "--example", "starter").code == 0


def test_progress_that_stands_still_is_said_once(capsys, monkeypatch):
    monkeypatch.setattr(console, "QUIET", 0.0)
    talking = Console()
    for _ in range(3):
        talking.progress("replay", 3, 9)
    talking.progress("replay", 4, 9)
    assert capsys.readouterr().err.splitlines() == ["replay  3 of 9", "replay  4 of 9"]


def test_a_key_that_is_misspelt_is_told_once(tmp_path):
    project = create(tmp_path / "shop", example="starter")
    text = (project / "project.yaml").read_text()
    (project / "project.yaml").write_text(text.replace("objective:", "objectiv:", 1))
    refused = isthmus(project, "validate", ok=False)
    assert [line for line in refused.err.splitlines() if line.startswith("error ")] == [
        line for line in refused.err.splitlines() if "objectiv is not a key" in line
    ]
