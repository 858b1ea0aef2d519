"""What `validate` says of models' features and of each target's SQL."""

import msgspec

from isthmus.adapters.targets import sql_of
from isthmus.feature_store.port import SqlProblem
from isthmus.feature_store.views.checks import check, check_target
from isthmus.project.specs.description import Feature
from isthmus.project.specs.rules import Block, Boost, Cap, Condition

from ..adapters.sql.example import example
from .test_schema import with_view


def with_features(*features, model="logistic"):
    described = example()
    changed = msgspec.structs.replace(described.spec.models[model], features=features)
    spec = msgspec.structs.replace(described.spec, models={**described.spec.models, model: changed})
    return msgspec.structs.replace(described, spec=spec)


def test_the_example_is_sound_everywhere():
    assert check(example()) == ()
    for adapter in ("local", "sagemaker", "vertex"):
        assert check_target(example(), sql_of(adapter).check) == ()


def test_an_unknown_feature_is_told_as_the_specification_shows_it():
    features = list(example().spec.models["logistic"].features)
    features[4] = Feature(view="item_history", name="item_crt_7d")
    (problem,) = check(with_features(*features))
    assert str(problem) == (
        "error  models/logistic.yaml:11   features: item_history.item_crt_7d is not a feature\n"
        "       did you mean item_history.item_ctr_7d?   item_history has "
        "item_impressions_7d, item_ctr_7d"
    )


def test_every_wrong_feature_is_told_at_its_own_line():
    problems = check(
        with_features(
            Feature(view=None, name="positon"),
            Feature(view="item_histroy", name="item_ctr_7d"),
            Feature(view=None, name="item_ctr_7d"),
            Feature(view="item_history", name="nothing_like_it"),
            Feature(view="segment_history", name="segment_ctr_7d"),
            Feature(view="segment_history", name="segment_ctr_7d"),
        )
    )
    assert [(problem.line, problem.message) for problem in problems] == [
        (7, "features: positon is not an attribute of impression"),
        (8, "features: item_histroy is not a feature view"),
        (9, "features: item_ctr_7d is not an attribute of impression"),
        (10, "features: item_history.nothing_like_it is not a feature"),
        (
            12,
            (
                "features: segment_history.segment_ctr_7d is called segment_ctr_7d, as "
                "segment_history.segment_ctr_7d is"
            ),
        ),
    ]
    assert [problem.remedy.split("   ")[0] for problem in problems[:4]] == [
        "did you mean position?",
        "did you mean item_history?",
        "did you mean item_history.item_ctr_7d?",
        "item_history has item_impressions_7d, item_ctr_7d",
    ]


def test_a_view_that_is_wrong_itself_is_told_once_and_not_again_by_its_models():
    (problem,) = check(with_view("SELECT item_id, event_timestamp, 1 AS x FROM ctr QUALIFY true"))
    assert problem.file == "features/item_history.sql"


def test_a_description_without_places_still_names_the_file():
    described = msgspec.structs.replace(
        with_features(Feature(view="item_history", name="x")), places={}
    )
    (problem,) = check(described)
    assert (problem.file, problem.line) == ("models/logistic.yaml", 0)


def test_a_targets_own_refusal_names_view_file_line_and_reason():
    described = with_view(
        "SELECT ctr.item_id, ctr.event_timestamp, ctr.created_timestamp, 1 AS x\nFROM "
        "ctr\nLEFT JOIN items ON items.item_id > ctr.item_id"
    )
    assert (
        check_target(described, sql_of("local").check)
        == check_target(described, sql_of("sagemaker").check)
        == ()
    )
    (problem,) = check_target(described, sql_of("vertex").check)
    assert (problem.file, problem.line) == ("features/item_history.sql", 3)
    assert problem.message == "item_history: LEFT JOIN without an equality"
    assert "BigQuery" in problem.remedy


def test_what_no_target_can_say_is_left_to_check():
    described = with_view("SELECT item_id, event_timestamp, 1 AS x FROM ctr QUALIFY true")
    assert check_target(described, sql_of("vertex").check) == ()


def test_a_third_partys_check_is_asked_for_every_view():
    asked = []

    def refuse(sql):
        asked.append(sql)
        return (SqlProblem(line=2, what="all of it", why="no"),)

    problems = check_target(example(), refuse)
    assert asked == [view.sql for view in example().spec.feature_views.values()]
    assert [problem.file for problem in problems] == [
        view.path for view in example().spec.feature_views.values()
    ]


def test_what_rules_read_is_there_and_of_the_type_that_they_compare_it_with():
    described = example()
    (name, endpoint), *_ = described.spec.endpoints.items()
    rules = (
        Cap(by="item_history.item_crt_7d", max=1),
        Block(where=(Condition(attribute="item_history.item_ctr_7d", among=("much",)),)),
        Boost(
            where=(Condition(attribute="item_history.item_ctr_7d", min=0.1, not_among=(1,)),),
            times=2.0,
        ),
        Block(where=(Condition(attribute="item_profile.item_category", max=1),)),
    )
    spec = msgspec.structs.replace(
        described.spec, endpoints={name: msgspec.structs.replace(endpoint, rules=rules)}
    )
    block = f"endpoints.{name}.rules[3].block.where"
    assert [
        problem.message for problem in check(msgspec.structs.replace(described, spec=spec))
    ] == [
        f"endpoints.{name}.rules[0].cap.by: item_history.item_crt_7d is not a feature",
        (
            f"endpoints.{name}.rules[1].block.where.item_history.item_ctr_7d: 'much' is not of "
            "type float, as item_history.item_ctr_7d is"
        ),
        (
            f"{block}.item_profile.item_category: item_profile.item_category is of type string, "
            "which has no min and max"
        ),
    ]
