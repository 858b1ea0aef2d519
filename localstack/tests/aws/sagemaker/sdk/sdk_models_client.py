"""A user of the genuine sagemaker v3 SDK's resources: run in a process of its own, with the stack's
variables. Writes one JSON object.
"""

import json
import sys
from pathlib import Path

from botocore.exceptions import ClientError
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import (
    Endpoint,
    EndpointConfig,
    Model,
    ModelPackage,
    ModelPackageGroup,
)
from sagemaker.core.shapes import (
    AsyncInferenceConfig,
    AsyncInferenceOutputConfig,
    ContainerDefinition,
    ContainersItem,
    DesiredWeightAndCapacity,
    InferenceSpecification,
    ProductionVariant,
    Tag,
)
from sagemaker.core.transformer import Transformer

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/toy:1"
ROLE = "arn:aws:iam::123456789012:role/serving"


def data_of(name):
    return f"s3://models/{name}/model.tar.gz"


def new_version(**arguments):
    """A new version in the group.

    The SDK (3.27) reads a ModelPackageName that CreateModelPackage does not answer, after it has
    made it.
    """
    try:
        return ModelPackage.create(model_package_group_name="rankers", **arguments)
    except KeyError as error:
        if error.args != ("ModelPackageName",):
            raise
    newest = max(
        ModelPackage.get_all(model_package_group_name="rankers"),
        key=lambda found: found.model_package_version,
    )
    made = ModelPackage.get(model_package_name=newest.model_package_arn)
    made.model_package_name = (
        made.model_package_arn
    )  # a version has no name of its own; the SDK's refresh and delete send this
    return made


def registry():
    """A group, two versions in it, the first approved."""
    group = ModelPackageGroup.create(
        model_package_group_name="rankers",
        model_package_group_description="all of them",
        tags=[Tag(key="team", value="ranking")],
    )
    group.wait_for_status("Completed", poll=1, timeout=300)
    versions = [
        new_version(
            inference_specification=InferenceSpecification(
                containers=[ContainersItem(image=IMAGE, model_data_url=data_of(name))],
                supported_content_types=["application/json"],
                supported_response_mime_types=["application/json"],
            ),
            model_approval_status="PendingManualApproval",
            customer_metadata_properties={"auc": "0.7"},
        )
        for name in ("first", "second")
    ]
    for version in versions:
        version.wait_for_status("Completed", poll=1, timeout=300)
    versions[0].update(
        model_approval_status="Approved",
        approval_description="good",
        customer_metadata_properties={"by": "me"},
    )
    read = ModelPackage.get(model_package_name=versions[0].model_package_arn)
    chosen = ModelPackage.get_all(
        model_package_group_name="rankers", model_approval_status="Approved"
    )
    return versions, {
        "group": [
            group.model_package_group_arn,
            group.model_package_group_status,
            group.model_package_group_description,
        ],
        "groups": [found.model_package_group_name for found in ModelPackageGroup.get_all()],
        "versions": [version.model_package_version for version in versions],
        "approved": [
            read.model_approval_status,
            read.approval_description,
            read.customer_metadata_properties,
        ],
        "data": read.inference_specification.containers[0].model_data_url,
        "listed": [
            found.model_package_arn
            for found in ModelPackage.get_all(model_package_group_name="rankers")
        ],
        "chosen": [found.model_package_arn for found in chosen],
    }


def serving(versions):
    """The approved version behind an endpoint, then another model by another configuration, by the
    SDK's own waits.
    """
    first = Model.create(
        model_name="first",
        execution_role_arn=ROLE,
        primary_container=ContainerDefinition(
            model_package_name=versions[0].model_package_arn, environment={"GREETING": "hello"}
        ),
    )
    Model.create(
        model_name="second",
        execution_role_arn=ROLE,
        primary_container=ContainerDefinition(image=IMAGE, model_data_url=data_of("second")),
    )
    configs = [
        EndpointConfig.create(
            endpoint_config_name=f"{name}-config",
            production_variants=[
                ProductionVariant(
                    variant_name="main",
                    model_name=name,
                    instance_type="ml.m5.large",
                    initial_instance_count=1,
                    initial_variant_weight=1.0,
                )
            ],
        )
        for name in ("first", "second")
    ]
    endpoint = Endpoint.create(
        endpoint_name="ranker",
        endpoint_config_name="first-config",
        tags=[Tag(key="team", value="ranking")],
    )
    seen = {
        "model": [first.model_arn, first.primary_container.model_package_name],
        "models": sorted(found.model_name for found in Model.get_all()),
        "configs": sorted(found.endpoint_config_name for found in EndpointConfig.get_all()),
        "variants": [variant.model_name for variant in configs[0].production_variants],
        "at first": endpoint.endpoint_status,
    }
    endpoint.wait_for_status("InService", poll=1, timeout=300)
    seen["in service"] = endpoint.endpoint_status
    answer = endpoint.invoke(
        body=json.dumps({"rows": [1]}),
        content_type="application/json",
        accept="application/json",
        custom_attributes="trace=1",
    )
    seen["invoked"] = [
        answer.invoked_production_variant,
        answer.content_type,
        answer.custom_attributes,
        said_by(answer),
    ]
    endpoint.update_weights_and_capacities(
        [
            DesiredWeightAndCapacity(
                variant_name="main", desired_weight=1.0, desired_instance_count=2
            )
        ]
    )
    endpoint.wait_for_status("InService", poll=1, timeout=300)
    seen["capacity"] = endpoint.production_variants[0].current_instance_count
    endpoint.endpoint_config_name = "second-config"  # the SDK's update takes it from the object
    endpoint.update()
    seen["updating"] = endpoint.endpoint_status
    endpoint.wait_for_status("InService", poll=1, timeout=300)
    seen["updated"] = [
        Endpoint.get(endpoint_name="ranker").endpoint_config_name,
        said_by(endpoint.invoke(body="{}"))["model"],
    ]
    seen["listed"] = [
        [found.endpoint_name, found.endpoint_status]
        for found in Endpoint.get_all(status_equals="InService")
    ]
    seen["transformed"] = transformed()
    seen["asynchronous"] = asynchronous()
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=300)
    seen["after"] = refusal(lambda: Endpoint.get(endpoint_name="ranker"))
    seen["invoked after"] = refusal(lambda: endpoint.invoke(body="{}"))
    for config in configs:
        config.delete()
    for name in ("first", "second"):
        Model.get(model_name=name).delete()
    seen["left"] = [
        [found.get_name() for found in kind.get_all()] for kind in (Endpoint, EndpointConfig, Model)
    ]
    return seen


def asynchronous():
    """What an asynchronous endpoint's model says of an object, by the SDK's resources and boto3's
    waiter.
    """
    output = AsyncInferenceOutputConfig(
        s3_output_path="s3://models/answers", s3_failure_path="s3://models/failures"
    )
    EndpointConfig.create(
        endpoint_config_name="waiting-config",
        production_variants=[
            ProductionVariant(
                variant_name="main",
                model_name="second",
                instance_type="ml.m5.large",
                initial_instance_count=1,
            )
        ],
        async_inference_config=AsyncInferenceConfig(output_config=output),
    )
    endpoint = Endpoint.create(endpoint_name="waiting", endpoint_config_name="waiting-config")
    endpoint.wait_for_status("InService", poll=1, timeout=300)
    answer = endpoint.invoke_async(
        input_location="s3://models/in/rows.csv", content_type="text/csv"
    )
    s3, (bucket, _, key) = (
        Session().boto_session.client("s3"),
        answer.output_location.removeprefix("s3://").partition("/"),
    )
    s3.get_waiter("object_exists").wait(
        Bucket=bucket, Key=key, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    endpoint.delete()
    EndpointConfig.get(endpoint_config_name="waiting-config").delete()
    endpoint.wait_for_delete(poll=1, timeout=300)
    stored = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return [
        stored["model"],
        stored["type"],
        stored["bytes"],
        answer.failure_location.endswith("-error.out"),
    ]


def transformed():
    """What a batch transform of two lines gives, by the SDK's own wait."""
    session = Session(default_bucket="models")
    transformer = Transformer(
        model_name="second",
        instance_count=1,
        instance_type="ml.m5.large",
        output_path="s3://models/out",
        assemble_with="Line",
        strategy="SingleRecord",
        sagemaker_session=session,
    )
    transformer.transform(
        "s3://models/in/", content_type="text/csv", split_type="Line", wait=True, logs=False
    )
    return [
        json.loads(line)["model"]
        for line in session.read_s3_file("models", "out/rows.csv.out").splitlines()
    ]


def removal(versions):
    group = ModelPackageGroup.get(model_package_group_name="rankers")
    seen = {"too early": refusal(group.delete)}
    for version in versions:
        version.delete()
        version.wait_for_delete(poll=1, timeout=300)
    group.delete()
    group.wait_for_delete(poll=1, timeout=300)
    return {
        **seen,
        "left": [found.model_package_group_name for found in ModelPackageGroup.get_all()],
    }


def said_by(answer):
    body = answer.body.read() if hasattr(answer.body, "read") else answer.body
    return {
        key: value for key, value in json.loads(body).items() if key in ("model", "env", "type")
    }


def refusal(function):
    try:
        function()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


if __name__ == "__main__":
    versions, first = registry()
    found = {"registry": first, "serving": serving(versions), "removal": removal(versions)}
    Path(sys.argv[1]).write_text(json.dumps(found, default=str))
