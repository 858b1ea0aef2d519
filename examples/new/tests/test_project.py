"""This project's own suite: the same description on the laptop and on an AWS that executes. The fixture `aws_stack` comes with isthmus."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import isthmus as im

HERE = Path(__file__).parents[1]
OFFLINE = find_spec("moto") is not None and "\n  sagemaker:" in (HERE / "profiles.yaml").read_text()


@pytest.fixture
def project_file(tmp_path):
    """Of a copy, so that what a test stores goes with it."""
    folder = tmp_path / HERE.name
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns(".*", "tests", "__pycache__"))
    return folder / "project.yaml"


def refused(project):
    """Rows of each event that went into quarantine."""
    im.apply(project)
    return {report.event: report.quarantined for report in im.ingest(project) if report.quarantined}


def test_the_description_is_well_on_every_target():
    assert im.validate(HERE / "project.yaml").errors == ()


def test_the_log_goes_in_whole_and_no_feature_sees_the_future(project_file):
    with im.open(project_file) as project:
        assert refused(project) == {}
        im.materialize(project)  # raises Refused for a view whose rows see later data


@pytest.mark.skipif(not OFFLINE, reason="needs a target `sagemaker` in profiles.yaml, and isthmus[sagemaker,stack]")
def test_the_log_goes_into_sagemaker_s_tables_whole(project_file, aws_stack):
    with im.open(project_file, target="sagemaker", offline=True) as project:
        assert refused(project) == {}
    assert "StartQueryExecution" in {call.operation for call in aws_stack.calls()}  # Athena wrote them
