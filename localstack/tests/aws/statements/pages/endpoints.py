"""Endpoints, their variants, models and configurations."""

import pytest

from isthmus_stack.testing.jobs_kit import ROLE, until
from isthmus_stack.tests.aws.statements.account import TOY, archive, refusal, variant
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

TESTING = guide("Testing models with production variants", "model-ab-testing")
HOSTING = guide("Custom inference code with hosting services", "your-algorithms-inference-code")
LOGS = guide("Log groups and streams", "logging-cloudwatch")
VARIANT = reference("ProductionVariant")
SUMMARY = reference("ProductionVariantSummary")
CREATE = reference("CreateEndpoint")
CONFIG = reference("CreateEndpointConfig")
UPDATE = reference("UpdateEndpoint")
WEIGHTS = reference("UpdateEndpointWeightsAndCapacities")
INVOKE = reference("runtime_InvokeEndpoint")


def weigh(aws, endpoint, **weights):
    wanted = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
    aws.sm.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
    )


def variants(described):
    return {item["VariantName"]: item for item in described["ProductionVariants"]}


@promises("A variant's share of the traffic is its weight over the sum of all weights.", VARIANT)
def shares_follow_weights(aws):
    assert 54 <= aws.shares(aws.split)["blue"] <= 96  # 75 of 100 expected; 5 sigma are 21


@promises("An answer names the production variant that processed the request.", INVOKE)
def an_answer_names_its_variant(aws):
    answers = [aws.ask(aws.split) for _ in range(20)]
    assert [answer["Body"]["env"] for answer in answers] == [
        answer["InvokedProductionVariant"] for answer in answers
    ]


@promises("TargetVariant overrides the distribution of the traffic.", TESTING)
def a_target_variant_overrides_the_weights(aws):
    assert {
        aws.ask(aws.split, TargetVariant="green")["InvokedProductionVariant"] for _ in range(20)
    } == {"green"}


@promises(
    "A variant of weight 0 gets no traffic, and one call of "
    "UpdateEndpointWeightsAndCapacities moves all of it.",
    TESTING,
)
def all_traffic_moves_with_one_call(aws):
    endpoint = aws.endpoint(variant("blue", aws.blue, weight=0), variant("green", aws.green))
    assert aws.shares(endpoint, 20) == {"green": 20}
    weigh(aws, endpoint, blue=1, green=0)
    aws.settled(endpoint)
    assert aws.shares(endpoint, 20) == {"blue": 20}
    assert aws.ask(endpoint, TargetVariant="green")["Body"]["env"] == "green"


@promises(
    "A change of weights makes the endpoint Updating, then InService; until then current and "
    "desired differ.",
    SUMMARY,
    clock="manual",
)
def weights_are_desired_then_current(aws):
    endpoint = aws.endpoint(variant("blue", aws.blue, weight=1))
    weigh(aws, endpoint, blue=5)
    described = aws.described(endpoint)
    assert described["EndpointStatus"] == "Updating"
    assert (
        variants(described)["blue"]["CurrentWeight"],
        variants(described)["blue"]["DesiredWeight"],
    ) == (1, 5)
    assert variants(aws.settled(endpoint))["blue"]["CurrentWeight"] == 5


@promises("DesiredInstanceCount changes the instances of a variant and leaves its weight.", WEIGHTS)
def capacities_change_without_weights(aws):
    endpoint = aws.endpoint(variant("blue", aws.blue, weight=3))
    wanted = [{"VariantName": "blue", "DesiredInstanceCount": 2}]
    aws.sm.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
    )
    described = variants(aws.settled(endpoint))["blue"]
    assert (described["CurrentInstanceCount"], described["CurrentWeight"]) == (2, 3)


@promises("InitialVariantWeight is 1.0 when it is not specified.", VARIANT)
def a_weight_is_one_by_default(aws):
    plain = variant("blue", aws.blue)
    del plain["InitialVariantWeight"]
    config = aws.sm.describe_endpoint_config(EndpointConfigName=aws.config(plain))
    assert config["ProductionVariants"][0].get("InitialVariantWeight", 1.0) == 1.0
    assert variants(aws.described(aws.endpoint(plain)))["blue"]["CurrentWeight"] == 1.0


@promises("A configuration has 10 production variants at most.", CONFIG)
def a_configuration_has_ten_variants_at_most(aws):
    eleven = [variant(f"v{number}", aws.blue) for number in range(11)]
    assert "ValidationException" in refusal(
        aws.sm.create_endpoint_config, EndpointConfigName=aws.fresh(), ProductionVariants=eleven
    )
    assert aws.config(*eleven[:10])


@promises("With ShadowProductionVariants there is one production variant and one shadow.", CONFIG)
def a_shadow_stands_beside_one_variant(aws):
    two = [variant("blue", aws.blue), variant("green", aws.green)]
    shadow = {"ShadowProductionVariants": [variant("shadow", aws.green)]}
    assert "ValidationException" in refusal(
        aws.sm.create_endpoint_config,
        EndpointConfigName=aws.fresh(),
        ProductionVariants=two,
        **shadow,
    )


@promises("The name of an endpoint is unique in its account and region.", CREATE)
def endpoint_names_are_unique(aws):
    config = aws.described(aws.split)["EndpointConfigName"]
    assert "ValidationException" in refusal(
        aws.sm.create_endpoint, EndpointName=aws.split, EndpointConfigName=config
    )


@promises("The name of an endpoint is case-insensitive at its creation.", CREATE)
def endpoint_names_are_unique_whatever_their_case(aws):
    config = aws.described(aws.split)["EndpointConfigName"]
    assert "ValidationException" in refusal(
        aws.sm.create_endpoint, EndpointName=aws.split.upper(), EndpointConfigName=config
    )


@promises("The case of an endpoint's name must be matched in InvokeEndpoint.", CREATE)
def the_case_of_a_name_must_match(aws):
    assert "ValidationError" in refusal(aws.ask, endpoint=aws.split.upper())


@promises(
    "Creating an endpoint from a configuration that is not there is a validation error.", CREATE
)
def an_endpoint_needs_its_configuration(aws):
    assert "ValidationException" in refusal(
        aws.sm.create_endpoint, EndpointName=aws.fresh(), EndpointConfigName="nobodys"
    )


@promises(
    "CreateEndpoint sets the status Creating, and InService once the endpoint is created.",
    CREATE,
    clock="manual",
)
def an_endpoint_is_creating_before_it_is_in_service(aws):
    endpoint = aws.endpoint(variant("blue", aws.blue), wait=False)
    assert aws.described(endpoint)["EndpointStatus"] == "Creating"
    assert aws.settled(endpoint)["EndpointStatus"] == "InService"


@promises("A name has 63 letters, digits and hyphens at most, and begins with none.", CREATE)
def names_follow_their_pattern(aws):
    for name in ("-a", "a_b", "a.b", "a" * 64):
        assert "ValidationException" in refusal(
            aws.sm.create_endpoint, EndpointName=name, EndpointConfigName="c"
        )


@promises(
    "UpdateEndpoint deploys the new configuration, without a moment in which nobody answers.",
    UPDATE,
)
def an_update_deploys_the_new_configuration(aws):
    endpoint = aws.endpoint(variant("main", aws.blue))
    config = aws.config(variant("main", aws.green))
    aws.sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    until(lambda: aws.ask(endpoint)["Body"]["env"] == "green")
    assert aws.settled(endpoint)["EndpointConfigName"] == config


@promises(
    "RetainAllVariantProperties keeps weights and instance counts that were changed on the "
    "endpoint.",
    UPDATE,
)
def properties_are_retained(aws):
    endpoint = aws.endpoint(variant("main", aws.blue, weight=2))
    weigh(aws, endpoint, main=7)
    aws.settled(endpoint)
    config = aws.config(variant("main", aws.green, weight=3))
    aws.sm.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=config, RetainAllVariantProperties=True
    )
    assert variants(aws.settled(endpoint))["main"]["CurrentWeight"] == 7


@promises(
    "ExcludeRetainedVariantProperties takes the properties that it lists from the new "
    "configuration.",
    UPDATE,
)
def properties_are_excluded_from_retaining(aws):
    endpoint = aws.endpoint(variant("main", aws.blue, weight=2))
    weigh(aws, endpoint, main=7)
    aws.settled(endpoint)
    config = aws.config(variant("main", aws.green, weight=3, count=2))
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    aws.sm.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=config,
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=excluded,
    )
    described = variants(aws.settled(endpoint))["main"]
    assert (described["CurrentWeight"], described["CurrentInstanceCount"]) == (3, 1)


@promises(
    "Deleting a configuration does not delete the endpoints that were created with it.",
    reference("DeleteEndpointConfig"),
)
def an_endpoint_outlives_its_configuration(aws):
    endpoint = aws.endpoint(variant("blue", aws.blue))
    aws.sm.delete_endpoint_config(EndpointConfigName=aws.described(endpoint)["EndpointConfigName"])
    assert aws.ask(endpoint)["Body"]["env"] == "blue"


@promises(
    "Deleting a model deletes its entry only: neither the artifact nor the role, and "
    "endpoints go on.",
    reference("DeleteModel"),
)
def an_endpoint_outlives_its_model(aws):
    model = aws.model("gone")
    endpoint = aws.endpoint(variant("main", model))
    aws.sm.delete_model(ModelName=model)
    assert aws.ask(endpoint)["Body"]["env"] == "gone"
    assert aws.body("toy/model.tar.gz")


@promises(
    "Deleting an endpoint frees what was deployed: it is not described and not invoked any more.",
    reference("DeleteEndpoint"),
)
def a_deleted_endpoint_is_gone(aws):
    endpoint = aws.endpoint(variant("blue", aws.blue))
    aws.sm.delete_endpoint(EndpointName=endpoint)
    until(
        lambda: (
            endpoint
            not in [
                item["EndpointName"] for item in aws.sm.list_endpoints(MaxResults=100)["Endpoints"]
            ]
        )
    )
    assert "ValidationException: Could not find endpoint" in refusal(
        aws.described, endpoint=endpoint
    )
    assert "ValidationError" in refusal(aws.ask, endpoint=endpoint)


@promises("CustomAttributes are forwarded verbatim; the answer has what the model sets.", INVOKE)
def custom_attributes_pass_both_ways(aws):
    assert aws.ask(aws.split, CustomAttributes="trace=1")["CustomAttributes"] == "trace=1;seen"


@promises("The container gets the content type, and the answer has the type that it sets.", INVOKE)
def content_types_pass_both_ways(aws):
    answer = aws.ask(aws.split, ContentType="text/csv", Accept="application/x-own")
    assert (answer["Body"]["type"], answer["ContentType"]) == ("text/csv", "application/x-own")


@promises(
    "A container's 4xx or 5xx is a ModelError with its status, its message and the log stream.",
    INVOKE,
)
def a_containers_error_is_a_model_error(aws):
    with pytest.raises(aws.sagemaker_runtime.exceptions.ModelError) as caught:
        aws.ask(aws.split, b"status 503")
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (answer["OriginalStatusCode"], '"model": "toy"' in answer["OriginalMessage"]) == (
        503,
        True,
    )
    assert f"/aws/sagemaker/Endpoints/{aws.split}" in answer["LogStreamArn"]


@promises("A body has 6,291,456 bytes at most.", INVOKE)
def a_body_has_six_megabytes_at_most(aws):
    assert aws.ask(aws.split, b"x" * 6_291_456)["Body"]["bytes"] == 6_291_456
    assert refusal(aws.ask, endpoint=aws.split, body=b"x" * 6_291_457)


@promises("A variant that the endpoint does not have is a ValidationError.", INVOKE)
def an_unknown_target_is_refused(aws):
    assert "ValidationError" in refusal(aws.ask, endpoint=aws.split, TargetVariant="nobodys")


@promises("The artifact is unpacked to /opt/ml/model before the container starts.", HOSTING)
def the_artifact_is_in_opt_ml_model(aws):
    assert aws.ask(aws.split)["Body"]["mounted"] is True


@promises("The container gets the Environment of its definition.", HOSTING)
def the_container_gets_its_environment(aws):
    assert aws.ask(aws.split, TargetVariant="green")["Body"]["env"] == "green"


@promises("The container is started with the argument serve.", HOSTING)
def the_container_is_told_to_serve(aws):
    until(lambda: "serving toy ['serve']" in aws.lines(f"/aws/sagemaker/Endpoints/{aws.split}"))


@promises(
    "What the container writes is in the log group /aws/sagemaker/Endpoints/NAME, in streams "
    "by variant.",
    LOGS,
)
def logs_are_grouped_by_endpoint(aws):
    group = f"/aws/sagemaker/Endpoints/{aws.split}"
    until(lambda: aws.lines(group))
    streams = aws.logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert {stream["logStreamName"].partition("/")[0] for stream in streams} == {"blue", "green"}


@promises(
    "A container that does not pass its health checks fails the endpoint, with the reason.", HOSTING
)
def an_unhealthy_container_fails_its_endpoint(aws):
    data = aws.put("ill/model.tar.gz", archive({"model.json": b'{"name": "ill", "dies": true}'}))
    described = aws.settled(aws.endpoint(variant("main", aws.model(data=data)), wait=False))
    assert (described["EndpointStatus"], bool(described["FailureReason"])) == ("Failed", True)


@promises(
    "ModelDataUrl names a tar.gz; anything else is not downloaded and fails the endpoint.", HOSTING
)
def an_artifact_is_a_tar_gz(aws):
    described = aws.settled(
        aws.endpoint(
            variant("main", aws.model(data=aws.put("no/model.tar.gz", b"no archive"))), wait=False
        )
    )
    assert described["EndpointStatus"] == "Failed"


@promises(
    "A model's artifacts are at an S3 address with https or s3 as its scheme.",
    reference("ContainerDefinition"),
)
def model_data_is_in_s3(aws):
    container = {"Image": TOY, "ModelDataUrl": "ftp://somewhere/model.tar.gz"}
    assert "ValidationException" in refusal(
        aws.sm.create_model,
        ModelName=aws.fresh(),
        PrimaryContainer=container,
        ExecutionRoleArn=ROLE,
    )


@promises("A configuration names models that exist.", CONFIG)
def a_configuration_names_models_that_exist(aws):
    missing = [variant("main", "nobodys")]
    assert "Could not find model" in refusal(
        aws.sm.create_endpoint_config, EndpointConfigName=aws.fresh(), ProductionVariants=missing
    )


@promises("The images that run are told as DeployedImages.", SUMMARY)
def deployed_images_are_told(aws):
    images = variants(aws.described(aws.split))["blue"]["DeployedImages"]
    assert [image["SpecifiedImage"] for image in images] == [TOY]


@promises("ListEndpoints filters by status and by a part of the name.", reference("ListEndpoints"))
def endpoints_are_listed_by_name_and_status(aws):
    listed = aws.sm.list_endpoints(NameContains=aws.split, StatusEquals="InService")["Endpoints"]
    assert aws.split in [item["EndpointName"] for item in listed]
    assert aws.sm.list_endpoints(NameContains=aws.split, StatusEquals="Failed")["Endpoints"] == []


@promises(
    "DescribeEndpoint of a name that nobody has says that it could not be found.",
    reference("DescribeEndpoint"),
)
def what_is_not_there_is_not_described(aws):
    assert "ValidationException: Could not find endpoint" in refusal(
        aws.described, endpoint="nobodys"
    )


@promises("A request changes each variant once.", reference("DesiredWeightAndCapacity"))
def a_variant_is_named_once(aws):
    wanted = [{"VariantName": "blue", "DesiredWeight": weight} for weight in (1, 2)]
    assert "non-unique" in refusal(
        aws.sm.update_endpoint_weights_and_capacities,
        EndpointName=aws.split,
        DesiredWeightsAndCapacities=wanted,
    )
