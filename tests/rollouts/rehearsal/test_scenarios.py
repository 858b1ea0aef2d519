"""Every scenario file, in the scripted world as fast and as fenced as this machine, and as slow and
unfenced as SageMaker.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from msgspec.structs import replace

import isthmus
from isthmus.errors import Unsupported
from isthmus.lifecycle.rehearsal.offline import rehearse_offline
from isthmus.rollouts.rehearsal.rehearse import rehearse
from isthmus.tests.cli.running import isthmus as command_line
from isthmus.tests.example import copied
from isthmus.tests.rollouts.scenario_files import FILES, rehearsal
from isthmus.tests.rollouts.scene import LOCAL, SAGEMAKER, VERTEX

EXAMPLES = Path(__file__).parents[3] / "examples"


def entries(result, what):
    return [entry for entry in result.entries if entry.what == what]


@pytest.mark.parametrize("traits", [LOCAL, SAGEMAKER, VERTEX], ids=lambda traits: traits.name)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_ends_as_it_says_it_must(path, traits):
    result, world = rehearsal(path, traits)
    assert not result.unexpected, f"{result.unexpected}\n{result}"
    assert not result.never
    served = {name: variant.percent for name, variant in world.fleet.variants.items()}
    champion = world.models.aliases["ranker", "champion"]
    if result.end == "aborted":
        assert (served["challenger"], served["champion"], champion) == (0, 100, 1)
    elif result.end == "promoted":
        assert served == {"champion": 100}
        assert world.fleet.variants["champion"].spec.version == champion == 2
        assert ("ranker", "challenger") not in world.models.aliases
    assert [entry.seq for entry in result.entries] == list(range(1, len(result.entries) + 1)), (
        "history has no gap and nothing twice"
    )


def test_a_scenario_gives_the_same_history_each_time():
    path = next(path for path in FILES if path.stem == "drift")
    first, second = (rehearsal(path, SAGEMAKER)[0] for _ in range(2))
    assert first.entries == second.entries
    assert first.minutes == second.minutes


def test_what_a_scenario_must_show_is_in_its_history():
    """The verdicts beyond the end that the files say."""
    by_name = {path.stem: rehearsal(path, LOCAL)[0] for path in FILES}
    assert [entry.attempt for entry in entries(by_name["drift"], "corrected")] == [1]
    assert [entry.stage for entry in entries(by_name["data_come"], "held")] == [2]
    assert entries(by_name["data_come"], "data")
    assert [entry.who for entry in entries(by_name["person_pauses"], "paused")] == ["somebody"]
    assert {entry.who for entry in by_name["stopped_before_shift"].entries} >= {
        "controller 1",
        "controller 2",
    }
    assert by_name["broken_outright"].detected is not None


def test_what_differs_from_a_scenario_is_told(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(
        (FILES[0].parent / "errors.yaml")
        .read_text()
        .replace("stage: 1, within: 12m, by: error_rate", "stage: 2, within: 2m, by: latency")
    )
    told = str(rehearsal(path, LOCAL)[0])
    assert "not as expected: in step 1, not in step 2" in told
    assert "not within 2m" in told
    assert "not by latency" in told
    path.write_text(
        "rollout: ranker\nevents:\n  - {at: step 3 + 5m, metrics: outage}\n  - {at: 3m, "
        "person: abort}\nexpect: {end: promoted}\n"
    )
    told = str(rehearsal(path, LOCAL)[0])
    assert "it ended aborted, not promoted: somebody" in told
    assert "never happened, it was over before: metrics outage" in told
    path.write_text(
        "rollout: ranker\nevents:\n  - {at: 3m, person: abort}\n  - {at: 5h, metrics: "
        "outage}\nexpect: {end: aborted}\n"
    )
    assert "never happened, it was over before: metrics outage" in str(rehearsal(path, LOCAL)[0])


@pytest.mark.parametrize("example", ["openbandit", "shop"])
def test_the_examples_scenarios_end_as_they_say(tmp_path, example):
    folder = tmp_path / example
    shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns(".isthmus"))
    if example != "openbandit":
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / "items.csv").write_text("item_id\n1\n")
    paths = sorted((folder / "scenarios").glob("*.yaml"))
    assert len(paths) == 2
    with isthmus.open(folder / "project.yaml") as project:
        for path in paths:
            result = rehearse(project, path)
            assert not result.unexpected, str(result)
        assert not (folder / ".isthmus").exists(), "nothing of the target was touched"


sagemaker = pytest.mark.skipif(not find_spec("boto3"), reason="needs SageMaker's packages")


@sagemaker
def test_an_adapter_that_cannot_be_shown_made_up_minutes_is_refused_by_name(tmp_path):
    with isthmus.open(copied(tmp_path), target="sagemaker") as project:
        project.target.adapter = replace(project.target.adapter, ports={})
        with pytest.raises(
            Unsupported, match="a rehearsal by SageMaker's own adapter is not supported yet"
        ):
            rehearse_offline(project, EXAMPLES / "openbandit" / "scenarios" / "errors.yaml")


@sagemaker
def test_the_command_needs_no_account_and_fails_when_it_is_not_as_expected(tmp_path):
    """CI's exit code; a cloud is rehearsed without its credentials."""
    project = copied(tmp_path / "openbandit")
    errors = EXAMPLES / "openbandit" / "scenarios" / "errors.yaml"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        errors.read_text().replace(
            "end: aborted, stage: 1, within: 15m, by: error_rate", "end: promoted"
        )
    )
    command = [
        "rollout",
        "rehearse",
        "ranker",
        "--project",
        project,
        "--target",
        "sagemaker",
        "--scenario",
    ]
    assert command_line(tmp_path, *command, errors).out.splitlines()[-1] == "  as expected"
    differs = command_line(tmp_path, *command, wrong, ok=False)
    assert (differs.code, "not as expected: it ended aborted, not promoted" in differs.out) == (
        1,
        True,
    )
