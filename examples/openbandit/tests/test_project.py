"""This project's own suite: the same description on the laptop and on an AWS that executes. `aws_stack` comes with isthmus."""

import shutil
from pathlib import Path

import pytest

import isthmus as im

HERE = Path(__file__).parents[1]


@pytest.fixture
def project_file(tmp_path):
    folder = tmp_path / "openbandit"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns(".isthmus", "tests", "__pycache__"))
    return folder / "project.yaml"


def stored(project):
    im.apply(project)
    return {report.event: (report.stored, report.quarantined) for report in im.ingest(project)}


def test_the_description_is_well_on_every_target():
    assert im.validate(HERE / "project.yaml").errors == ()


def test_the_whole_log_goes_in_on_the_laptop_and_no_view_sees_the_future(project_file):
    with im.open(project_file) as project:
        assert stored(project) == {"impression": (20_000, 0), "click": (80, 0)}
        checked = [view.as_known for view in im.materialize(project) if view.as_known]
        assert [view.blamed for view in checked] == [0] * len(checked)


def test_the_whole_log_goes_in_on_sagemaker_also_when_athena_throttles(project_file, aws_stack):
    aws_stack.fault(kind="throttle", service="athena", operation="StartQueryExecution", times=2)
    with im.open(project_file, target="sagemaker", offline=True) as project:
        assert stored(project) == {"impression": (20_000, 0), "click": (80, 0)}
    assert "StartQueryExecution" in {call.operation for call in aws_stack.calls() if call.error}
