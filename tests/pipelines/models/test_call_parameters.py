"""What a predictor takes with one call is read from its signature; what is sent is judged by that."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.pipelines.models.call_parameters import (
    CallParameter,
    fitting,
    is_scalar,
    parameters_of,
)

SCALARS = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)


class Blended:
    def predict(self, rows, *, blend=0.5, most=10, mode="mean", on=True, _cache=None):
        return [(row, blend, most, mode, on, _cache) for row in rows]

    def predict_table(self, table, *, blend=0.5, rows_at_once=None):
        return table, blend, rows_at_once


def predictor_with(method, default):
    """A predictor whose one parameter `blend` of `method` has another default."""
    scope = {"default": default}
    exec("def method(self, rows, *, blend=default): return [blend for _ in rows]", scope)
    return type("Other", (Blended,), {method: scope["method"]})()


def test_the_keyword_only_parameters_of_predict_are_accepted_with_the_type_of_their_default():
    assert parameters_of(Blended()) == {
        "blend": CallParameter(type="float", default=0.5),
        "most": CallParameter(type="int", default=10),
        "mode": CallParameter(type="string", default="mean"),
        "on": CallParameter(type="bool", default=True),
    }


def test_a_predictor_without_any_or_without_a_signature_accepts_none():
    class Plain:
        def predict(self, rows, temperature=1.0, **more):
            return [temperature + len(more) for _ in rows]

    class InC:
        predict = dict.fromkeys

    assert parameters_of(Plain()) == parameters_of(InC()) == {}


def test_a_parameter_needs_a_default_as_a_call_may_come_without_it():
    class Needy:
        def predict(self, rows, *, blend):
            return [blend for _ in rows]

    with pytest.raises(Invalid, match=r"^Needy\.predict has no default for blend$"):
        parameters_of(Needy())


@pytest.mark.parametrize("default", [None, (0.5,), float("nan"), 2**60, b"a"])
def test_a_default_that_no_call_can_send_is_refused(default):
    with pytest.raises(
        Invalid, match=r"^Other.predict has blend=.*, which no call can send$"
    ) as error:
        parameters_of(predictor_with("predict", default))
    assert "name it _blend" in error.value.remedy


@pytest.mark.parametrize("default", [0.4, 1, "0.5"])
def test_evaluation_and_serving_go_by_the_same_default(default):
    with pytest.raises(Invalid, match=r"^Other.predict_table has blend=.* and Other.predict 0.5$"):
        parameters_of(predictor_with("predict_table", default))


@given(SCALARS)
def test_a_scalar_arrives_as_it_was_sent(value):
    name = type(value).__name__.replace("str", "string")
    arrived = msgspec.json.decode(msgspec.json.encode({"p": value}))
    assert is_scalar(value)
    passed = fitting(arrived, {"p": CallParameter(type=name, default=value)})
    assert passed == {"p": value}
    assert type(passed["p"]) is type(value)


def test_a_large_double_that_came_as_its_digits_is_still_the_double():
    assert fitting({"p": int(1e300)}, {"p": CallParameter(type="float", default=0.0)}) == {
        "p": 1e300
    }


@given(st.integers(-(2**53), 2**53))
def test_a_whole_number_passes_as_a_double_both_ways_as_a_protobuf_value_has_no_other(number):
    as_float = fitting({"p": number}, {"p": CallParameter(type="float", default=0.0)})["p"]
    as_int = fitting({"p": float(number)}, {"p": CallParameter(type="int", default=0)})["p"]
    assert (as_float, as_int) == (number, number)
    assert (type(as_float), type(as_int)) == (float, int)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("float", "0.5", "'0.5', not a number"),
        ("float", False, "False, not a number"),
        ("float", 10**400, "not a number"),
        ("int", 0.5, "0.5, not a whole number"),
        ("int", float("inf"), "inf, not a whole number"),
        ("int", True, "True, not a whole number"),
        ("bool", 1, "1, not true or false"),
        ("string", 1, "1, not a text"),
        ("string", None, "None, not a text"),
        ("string", ["a"] * 1000, "not a text"),
    ],
)
def test_another_type_than_the_default_s_is_told(kind, value, words):
    default = {"float": 0.5, "int": 1, "bool": True, "string": "a"}[kind]
    with pytest.raises(ValueError, match=words) as error:
        fitting({"blend": value}, {"blend": CallParameter(type=kind, default=default)})
    assert len(str(error.value)) < 200


def test_what_is_not_accepted_is_left_out_whatever_it_is():
    assert fitting({"unread": [None], "blend": 0.1}, parameters_of(Blended())) == {"blend": 0.1}
