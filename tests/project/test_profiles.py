"""Targets: names, inheritance, options laid over."""

import sys
from importlib import import_module
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from isthmus.errors import Invalid, NotFound, ProjectError, Unsupported
from isthmus.project.load import load, parse
from isthmus.project.profiles.profiles import mlflow, profile, profiles
from isthmus.project.reading.shapes import Folder, Number, RecordKey
from isthmus.target import Adapter

KEYS = {
    "workspace": RecordKey(shape=Number(whole=True)),
    "cache": RecordKey(shape=Folder(default=".cache")),
}


def choose(example, target=None, *, offline=False, **options):
    return profile(load(example.path), target=target, offline=offline, options=options)


def test_the_example_has_four_targets_and_the_default_is_local(example):
    found = profiles(load(example.path))
    assert {name: p.adapter for name, p in found.items()} == {
        "local": "local",
        "sagemaker": "sagemaker",
        "sagemaker-staging": "sagemaker",
        "vertex": "vertex",
    }
    assert choose(example).name == "local"
    assert {p.project for p in found.values()} == {"openbandit"}


def test_a_target_takes_from_another_what_it_does_not_say(example):
    options = choose(example, "sagemaker-staging").options
    assert (options["account"], options["region"]) == ("210987654321", "ap-northeast-1")
    assert "extends" not in options
    assert "adapter" not in options


def test_a_target_that_only_extends_has_the_others_adapter(example):
    example.edit(
        "profiles.yaml",
        "  vertex:\n",
        "  tokyo: {extends: sagemaker-staging, region: ap-northeast-3}\n  vertex:\n",
    )
    found = choose(example, "tokyo")
    assert (found.adapter, found.options["region"], found.options["bucket"]) == (
        "sagemaker",
        "ap-northeast-3",
        "s3://example-ranker-staging",
    )


def test_without_the_file_there_is_one_target_local(example):
    (example.path / "profiles.yaml").unlink()
    assert list(profiles(load(example.path))) == ["local"]
    assert choose(example, offline=True).options == {"home": str(example.path / ".isthmus")}


def test_profiles_yaml_is_read_with_the_project_and_not_again(example):
    description = load(example.path)
    targets = profiles(description)
    (example.path / "profiles.yaml").write_text("targets: {other: {adapter: nothing}}\n")
    assert profiles(description) == targets
    assert profile(description, target="vertex", offline=False, options={}) == targets["vertex"]


def test_a_profiles_yaml_that_comes_after_the_project_was_read_is_not_there(example):
    (example.path / "profiles.yaml").rename(example.path / "profiles.txt")
    description = load(example.path)
    (example.path / "profiles.txt").rename(example.path / "profiles.yaml")
    assert set(profiles(description)) == {"local"}


def test_local_keeps_things_beside_the_project_unless_told_otherwise(example):
    assert choose(example).options["home"] == str(example.path / ".isthmus")
    assert choose(example, home="elsewhere").options["home"] == str(example.path / "elsewhere")
    example.edit("profiles.yaml", "  local: {}", "  local: {home: /var/tmp/kept}")
    assert choose(example).options["home"] == "/var/tmp/kept"


def test_several_local_targets_may_have_free_names(example):
    example.edit(
        "profiles.yaml", "  local: {}", "  local: {}\n  scratch: {adapter: local, home: .scratch}"
    )
    assert choose(example, "scratch").options["home"] == str(example.path / ".scratch")


def test_options_are_laid_over_the_targets_own(example):
    assert choose(example, "sagemaker", bucket="s3://mine").options["bucket"] == "s3://mine"


def test_an_unknown_target_is_guessed(example):
    with pytest.raises(NotFound) as error:
        choose(example, "sagemakr")
    assert "did you mean sagemaker?" in error.value.remedy


def test_an_unknown_option_is_guessed_and_a_secret_one_refused(example):
    with pytest.raises(Invalid) as error:
        choose(example, "sagemaker", buckt="s3://mine")
    assert "did you mean bucket?" in error.value.remedy
    with pytest.raises(Invalid, match="looks like a secret") as error:
        choose(example, "sagemaker", aws_session_token="abc")
    assert "abc" not in str(error.value)


@pytest.mark.parametrize("target", ["sagemaker", "sagemaker-staging", "vertex"])
def test_a_clouds_offline_stack_is_not_there_yet(example, target):
    with pytest.raises(Unsupported) as error:
        choose(example, target, offline=True)
    assert error.value.capability == "offline"


def test_a_wrong_key_stops_its_own_target_alone(example):
    example.edit("profiles.yaml", "region:", "regoin:")
    assert choose(example, "local").adapter == "local"  # which loads the project
    assert "vertex" in profiles(load(example.path))
    for target in ("sagemaker", "sagemaker-staging"):  # the second extends the first
        with pytest.raises(ProjectError, match="regoin"):
            choose(example, target)
    _, strict = parse(example.path)
    assert [problem.severity for problem in strict] == ["error"]
    _, told = parse(example.path, target="local")
    assert [problem.severity for problem in told] == ["warning"]
    assert "regoin" in told[0].message
    _, own = parse(example.path, target="sagemaker-staging")
    assert [problem.severity for problem in own] == ["error"]


def test_a_wrong_key_of_the_whole_file_stops_every_target(example):
    example.edit("profiles.yaml", "targets:", "tragets:")
    with pytest.raises(ProjectError, match="tragets"):
        choose(example, "local")


def test_targets_that_extend_each_other_are_told_to_both(example):
    example.edit("profiles.yaml", "extends: sagemaker", "extends: other")
    example.edit(
        "profiles.yaml", "  local: {}", "  local: {}\n  other: {extends: sagemaker-staging}"
    )
    for target in ("other", "sagemaker-staging"):
        with pytest.raises(ProjectError, match="it extends itself"):
            choose(example, target)


def test_a_third_partys_adapter_says_its_own_keys(example, monkeypatch):
    lake = Adapter(
        name="databrooks",
        title="Databrooks",
        capabilities={},
        ports={},
        options=SimpleNamespace(keys=lambda: import_module(__name__).KEYS),
    )
    example.edit(
        "profiles.yaml",
        "  local: {}",
        "  local: {}\n  lake: {adapter: databrooks, workspace: 7, cache: deep}",
    )
    assert "there is no adapter databrooks" in example.problems()[0].message
    point = EntryPoint(name="databrooks", value="somewhere:ADAPTER", group="isthmus.adapters")
    monkeypatch.setattr(EntryPoint, "load", lambda _self: lake)
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda *, group: [point] if group == point.group else []
    )
    chosen = choose(example, "lake")
    assert (chosen.adapter, chosen.options) == (
        "databrooks",
        {"workspace": 7, "cache": str(example.path / "deep")},
    )
    monkeypatch.setitem(sys.modules, __name__, None)
    (problem,) = example.problems()
    assert (problem.message, problem.remedy) == (
        f"targets.lake.adapter: adapter databrooks needs {__name__}",
        f"install what brings {__name__}",
    )
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(KEYS=KEYS))
    with pytest.raises(Unsupported, match="Databrooks has no offline stack"):
        choose(example, "lake", offline=True)
    example.edit("profiles.yaml", "workspace: 7", "workspce: 7")
    (problem,) = example.problems()
    assert (problem.message, problem.remedy) == (
        "targets.lake.workspce: workspce is not a key of a target of databrooks",
        "did you mean workspace?   a target of databrooks has adapter, extends, workspace, cache",
    )


def offline_server(example, text):
    example.write(
        "profiles.yaml",
        f"targets:\n  aws:\n    adapter: sagemaker\n    bucket: s3://bucket\n    offline: {text}\n",
    )


@pytest.mark.parametrize("allow", ["", ", allow_remote: false"])
@pytest.mark.parametrize(
    "url", ["http://localstack:4566", "http://127.0.0.1.example.com", "https://10.0.0.7:4566"]
)
def test_an_offline_server_elsewhere_is_refused_by_its_key_and_line_unless_it_is_allowed(
    example, url, allow
):
    offline_server(example, f'{{endpoint_url: "{url}"{allow}}}')
    with pytest.raises(ProjectError) as refusal:
        choose(example, "aws", offline=True)
    (problem,) = refusal.value.problems
    assert (problem.file, problem.line) == ("profiles.yaml", 5)
    assert f"targets.aws.offline.endpoint_url: {url} is not on this machine" in problem.message
    assert "allow_remote: true" in problem.remedy


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{endpoint_url: localstack:4566}",
        "{endpoint_url: 'http://user:word@localhost:1'}",
        "true",
    ],
)
def test_an_offline_server_without_a_plain_url_is_refused(example, text):
    offline_server(example, text)
    with pytest.raises(ProjectError, match="offline"):
        choose(example, "aws")


@pytest.fixture
def with_variables(example):
    example.edit(
        "profiles.yaml",
        "  vertex:\n",
        "  ci: {extends: sagemaker, bucket: 's3://${TEAM}-ranker'}\n  vertex:\n",
    )
    return example


def test_a_variable_of_the_environment_is_put_in(with_variables, monkeypatch):
    monkeypatch.setenv("TEAM", "123")
    assert choose(with_variables, "ci").options["bucket"] == "s3://123-ranker"
    assert profiles(load(with_variables.path))["ci"].options["region"] == "ap-northeast-1"


def test_a_variable_is_a_number_where_one_belongs_and_text_elsewhere(with_variables, monkeypatch):
    monkeypatch.setenv("TEAM", "3")
    serving = "s3://${TEAM}-ranker', serving: {instance: ml.m5.large, count: '${TEAM}'}}"
    with_variables.edit("profiles.yaml", "s3://${TEAM}-ranker'}", serving)
    options = choose(with_variables, "ci").options
    assert (options["serving"]["count"], options["bucket"]) == (3, "s3://3-ranker")
    monkeypatch.setenv("TEAM", "three")
    with pytest.raises(ProjectError, match="'three' is not a whole number"):
        choose(with_variables, "ci")


def test_a_variable_that_is_not_set_is_an_error_where_its_target_is_used(
    with_variables, monkeypatch
):
    monkeypatch.delenv("TEAM", raising=False)
    assert choose(with_variables).name == "local"
    assert "ci" not in profiles(load(with_variables.path))
    line = 1 + (with_variables.path / "profiles.yaml").read_text().split("  ci:")[0].count("\n")
    for use in (
        lambda: choose(with_variables, "ci"),
        lambda: profiles(load(with_variables.path), complete=True),
    ):
        with pytest.raises(ProjectError) as error:
            use()
        (problem,) = error.value.problems
        assert (problem.file, problem.line) == ("profiles.yaml", line)
        assert (problem.message, problem.remedy) == (
            "targets.ci.bucket: the environment has no TEAM", "export TEAM=..., or write the value here",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${TEAM:-a}", "${TEAM:-a} is not a variable"),
        ("${TEAM", "${TEAM is not a variable"),
        ("${AWS_SECRET_ACCESS_KEY}", "${AWS_SECRET_ACCESS_KEY} looks like a secret"),
        ("${HIDDEN}", "what its variable holds looks like a secret"),
        ("${EMPTY}", "'' is not a bucket"),
    ],
)
def test_a_variable_that_is_no_plain_name_or_holds_a_secret_is_refused(
    with_variables, monkeypatch, written, said
):
    for name, value in {
        "TEAM": "a",
        "HIDDEN": "AKIA" + "A" * 16,
        "EMPTY": "",
        "AWS_SECRET_ACCESS_KEY": "hidden",
    }.items():
        monkeypatch.setenv(name, value)
    with_variables.edit("profiles.yaml", "s3://${TEAM}-ranker", written)
    with pytest.raises(ProjectError) as error:
        choose(with_variables, "ci")
    (problem,) = error.value.problems
    assert problem.message == f"targets.ci.bucket: {said}"
    assert "AKIA" not in str(error.value)


def test_a_tracking_server_is_read_once_its_variable_is_set(example, monkeypatch):
    example.edit(
        "profiles.yaml", "default: local\n", "default: local\ntracking: {mlflow: '${TRACKER}/'}\n"
    )
    monkeypatch.delenv("TRACKER", raising=False)
    assert choose(example).name == "local"  # what needs no server does without
    with pytest.raises(ProjectError, match="the environment has no TRACKER"):
        mlflow(load(example.path))
    monkeypatch.setenv("TRACKER", "http://127.0.0.1:5000")
    assert mlflow(load(example.path)) == "http://127.0.0.1:5000"
