"""Every rule has a case that breaks it: the file and line, what is wrong, and what to do."""

import pytest

from isthmus.project.load import parse
from isthmus.project.reading.names import did_you_mean

from .cases import CASES, F, L, P, Q


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mistake_is_named_with_its_file_line_and_remedy(example, case):
    file, old, new, blamed, message, remedy = case
    example.edit(file, old, new)
    found = [p for p in example.problems() if message in p.message]
    assert len(found) == 1, [str(p) for p in example.problems()]
    problem = found[0]
    assert problem.severity == "error"
    assert problem.file == file
    line = (example.path / file).read_text().splitlines()[problem.line - 1]
    if blamed is not None:
        assert blamed in line + "\n", f"{problem} blames: {line}"
    assert remedy is None or remedy in (problem.remedy or "")


def test_five_mistakes_are_told_at_once_each_at_its_line(example):
    example.edit(P, "position:   {type: int", "position:   {type: integr")
    example.edit(P, "within: 30m", "within: 30")
    example.edit(P, "unit: visitor_id", "unt: visitor_id")
    example.edit(L, "trainer: ranker.logistic", "trainer: ranker.logistik")
    example.edit(F, "region:", "regoin:")
    wanted = {
        (P, example.line(P, "integr")),
        (P, example.line(P, "within: 30,")),
        (P, example.line(P, "unt: visitor_id")),
        (L, example.line(L, "logistik")),
        (F, example.line(F, "regoin")),
    }
    problems = example.problems()
    assert {(p.file, p.line) for p in problems} >= wanted
    assert len(problems) == 5  # a typo is told once: not `unit is missing` besides
    assert [p.file for p in problems] == sorted(
        (p.file for p in problems), key=lambda f: (f != P, f)
    )


def test_one_mistake_does_not_call_its_readers_wrong_too(example):
    example.edit(P, "      impression_id: {type: string} ", "      impression_id: {type: strng} ")
    assert [p.message for p in example.problems()] == [
        "events.click.attributes.impression_id.type: 'strng' is not known here"
    ]


def test_an_alias_that_no_model_gives_is_a_warning_and_a_number_is_none(example):
    example.edit(P, "ranker@challenger", "ranker@challengr")
    example.edit(P, "ranker@champion", "ranker@3")
    assert [(p.severity, p.remedy.split("?")[0]) for p in example.problems()] == [
        ("warning", "did you mean challenger")
    ]
    assert [v.ref for v in example.spec().endpoints["ranker"].variants] == ["3", "challengr"]


def test_a_name_in_the_file_and_in_the_folder_is_defined_twice(example):
    example.write("events/click.yaml", "attributes: {impression_id: {type: string}}\n")
    (problem,) = example.problems()
    assert (problem.file, "first is in project.yaml:" in problem.message) == (
        "events/click.yaml",
        True,
    )


def test_a_monitor_in_its_own_file_is_judged_as_one_in_the_section(example):
    example.write("monitors/served_alike.yaml", "endpoint: ranker\n")
    (problem,) = example.problems()
    assert (problem.file, problem.message) == (
        "monitors/served_alike.yaml",
        "monitors.served_alike: it groups nothing",
    )


def test_a_file_that_ends_in_yml_is_not_passed_over(example):
    example.write("models/tree.yml", "model: ranker\n")
    (problem,) = example.problems()
    assert (problem.file, problem.remedy) == ("models/tree.yml", "rename it to tree.yaml")


@pytest.mark.parametrize(
    ("file", "near"), [("sources/clik.sql", "click"), ("features/item_histroy.sql", "item_history")]
)
def test_sql_that_belongs_to_nothing_is_an_error(example, file, near):
    example.write(file, "SELECT 1\n")
    (problem,) = example.problems()
    assert (problem.file, f"did you mean {near}?" in problem.remedy) == (file, True)


def test_a_view_with_comments_only_holds_no_sql(example):
    example.write("features/item_profile.sql", "-- later\n;\n")
    (problem,) = example.problems()
    assert "holds no SQL" in problem.message


def test_a_view_whose_key_the_exposure_lacks_cannot_be_joined(example):
    example.edit(P, "      segment_id: {type: string}\n", "")
    (problem,) = example.problems()
    assert (problem.file, "segment_id, which impression does not carry" in problem.message) == (
        L,
        True,
    )


def test_a_trainer_that_python_cannot_read_is_named_once(example):
    example.edit(
        "ranker.py",
        "def popularity(data, label, features):",
        "def popularity(data, label, features)",
    )
    (problem,) = example.problems()
    assert (problem.file, problem.line) == (
        "ranker.py",
        example.line("ranker.py", "def popularity"),
    )


def test_a_trainers_argument_without_a_default_must_be_given(example):
    example.edit("ranker.py", "features, C=0.1)", "features, C, depth)")
    (problem,) = example.problems()
    assert "ranker.logistic needs depth" in problem.message


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("data, label, features, C=0.1", None),
        ("table, label, features, *, C", None),
        ("data, /, label, features, C=1", None),
        ("data, **rest", None),
        ("data=None, /, label=None, features=None, C=None", None),
        ("data, label, features, depth=3, **rest", None),
        ("data, labels, features, C=0.1", "does not take data, label and features"),
        ("label, features", "does not take data, label and features"),
        ("", "does not take data, label and features"),
        ("data, label, features", "C is not a parameter of ranker.logistic"),
        ("data, label, features, *, C, depth", "ranker.logistic needs depth"),
    ],
)
def test_a_trainer_takes_what_it_is_given(example, signature, message):
    example.edit(
        "ranker.py", "def logistic(data, label, features, C=0.1):", f"def logistic({signature}):"
    )
    assert [message in p.message for p in example.problems()] == ([] if message is None else [True])


def test_a_module_of_pythons_own_name_is_refused(example):
    example.write("random.py", "def train(data, label, features): ...\n")
    example.edit(Q, "ranker.popularity", "random.train")
    (problem,) = example.problems()
    assert "random is the name of a module of Python itself" in problem.message


def test_extends_in_a_circle_is_refused(example):
    example.edit(F, "  sagemaker:\n", "  sagemaker:\n    extends: sagemaker-staging\n")
    problems = [p for p in example.problems() if "it extends itself" in p.message]
    assert [p.message.split(": ")[-1] for p in problems] == [
        "sagemaker -> sagemaker-staging -> sagemaker"
    ]


def test_an_adapter_that_is_not_there_is_told_once_and_not_of_who_extends_its_target(example):
    example.edit(
        F, "  local: {}\n", "  local: {}\n  far: {adapter: faraway}\n  near: {extends: far}\n"
    )
    (problem,) = example.problems()
    assert problem.message == "targets.far.adapter: there is no adapter faraway"


def test_one_variant_is_not_told_as_a_sum_and_nothing_not_as_none(example):
    example.edit(P, "traffic: 90", "traffic: 80")
    assert "traffic sums to 80 + 10 = 90, not 100" in example.problems()[0].message
    assert did_you_mean("ctr", (), has="objectives are") == "there are no objectives yet"
    assert did_you_mean("ctr", (), has="it has") == "it has none"


def test_a_tab_is_named_as_the_cause(example):
    example.edit(F, "  local: {}", "\tlocal: {}")
    (problem,) = example.problems()
    assert (problem.message, problem.remedy) == (
        "this is not YAML: the line begins with a tab",
        "indent with spaces",
    )


def test_a_secrets_value_is_never_repeated(example):
    example.edit(F, "  local: {}", "  local: {password: hunter2, home: AKIAIOSFODNN7EXAMPLE}")
    problems = example.problems()
    assert len(problems) == 2
    told = " ".join(map(str, problems))
    assert "hunter2" not in told
    assert "AKIA" not in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing is in it"),
        ("# only a comment\n", "nothing is in it"),
        ("- a\n- b\n", "a project is a mapping"),
        ("name: [a\n", "this is not YAML"),
        ("name: a\n\tb: c\n", "this is not YAML"),
        ("name: shop\n---\nname: shop\n", "a second document"),
        ("{a: 1}: b\n", "a key is a list or a mapping"),
        ("name: " + "[" * 200 + "]" * 200 + "\n", "levels deep"),
        ("name: \x07\n", "this is not YAML"),
    ],
)
def test_a_file_that_is_no_project_is_one_clear_error(tmp_path, text, message):
    (tmp_path / "project.yaml").write_text(text)
    description, problems = parse(tmp_path)
    assert description is None
    assert message in " ".join(p.message for p in problems)


def test_a_file_that_is_not_text_says_in_which_line(tmp_path):
    (tmp_path / "project.yaml").write_bytes(b"name: shop\ndescription: caf\xe9\n")
    (problem,) = parse(tmp_path)[1]
    assert (problem.line, problem.message) == (2, "this is not UTF-8 text")
