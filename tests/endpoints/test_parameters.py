"""What deploy says of an endpoint's parameters beside what its models take."""

import pytest

from isthmus.endpoints.deploy.parameters import comparison
from isthmus.errors import Invalid
from isthmus.pipelines.models.call_parameters import CallParameter
from isthmus.pipelines.models.predictor import ModelManifest
from isthmus.project.specs.description import Endpoint, Parameter


def endpoint(kind="float", default=0.5):
    return Endpoint(
        name="ranker",
        objective="ctr",
        unit="visitor_id",
        variants=(),
        parameters={"blend": Parameter(name="blend", type=kind, default=default)},
    )


def manifest(name, **accepted):
    taken = {
        parameter: CallParameter(type=kind, default=default)
        for parameter, (kind, default) in accepted.items()
    }
    return ModelManifest(
        model="ranker",
        configuration=name,
        predictor="R",
        module="r",
        kept="json",
        code="slice",
        predict_parameters=taken,
    )


def test_a_parameter_that_a_model_takes_is_not_mentioned():
    assert (
        comparison(endpoint(), [manifest("popular"), manifest("blended", blend=("float", 0.5))])
        == ()
    )


def test_one_that_no_model_takes_is_for_who_asks_for_it():
    (line,) = comparison(endpoint(), [manifest("popular"), manifest("other", blnd=("float", 0.5))])
    assert line.startswith("no deployed model takes blend")


def test_another_default_than_the_one_that_was_evaluated_is_told():
    assert comparison(endpoint(default=0.7), [manifest("blended", blend=("float", 0.5))]) == (
        "blended was evaluated with blend=0.5, and is called with 0.7 by default",
    )


def test_a_whole_number_is_a_float_and_a_text_is_not():
    assert comparison(endpoint("int", 1), [manifest("blended", blend=("float", 1.0))]) == ()
    for kind, taken in (("string", "float"), ("float", "int"), ("int", "bool"), ("bool", "int")):
        with pytest.raises(
            Invalid, match=f"is of type {kind}, and blended takes it as {taken}"
        ) as error:
            comparison(endpoint(kind), [manifest("popular"), manifest("blended", blend=(taken, 1))])
        assert error.value.remedy.startswith(f"write type: {taken}")
