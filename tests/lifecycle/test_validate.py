"""`isthmus validate`: every file, for every target, with nothing called."""

import isthmus as im
from isthmus.adapters.vertex.capabilities import CAPABILITIES
from isthmus.target import Capability
from isthmus.tests.cli.running import create, edit, isthmus, tree


def test_the_example_is_well_on_all_three_targets(tmp_path):
    example = create(tmp_path / "openbandit", example="openbandit")
    before = tree(example)
    lines = isthmus(example, "validate").out.splitlines()
    assert (
        lines[0]
        == "local       ok   2 events  1 objective  3 views (6 features)  2 models  1 endpoint  "
        "1 rollout  1 experiment"
    )
    assert lines[1] == "sagemaker   ok   3 views transpiled for Athena (and sagemaker-staging)"
    assert lines[2] == "vertex      ok   3 views transpiled for BigQuery (2 windows rewritten)"
    assert [line.split()[0] for line in lines[3:]] == [
        "warning",
        "warning",
        "latency_p90",
        "next",
    ]  # what the rollout's guardrails need
    assert lines[-1] == "next   isthmus plan"
    assert tree(example) == before


def test_what_one_target_cannot_say_is_found_before_anything_is_made(new):
    """A RANGE over days and a number is a sentence that no target has, so it is said once, with
    file and line.
    """
    edit(
        new / "features/item_history.sql",
        "FROM ctr",
        "FROM ctr ASOF JOIN ctr AS other ON ctr.event_timestamp >= other.event_timestamp",
    )
    problems = im.validate(new / "project.yaml").errors
    assert problems
    assert {problem.file for problem in problems} == {"features/item_history.sql"}
    assert all(problem.line for problem in problems)


def test_several_views_and_models_are_judged_at_once(new):
    edit(new / "models/history.yaml", "item_history.item_ctr_7d", "item_history.item_crt_7d")
    edit(new / "project.yaml", "unit: visitor_id ", "unt: visitor_id ")
    files = {problem.file for problem in im.validate(new / "project.yaml").errors}
    assert files == {"models/history.yaml", "project.yaml"}


def test_what_is_wrong_with_an_endpoint_is_said_though_a_rollout_and_an_experiment_name_it(
    tmp_path,
):
    shop = create(tmp_path / "shop", example="shop")
    edit(
        shop / "project.yaml",
        "arms: {shuffled: {explore: 100%}, ranked: {explore: 0%}}",
        "arms: {old: {}, new: {variant: challenger}}",
    )
    wrong = (
        "explore: 5%\n    parameters: {up: {type: float, default: 1.5}}\n    rules: [{boost: "
        "{where: {item_id: 3}, times: $up}}]\n"
    )
    edit(shop / "project.yaml", "explore: 5%\n", wrong)
    (problem,) = im.validate(shop / "project.yaml").errors
    assert "up may be below 0" in problem.message


def test_a_file_that_changed_is_judged_anew_in_the_same_process(new):
    assert im.validate(new / "project.yaml").errors == ()
    edit(new / "features/item_history.sql", "FROM ctr", "FROM ctrr")
    assert im.validate(new / "project.yaml").errors
    edit(new / "features/item_history.sql", "FROM ctrr", "FROM ctr")
    assert im.validate(new / "project.yaml").errors == ()


def test_each_target_says_which_bakes_are_too_short_for_its_metrics(tmp_path):
    example = create(tmp_path / "openbandit", example="openbandit")
    edit(example / "project.yaml", "{traffic: 25, bake: 15m}", "{traffic: 25, bake: 4m}")
    problems = im.validate(example / "project.yaml").errors
    assert [(problem.message, problem.remedy) for problem in problems] == [
        (
            (
                "rollouts.ranker.steps[0].bake: 4m is too short on sagemaker, where metrics come "
                "up to 3m late"
            ),
            "write 5m or more",
        ),
        (
            (
                "rollouts.ranker.steps[0].bake: 4m is too short on vertex, where metrics come up "
                "to 5m late"
            ),
            "write 7m or more",
        ),
    ]
    lines = (example / "project.yaml").read_text().splitlines()
    assert all("bake: 4m" in lines[problem.line - 1] for problem in problems)


def test_a_sticky_endpoint_is_split_by_hundredths_of_a_percent_on_every_target(tmp_path):
    example = sticky(tmp_path)
    assert [line for line in isthmus(example, "validate").out.splitlines() if "but" in line] == []
    assert im.validate(example / "project.yaml", target="vertex").errors == ()


def sticky(folder):
    example = create(folder / "openbandit", example="openbandit")
    edit(example / "project.yaml", "    explore: 5%", "    explore: 5%\n    routing: sticky")
    edit(example / "project.yaml", "{traffic: 25, bake: 15m}", "{traffic: 12.5, bake: 15m}")
    return example


def test_a_sticky_endpoint_is_an_error_of_the_chosen_target_that_cannot_have_it(
    tmp_path, monkeypatch
):
    example = sticky(tmp_path)
    monkeypatch.setitem(
        CAPABILITIES,
        "routing.sticky",
        Capability(name="routing.sticky", level="refused", why="as of a new adapter"),
    )
    lines = isthmus(example, "validate").out.splitlines()
    assert [line for line in lines if "but" in line] == [
        (
            "vertex      ok   but endpoints.ranker cannot run there: routing: sticky is not "
            "supported yet"
        )
    ]
    assert im.validate(example / "project.yaml", target="sagemaker").errors == ()
    (problem,) = im.validate(example / "project.yaml", target="vertex").errors
    assert (problem.message, problem.remedy) == (
        "endpoints.ranker.routing: sticky is not supported yet on vertex",
        "write weighted, or choose another target",
    )


def test_a_shadow_needs_a_target_that_can_aim_its_copies(tmp_path):
    example = create(tmp_path / "openbandit", example="openbandit")
    edit(
        example / "project.yaml",
        "    explore: 5%",
        "    explore: 5%\n    shadow: {variant: challenger, share: 10%}",
    )
    assert [line for line in isthmus(example, "validate").out.splitlines() if "but" in line] == [
        (
            "vertex      ok   but endpoints.ranker cannot run there: no copy can be aimed at its "
            "shadow (routing: sticky)"
        )
    ]
    (problem,) = im.validate(example / "project.yaml", target="vertex").errors
    assert (
        problem.message
        == "endpoints.ranker.shadow: a shadow under routing: weighted is not supported yet on "
        "vertex"
    )
    edit(example / "project.yaml", "    explore: 5%", "    explore: 5%\n    routing: sticky")
    assert im.validate(example / "project.yaml", target="vertex").errors == ()


AIMED = """
  ranker_v2:   {control: champion, treatment: challenger, metric: ctr}
  more_chance: {arms: {control: {}, treatment: {explore: 10%}}, metric: ctr}
"""


def test_an_experiment_that_one_target_cannot_aim_is_an_error_of_that_target_alone(tmp_path):
    example = create(tmp_path / "openbandit", example="openbandit")
    edit(
        example / "project.yaml",
        "      segment_id: {type: string}",
        "      segment_id: {type: string}\n      visitor_id: {type: string}",
    )
    edit(
        example / "project.yaml",
        "metric: ctr}     # assigned by the site: analysis only",
        "metric: ctr}" + AIMED,
    )
    edit(
        example / "sources/impression.sql",
        "AS segment_id",
        "AS segment_id, column00::VARCHAR AS visitor_id",
    )
    lines = isthmus(example, "validate").out.splitlines()
    assert lines[0].endswith("3 experiments")
    (limit,) = (line for line in lines if "cannot start" in line)
    assert limit.startswith(
        "vertex      ok   but experiments.ranker_v2 cannot start there: one call cannot be "
        "aimed at a variant"
    )
    assert isthmus(example, "validate", "--target", "sagemaker").out.splitlines()[:-1] == lines[:-1]
    refused = isthmus(example, "validate", "--target", "vertex", ok=False)
    assert refused.code == 1
    assert [
        line.split("experiments.", 1)[1]
        for line in refused.err.splitlines()
        if "cannot aim" in line
    ] == [
        f"ranker_v2.{arm}: vertex cannot aim one call at a variant under routing: weighted"
        for arm in ("control", "treatment")
    ]
    assert "use routing: sticky, or arms that differ by parameters" in refused.err
    edit(example / "project.yaml", "    explore: 5%", "    explore: 5%\n    routing: sticky")
    assert isthmus(example, "validate", "--target", "vertex").code == 0
    assert (
        "there is no target vertx"
        in isthmus(example, "validate", "--target", "vertx", ok=False).err
    )


def test_what_only_other_targets_cannot_do_is_a_warning_of_a_command_for_one(
    tmp_path,
):
    new = create(tmp_path / "shop", example="shop")
    edit(new / "project.yaml", "steps: [", "steps: [{traffic: 5, bake: 3m}, ")
    assert {p.severity for p in im.validate(new / "project.yaml").problems} >= {"error"}
    chosen = im.validate(new / "project.yaml", target="local")
    assert chosen.errors == ()
    assert [p for p in chosen.problems if "too short on vertex" in p.message]
    with im.open(new / "project.yaml") as project:
        planned = im.plan(project)
    assert "warning" in str(planned)
    assert {p.severity for p in planned.elsewhere_refused} == {"warning"}
    try:
        refused = isthmus(new, "plan", "--target", "vertex", "--offline", ok=False)
    finally:
        isthmus(new, "stack", "down")
    assert "too short on vertex" in refused.err
    assert "too short on sagemaker" not in refused.err


def test_a_variable_that_another_target_lacks_keeps_nobody_from_a_plan(new):
    edit(new / "profiles.yaml", "region: us-east-1", "region: ${NO_SUCH_REGION_OF_OURS}")
    (problem,) = im.validate(new / "project.yaml").errors
    assert "NO_SUCH_REGION_OF_OURS" in problem.message
    assert im.validate(new / "project.yaml", target="local").errors == ()
    with im.open(new / "project.yaml") as project:
        assert any(
            "NO_SUCH_REGION_OF_OURS" in p.message for p in im.plan(project).elsewhere_refused
        )
