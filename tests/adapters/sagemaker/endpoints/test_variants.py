"""Weights and percents; what runs, read back from the cloud. Pure."""

import re
import struct
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from isthmus.adapters.sagemaker import names
from isthmus.adapters.sagemaker.endpoints import variants
from isthmus.adapters.sagemaker.endpoints.variants import ConfiguredVariant, PlannedVariant
from isthmus.endpoints.port import EndpointSpec, VariantSpec
from isthmus.endpoints.traffic.convergence import has_converged, variants_ready
from isthmus.pipelines.port import ModelVersion
from isthmus.project.reading.names import NAME

AT = datetime(2026, 11, 25, tzinfo=UTC)
CHAMPION = VariantSpec(name="champion", model="ranker", version=3)
CHALLENGER = VariantSpec(
    name="challenger", model="ranker", version=4, machine="ml.c5.xlarge", attempt=2
)
SPEC = EndpointSpec(name="ranker", variants=(CHAMPION, CHALLENGER))


def version(number=3, uri="s3://b/models/ranker/d3", image="ranker:1"):
    return ModelVersion(
        model="ranker",
        version=number,
        digest="d",
        uri=uri,
        image=image,
        approval="approved",
        aliases=frozenset(),
    )


def float32(number):
    """As SageMaker keeps and returns it."""
    return struct.unpack("f", struct.pack("f", float(number)))[0]


def known(spec, weight=0.0):
    told = variants.environment(spec, "weighted")
    return variants.known_variant(
        {
            "VariantName": spec.name,
            "ModelName": "m",
            "InitialVariantWeight": weight,
            "InitialInstanceCount": 1,
        },
        told,
    )


def described(status="InService", weights=((90, 90), (10, 10)), **more):
    running = [
        {
            "VariantName": spec.name,
            "CurrentWeight": float32(now),
            "DesiredWeight": float32(wanted),
            "CurrentInstanceCount": 1,
        }
        for spec, (now, wanted) in zip(SPEC.variants, weights, strict=True)
    ]
    base = {
        "EndpointArn": "arn:e",
        "EndpointStatus": status,
        "EndpointConfigName": "c",
        "CreationTime": AT,
        "LastModifiedTime": AT,
    }
    return {**base, "ProductionVariants": running, **more}


def test_a_container_is_told_the_registry_s_digest_and_of_a_version_without_one_nothing():
    planned = variants.PlannedVariant(
        spec=CHAMPION, version=version(), model_name="m", machine="", count=1, weight=Decimal(100)
    )
    assert variants.container(planned, "weighted")["Environment"]["ISTHMUS_DIGEST"] == "d"
    planned = structs.replace(planned, version=structs.replace(version(), digest=""))
    assert "ISTHMUS_DIGEST" not in variants.container(planned, "weighted")["Environment"]


def state(*args, **more):
    return variants.state(
        "ranker", described(*args, **more), [known(spec) for spec in SPEC.variants]
    )


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=9))
def test_every_split_in_hundredths_survives_float32(cuts):
    points = sorted([0, *cuts, 10_000])
    split = {f"v{at}": Decimal(b - a) / 100 for at, (a, b) in enumerate(pairwise(points))}
    back = variants.shares(
        {name: variants._decimal(float32(percent)) for name, percent in split.items()}
    )
    assert back == split


def test_foreign_weights_are_shown_as_they_are_not_rounded_to_a_step():
    assert variants.shares({"a": Decimal(1), "b": Decimal(2)}) == {
        "a": Decimal("33.333333"),
        "b": Decimal("66.666667"),
    }
    assert variants.shares({"a": Decimal("0.5"), "b": Decimal("0.5")}) == {
        "a": Decimal(50),
        "b": Decimal(50),
    }
    assert variants.shares({"a": Decimal(0), "b": Decimal(0)}) == {"a": Decimal(0), "b": Decimal(0)}


def test_what_runs_is_read_back_from_the_models_environment():
    for spec in SPEC.variants:
        assert known(spec).spec == spec
    found = state()
    assert variants_ready(SPEC, found)
    assert has_converged(SPEC, {"champion": Decimal(90), "challenger": Decimal(10)}, found)
    assert [(v.model, v.version) for v in found.variants] == [("ranker", 3), ("ranker", 4)]


def test_another_machine_version_or_attempt_is_another_revision():
    before = variants.revision("c", [known(spec) for spec in SPEC.variants])
    for change in ({"version": 5}, {"machine": "ml.m5.xlarge"}, {"attempt": 3}):
        other = VariantSpec(
            **{
                "name": "challenger",
                "model": "ranker",
                "version": 4,
                "machine": "ml.c5.xlarge",
                "attempt": 2,
                **change,
            }
        )
        assert variants.revision("c", [known(CHAMPION), known(other)]) != before


def test_an_endpoint_that_somebody_else_made_is_foreign():
    theirs = ConfiguredVariant(
        name="AllTraffic",
        model_name="xgboost",
        machine="ml.m5.large",
        count=1,
        weight=Decimal(1),
        environment={},
    )
    assert variants.revision("their-config", [theirs]) == "foreign:their-config"
    assert variants.revision("gone", []) == "foreign:gone"
    assert theirs.spec == VariantSpec(name="AllTraffic", model="xgboost", version=0)


def test_while_weights_move_both_shares_are_told():
    found = state("Updating", ((90, 60), (10, 40)))
    assert found.phase == "updating"
    assert [(v.percent, v.target_percent) for v in found.variants] == [
        (Decimal(90), Decimal(60)),
        (Decimal(10), Decimal(40)),
    ]


def test_nothing_is_served_while_an_endpoint_is_made_or_after_it_failed():
    making = variants.state(
        "ranker",
        described("Creating", ProductionVariants=[]),
        [known(CHAMPION, 100.0), known(CHALLENGER, 0.0)],
    )
    assert [(v.percent, v.target_percent, v.phase) for v in making.variants] == [
        (Decimal(0), Decimal(100), "creating"),
        (Decimal(0), Decimal(0), "creating"),
    ]
    failed = state("Failed", FailureReason="challenger did not pass the ping health check")
    assert {v.phase for v in failed.variants} == {"failed"}
    assert {v.percent for v in failed.variants} == {Decimal(0)}
    assert failed.failure == "challenger did not pass the ping health check"


@pytest.mark.parametrize(
    "change",
    [
        {"EndpointConfigName": "other"},
        {"CreationTime": datetime(2026, 11, 26, tzinfo=UTC)},
        {"weights": ((80, 80), (20, 20))},
    ],
)
def test_any_change_changes_the_token(change):
    assert variants.token(described(**change)) != variants.token(described())


def test_autoscaling_and_maintenance_move_the_time_of_an_endpoint_and_leave_its_token():
    later = described(LastModifiedTime=datetime(2026, 11, 26, tzinfo=UTC))
    assert variants.token(later) == variants.token(described())


def test_the_token_is_of_what_is_wanted_not_of_how_far_it_is():
    assert variants.token(described(weights=((90, 60), (10, 40)))) == variants.token(
        described(weights=((60, 60), (40, 40)))
    )


def test_names_come_from_content_and_fit_into_63_characters():
    endpoint = f"{'p' * 16}-{'n' * 28}"
    planned = [
        PlannedVariant(
            spec=CHAMPION,
            version=version(),
            model_name="m",
            machine="ml.m5.large",
            count=1,
            weight=Decimal(100),
        )
    ]
    name = variants.config_name(endpoint, "0123456789ab", planned, 0)
    assert name.startswith(f"{endpoint}-0123456789ab-")
    assert len(name) <= 63
    assert name == variants.config_name(endpoint, "0123456789ab", planned, 0)
    assert len(variants.model_name(endpoint, CHAMPION, version(), "weighted")) <= 63
    names = {
        variants.model_name("shop-ranker", CHAMPION, each, "weighted")
        for each in (version(), version(image="ranker:2"), version(uri="s3://b/x"))
    }
    assert len(names) == 3


@given(st.from_regex(NAME, fullmatch=True))
def test_every_name_of_a_variant_is_one_at_sagemaker_and_comes_back(name):
    native = names.variant(name)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", native)
    assert variants.known_variant({"VariantName": native}, {}).name == name
