"""What POST requests get: /assign, /track and the flags of OpenFeature's protocol, without HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from isthmus.endpoints.gateway.decide.live_document import LiveArm
from isthmus.endpoints.gateway.http import ofrep
from isthmus.endpoints.gateway.http.answers import failure
from isthmus.endpoints.gateway.http.calls import Calls
from isthmus.endpoints.gateway.http.openapi import document
from isthmus.endpoints.gateway.http.track import MOST
from isthmus.endpoints.gateway.processes import counters
from isthmus.endpoints.gateway.processes.counters import Counters, totals
from isthmus.errors import Throttled, Unsupported
from isthmus.project.specs.description import Entity
from isthmus.project.specs.rules import Condition
from isthmus.tests.endpoints import shop
from isthmus.tests.endpoints.shop import VARIANTS, Shop, live, run

CONTEXT = {"targetingKey": "visitor-1"}
IOS = (Condition(attribute="platform", among=("ios",)),)


@pytest.fixture
def opened(tmp_path):
    """Makes a shop with its calls; the counters are in tmp_path."""
    shops = []

    def make(*runs, holdout=0):
        shops.append(Shop(live(*runs, holdout=holdout)))
        shops[-1].counted = Counters(tmp_path / f"{len(shops)}.counters")
        shops[-1].calls = Calls(shops[-1].project, {"ranker": shops[-1].gateway}, shops[-1].counted)
        return shops[-1]

    yield make
    for served in shops:
        served.gateway.close()
        served.counted.close()


def body(**fields):
    return json.dumps(fields).encode()


def test_assign_gives_a_unit_s_arms_and_parameters_and_logs_it_unless_it_is_told_not_to(
    opened, tmp_path
):
    served = opened(run(arms=VARIANTS))
    answer = served.calls.assign(body(visitor_id="visitor-1", platform="ios", log=False))
    assert (answer.status, answer.endpoint) == (200, "ranker")
    assert json.loads(answer.body) == {
        "assignments": {"blend_up.1": "treatment"},
        "parameters": {"blend": 0.5, "tone": "calm", "variant": "challenger"},
        "config": 12,
    }
    assert (served.rows["assignments"], served.host.calls) == ([], [])
    served.calls.assign(body(visitor_id="visitor-1", endpoint="ranker"))
    assert [row["arm"] for row in served.rows["assignments"]] == ["treatment"]
    assert (
        totals(tmp_path)[counters.sample(counters.ASSIGNMENTS, run="blend_up.1", arm="treatment")]
        == 2
    )


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"{", 400),
        (body(), 400),
        (body(visitor_id=""), 400),
        (body(visitor_id="v", item_id=[1]), 400),
        (body(visitor_id="v", platform="tv"), 400),
        (body(visitor_id="v", log="no"), 400),
        (body(visitor_id="v", endpoint="other"), 404),
    ],
)
def test_assign_refuses_what_it_does_not_understand(opened, sent, status):
    answer = opened(run()).calls.assign(sent)
    assert answer.status == status
    assert json.loads(answer.body).keys() == {"error", "remedy"}


def flag(served, key, context=CONTEXT):
    answer = served.calls.flag(key, body(context=context))
    return answer.status, json.loads(answer.body)


def test_a_flag_is_a_parameter_with_its_arm_and_run(opened):
    served = opened(run())
    assert flag(served, "ranker.blend") == (
        200,
        {
            "key": "ranker.blend",
            "value": 0.7,
            "variant": "treatment",
            "reason": "SPLIT",
            "metadata": {"run": "blend_up.1", "config": 12},
        },
    )
    tone = {
        "key": "ranker.tone",
        "value": "calm",
        "variant": "default",
        "reason": "STATIC",
        "metadata": {"config": 12},
    }
    assert flag(served, "ranker.tone") == (200, tone)
    status, every = flag(served, "ranker")
    assert (status, every["value"], every["variant"]) == (
        200,
        {"blend": 0.7, "tone": "calm"},
        "treatment",
    )
    assert [row["unit"] for row in served.rows["assignments"]] == ["visitor-1"]


@pytest.mark.parametrize(
    ("fields", "holdout", "value", "variant", "reason", "of"),
    [
        ({"holdout": 10_000}, 0, 0.5, "control", "DISABLED", "blend_up.1"),
        ({}, 1467, 0.5, "holdout", "DISABLED", "home_holdout"),
        (
            {"state": "shipped", "ships": "treatment", "ranges": ()},
            0,
            0.7,
            "treatment",
            "STATIC",
            "blend_up.1",
        ),
        (
            {"state": "shipped", "ships": "treatment", "targeting": IOS},
            0,
            0.7,
            "treatment",
            "TARGETING_MATCH",
            "blend_up.1",
        ),
        (
            {"state": "shipped", "ships": "treatment"},
            1467,
            0.5,
            "control",
            "DISABLED",
            "blend_up.1",
        ),
        ({"targeting": IOS}, 0, 0.7, "treatment", "SPLIT", "blend_up.1"),
    ],
)
def test_a_flag_s_reason_says_how_its_value_came_about(
    opened, fields, holdout, value, variant, reason, of
):
    _, answer = flag(
        opened(run(**fields), holdout=holdout), "ranker.blend", CONTEXT | {"platform": "ios"}
    )
    assert (answer["value"], answer["variant"], answer["reason"], answer["metadata"]["run"]) == (
        value,
        variant,
        reason,
        of,
    )


def test_a_whole_number_of_a_float_has_a_point(opened):
    served = opened(
        run(arms=(LiveArm("control", 5000), LiveArm("treatment", 10_000, {"blend": 1})))
    )
    assert b'"value":1.0,' in served.calls.flag("ranker.blend", body(context=CONTEXT)).body


def test_a_run_that_began_when_a_parameter_was_no_float_still_gives_its_value(opened):
    served = opened(
        run(arms=(LiveArm("control", 5000), LiveArm("treatment", 10_000, {"blend": "much"})))
    )
    assert flag(served, "ranker.blend")[1]["value"] == "much"


def test_a_unit_that_is_an_entity_has_the_type_of_its_key_in_the_document_of_a_ranking():
    visitor = Entity(name="visitor", key="visitor_id", type="string")
    spec = msgspec.structs.replace(shop.SPEC, entities=shop.SPEC.entities | {"visitor": visitor})
    schemas = document(spec, ("ranker",), token=False)["components"]["schemas"]
    assert schemas["RankerRequest"]["properties"]["visitor_id"]["type"] == "string"
    assert schemas["RankerAssignment"]["properties"]["visitor_id"]["type"] == ["string", "integer"]


@pytest.mark.parametrize(
    ("key", "sent", "status", "code"),
    [
        ("ranker.nothing", body(context=CONTEXT), 404, "FLAG_NOT_FOUND"),
        ("other.blend", body(context=CONTEXT), 404, "FLAG_NOT_FOUND"),
        ("ranker.variant", body(context=CONTEXT), 404, "FLAG_NOT_FOUND"),
        ("ranker.blend", b"", 400, "PARSE_ERROR"),
        ("ranker.blend", b"[]", 400, "PARSE_ERROR"),
        ("ranker.blend", body(), 400, "TARGETING_KEY_MISSING"),
        ("ranker.blend", body(context={"targetingKey": ""}), 400, "TARGETING_KEY_MISSING"),
        ("ranker.blend", body(context=[]), 400, "INVALID_CONTEXT"),
        ("ranker.blend", body(context={"targetingKey": ["v"]}), 400, "INVALID_CONTEXT"),
        ("ranker.blend", body(context=CONTEXT | {"platform": "tv"}), 400, "INVALID_CONTEXT"),
    ],
)
def test_every_error_of_a_flag_has_its_code_and_details(opened, key, sent, status, code):
    answer = opened(run()).calls.flag(key, sent)
    fields = json.loads(answer.body)
    assert (answer.status, fields["errorCode"]) == (status, code)
    assert fields["errorDetails"]


def test_unknown_keys_of_a_context_are_not_looked_at(opened):
    assert flag(opened(run()), "ranker.blend", CONTEXT | {"colour": {"deep": [1]}})[0] == 200


def test_all_flags_have_a_tag_by_which_a_caller_hears_that_nothing_has_changed(opened):
    served = opened(run())
    answer = served.calls.flags(body(context=CONTEXT), "")
    assert [entry["key"] for entry in json.loads(answer.body)["flags"]] == [
        "ranker",
        "ranker.blend",
        "ranker.tone",
    ]
    for known in (answer.etag, f"W/{answer.etag}", f'"other", {answer.etag}'):
        again = served.calls.flags(body(context=CONTEXT), known)
        assert (again.status, again.body, again.etag) == (304, b"", answer.etag)
    assert served.calls.flags(body(context={"targetingKey": "visitor-2"}), '"other"').status == 200
    served.state.put(live(run(ranges=()), version=13))
    served.look()
    assert served.calls.flags(body(context=CONTEXT), answer.etag).status == 200


def test_an_error_of_the_gateway_s_own_is_told_in_the_protocol_s_words():
    fields = json.loads(
        ofrep.as_error(failure(415, "the content type must be application/json", "send it")).body
    )
    assert fields == {
        "errorCode": "GENERAL",
        "errorDetails": "the content type must be application/json; send it",
    }


@pytest.mark.parametrize(
    ("capability", "status"), [("invoke.max_bytes", 413), ("invoke.parameters", 501)]
)
def test_what_a_target_cannot_do_is_told_apart_from_a_request_that_is_too_large(
    opened, monkeypatch, capability, status
):
    served = opened(run())

    def refuses(*_, **_more):
        raise Unsupported("not here", capability=capability)

    monkeypatch.setattr(served.host, "invoke", refuses)
    assert served.calls.rank(msgspec.json.encode(shop.REQUEST)).status == status


CLICK = {
    "event": "click",
    "event_id": "c1",
    "event_timestamp": "2026-11-26T11:00:00Z",
    "exposure_id": "q-1-1-1",
    "depth": 3,
}


def tracked(served, sent):
    answer = served.calls.track(msgspec.json.encode(sent))
    return answer.status, json.loads(answer.body)


def test_events_of_the_catalogue_are_stored_and_the_others_refused_with_their_place_and_reason(
    opened,
):
    served = opened()
    status, answer = tracked(
        served,
        [
            CLICK,
            CLICK | {"depth": -1},
            {"event": "clack"},
            7,
            CLICK | {"event_id": "c2", "depth": [1]},
        ],
    )
    assert (status, answer["accepted"]) == (200, 1)
    assert [rejection["index"] for rejection in answer["rejected"]] == [1, 2, 3, 4]
    assert [rejection["reason"] for rejection in answer["rejected"]] == [
        "depth -1 is under the minimum, 0",
        "has no event of the catalogue (did you mean click?   there is impression, click)",
        "is not an object",
        "depth is not a scalar",
    ]
    (row,) = served.project.target.events.rows["click_raw"]
    assert (row["event_id"], row["exposure_id"], row["depth"], row["source"]) == (
        "c1",
        "q-1-1-1",
        3,
        "emit",
    )
    assert row["event_timestamp"] == datetime(2026, 11, 26, 11, tzinfo=UTC)


def test_an_event_without_an_id_or_a_time_gets_them(opened):
    served = opened()
    event = {"event": "click", "exposure_id": "q-1-1-1"}
    assert tracked(served, event) == (200, {"accepted": 1, "rejected": []})
    assert tracked(served, event)[0] == 200
    rows = served.project.target.events.rows["click_raw"]
    assert {row["event_timestamp"] for row in rows} == {shop.NOW}
    assert len({row["event_id"] for row in rows}) == 2


def test_what_the_target_does_not_take_is_refused_by_the_event_and_told(opened):
    served = opened()

    def full(_stream, _rows):
        raise Throttled("too many")

    served.project.target.events.append = full
    status, answer = tracked(served, [CLICK])
    assert (status, answer["error"], answer["accepted"], answer["rejected"][0]["reason"]) == (
        429,
        "too many",
        0,
        "not stored: too many",
    )


def test_a_body_that_is_no_json_or_has_too_many_events_is_refused_whole(opened):
    served = opened()
    assert served.calls.track(b"{").status == 400
    assert tracked(served, [CLICK] * (MOST + 1))[0] == 413
    assert served.calls.track(b"[" * 100_000).status == 400
    assert served.project.target.events.rows == {}
