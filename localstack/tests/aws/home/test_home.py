"""A stack with a home: killed with kill -9 after each change, it comes up again with what it held."""

import json
import os
import signal
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError

from isthmus_stack.run import start_aws
from isthmus_stack.testing import stacks
from isthmus_stack.testing.endpoints_kit import IMAGE, ROLE, Kit
from isthmus_stack.testing.jobs_kit import Aws, alive, definition, step, training_request, until
from isthmus_stack.testing.keys_kit import control
from isthmus_stack.testing.stacks import IMAGES
from isthmus_stack.tests.aws.cloudformation.test_cloudformation import serving
from isthmus_stack.tests.aws.sagemaker.jobs.test_tuning import tuning_request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # each test starts two stacks


@pytest.fixture
def life(tmp_path):
    """life(): a stack on the same home; the one before is killed.

    Whatever runs at the end is stopped.
    """
    stacks = []

    def again(**options):
        if stacks:
            os.kill(stacks[-1].pid, signal.SIGKILL)
            stacks[-1].stop()
        stacks.append(
            start_aws(
                home=tmp_path / "home", **{"clock": "instant", "images": {"shell": "sh"}, **options}
            )
        )
        return Aws(stacks[-1].url)

    yield again
    for stack in stacks:
        stack.stop()


def code_of(function, **arguments):
    with pytest.raises(ClientError) as error:
        function(**arguments)
    return error.value.response["Error"]["Code"]


KEYS = ["plain", "a/b//c", "é +%2F" * 20, "x" * 1000, "Case", "case"]


def test_objects_come_back_with_their_metadata_tags_and_versions(life):
    s3 = life().s3
    s3.create_bucket(Bucket="bucket")
    for key in KEYS:
        s3.put_object(
            Bucket="bucket",
            Key=key,
            Body=key.encode(),
            Metadata={"of": "mine"},
            Tagging="team=ranking",
            ContentType="text/x",
        )
    before = {key: s3.head_object(Bucket="bucket", Key=key) for key in KEYS}
    s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="bucket", Key="v", Body=b"1")["VersionId"]
    s3.put_object(Bucket="bucket", Key="v", Body=b"2")
    s3.put_object(Bucket="bucket", Key="gone", Body=b"3")
    s3.delete_object(Bucket="bucket", Key="gone")
    s3 = life().s3
    for key in KEYS:
        answer = s3.get_object(Bucket="bucket", Key=key)
        assert answer["Body"].read() == key.encode()
        for part in ("ETag", "LastModified", "Metadata", "ContentType"):
            assert answer[part] == before[key][part]
        assert s3.get_object_tagging(Bucket="bucket", Key=key)["TagSet"] == [
            {"Key": "team", "Value": "ranking"}
        ]
    assert s3.get_object(Bucket="bucket", Key="v")["Body"].read() == b"2"
    assert s3.get_object(Bucket="bucket", Key="v", VersionId=first)["Body"].read() == b"1"
    assert code_of(s3.get_object, Bucket="bucket", Key="gone") == "NoSuchKey"
    assert [
        marker["Key"] for marker in s3.list_object_versions(Bucket="bucket")["DeleteMarkers"]
    ] == ["gone"]
    assert s3.put_object(Bucket="bucket", Key="v", Body=b"4")["VersionId"]


def test_what_was_deleted_overwritten_or_copied_stays_so_and_no_file_is_left_over(life, tmp_path):
    s3 = life().s3
    s3.create_bucket(Bucket="bucket")
    s3.create_bucket(Bucket="empty")
    for key in ("a", "b", "c", "d"):
        s3.put_object(Bucket="bucket", Key=key, Body=b"old")
    s3.put_object(Bucket="bucket", Key="a", Body=b"new")
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/b")
    s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "b"}, {"Key": "c"}]})
    s3.delete_object(Bucket="bucket", Key="d")
    s3.delete_bucket(Bucket="empty")
    upload = s3.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    parts = [
        s3.upload_part(
            Bucket="bucket", Key="parts", UploadId=upload, PartNumber=n, Body=b"p" * (5 << 20)
        )
        for n in (1, 2)
    ]
    done = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate(parts, 1)]
    s3.complete_multipart_upload(
        Bucket="bucket", Key="parts", UploadId=upload, MultipartUpload={"Parts": done}
    )
    s3.create_multipart_upload(Bucket="bucket", Key="under way")
    s3 = life().s3
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["bucket"]
    held = {
        item["Key"]: s3.get_object(Bucket="bucket", Key=item["Key"])["Body"].read()
        for item in s3.list_objects_v2(Bucket="bucket")["Contents"]
    }
    assert held == {"a": b"new", "copy": b"old", "parts": b"p" * (10 << 20)}
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="bucket")
    bodies = sorted(path.stat().st_size for path in (tmp_path / "home" / "s3").rglob("*.body"))
    assert bodies == [3, 3, 10 << 20]


def test_the_catalogue_the_registry_groups_and_their_records_come_back(life, tmp_path):
    aws = life()
    aws.s3.create_bucket(Bucket="bucket")
    aws.client("glue").create_database(DatabaseInput={"Name": "shop"})
    columns = {"Columns": [{"Name": "item", "Type": "string"}], "Location": "s3://bucket/items/"}
    table = {
        "Name": "items",
        "StorageDescriptor": columns,
        "PartitionKeys": [{"Name": "dt", "Type": "string"}],
    }
    aws.client("glue").create_table(DatabaseName="shop", TableInput=table)
    aws.client("glue").create_partition(
        DatabaseName="shop",
        TableName="items",
        PartitionInput={"Values": ["1"], "StorageDescriptor": columns},
    )
    aws.sm.create_model_package_group(
        ModelPackageGroupName="ranker", Tags=[{"Key": "team", "Value": "ranking"}]
    )
    containers = [{"Image": "shell", "ModelDataUrl": "s3://bucket/model.tar.gz"}]
    specification = {
        "Containers": containers,
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    package = aws.sm.create_model_package(
        ModelPackageGroupName="ranker",
        InferenceSpecification=specification,
        ModelApprovalStatus="PendingManualApproval",
    )["ModelPackageArn"]
    aws.sm.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    aws.sm.create_feature_group(
        FeatureGroupName="items",
        RecordIdentifierFeatureName="item",
        EventTimeFeatureName="at",
        FeatureDefinitions=[
            {"FeatureName": "item", "FeatureType": "String"},
            {"FeatureName": "at", "FeatureType": "String"},
        ],
        OnlineStoreConfig={"EnableOnlineStore": True},
    )
    until(
        lambda: (
            aws.sm.describe_feature_group(FeatureGroupName="items")["FeatureGroupStatus"]
            == "Created"
        )
    )
    record = [
        {"FeatureName": "item", "ValueAsString": "7"},
        {"FeatureName": "at", "ValueAsString": "2026-01-01T00:00:00Z"},
    ]
    aws.client("sagemaker-featurestore-runtime").put_record(FeatureGroupName="items", Record=record)
    aws.client("iam").create_role(RoleName="job", AssumeRolePolicyDocument="{}")
    reads = {"RoleName": "job", "PolicyArn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}
    aws.client("iam").attach_role_policy(**reads)
    aws.client("kinesis").create_stream(StreamName="events", ShardCount=2)
    aws.client("kinesis").put_record(StreamName="events", Data=b"in flight", PartitionKey="1")
    key = {"AttributeDefinitions": [{"AttributeName": "unit", "AttributeType": "S"}]}
    aws.client("dynamodb").create_table(
        TableName="counts",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "unit", "KeyType": "HASH"}],
        **key,
    )
    aws.client("dynamodb").update_time_to_live(
        TableName="counts", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
    )
    unit = {"TableName": "counts", "Key": {"unit": {"S": "u"}}}
    add = {"UpdateExpression": "ADD n :1", "ExpressionAttributeValues": {":1": {"N": "1"}}}
    aws.client("dynamodb").update_item(**unit, **add)
    aws.client("athena").create_prepared_statement(
        StatementName="first", WorkGroup="primary", QueryStatement="select 1"
    )
    before = aws.sm.describe_model_package(ModelPackageName=package)
    aws = life()
    assert (
        aws.client("glue").get_table(DatabaseName="shop", Name="items")["Table"]["PartitionKeys"]
        == table["PartitionKeys"]
    )
    assert [
        p["Values"]
        for p in aws.client("glue").get_partitions(DatabaseName="shop", TableName="items")[
            "Partitions"
        ]
    ] == [["1"]]
    after = aws.sm.describe_model_package(ModelPackageName=package)
    assert (after["ModelApprovalStatus"], after["CreationTime"]) == (
        "Approved",
        before["CreationTime"],
    )
    group = aws.sm.describe_model_package_group(ModelPackageGroupName="ranker")[
        "ModelPackageGroupArn"
    ]
    assert aws.sm.list_tags(ResourceArn=group)["Tags"] == [{"Key": "team", "Value": "ranking"}]
    assert (
        aws.sm.describe_feature_group(FeatureGroupName="items")["FeatureGroupStatus"] == "Created"
    )
    answer = aws.client("sagemaker-featurestore-runtime").get_record(
        FeatureGroupName="items", RecordIdentifierValueAsString="7"
    )
    assert answer["Record"] == record
    iam = aws.client("iam")
    assert [
        policy["PolicyArn"]
        for policy in iam.list_attached_role_policies(RoleName="job")["AttachedPolicies"]
    ] == [reads["PolicyArn"]]
    iam.attach_role_policy(
        RoleName="job", PolicyArn="arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess"
    )
    iam.detach_role_policy(**reads)
    assert iam.get_policy(PolicyArn=reads["PolicyArn"])["Policy"]["AttachmentCount"] == 0
    notebooks = iam.get_policy(PolicyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")[
        "Policy"
    ]
    assert notebooks["AttachmentCount"] == 1, "to the notebook's role, and once"
    records = [path.stat().st_size for path in (tmp_path / "home" / "moto" / "iam").iterdir()]
    assert sum(records) < 200_000, "AWS's policies are moto's own: 4 MB in each"
    assert len(aws.client("kinesis").list_shards(StreamName="events")["Shards"]) == 2
    assert (
        aws.client("athena").get_prepared_statement(StatementName="first", WorkGroup="primary")[
            "PreparedStatement"
        ]["QueryStatement"]
        == "select 1"
    )
    aws.client("dynamodb").update_item(**unit, **add)
    assert aws.client("dynamodb").get_item(**unit)["Item"]["n"] == {"N": "1"}, (
        "a table comes back empty"
    )
    assert (
        aws.client("dynamodb").describe_time_to_live(TableName="counts")["TimeToLiveDescription"][
            "TimeToLiveStatus"
        ]
        == "ENABLED"
    )
    next_version = aws.sm.create_model_package(
        ModelPackageGroupName="ranker", InferenceSpecification=specification
    )["ModelPackageArn"]
    assert next_version.endswith("/2")


def test_what_was_put_into_a_stream_is_delivered_by_the_next_stack_when_this_one_is_killed(life):
    aws = life()
    aws.s3.create_bucket(Bucket="bucket")
    kinesis = aws.client("kinesis")
    kinesis.create_stream(StreamName="events", ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName="events")["StreamDescriptionSummary"][
        "StreamARN"
    ]
    role = "arn:aws:iam::123456789012:role/r"
    aws.client("firehose").create_delivery_stream(
        DeliveryStreamName="delivery",
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": role},
        ExtendedS3DestinationConfiguration={"RoleARN": role, "BucketARN": "arn:aws:s3:::bucket"},
    )
    for number in range(3):
        kinesis.put_record(StreamName="events", Data=f"before{number}\n".encode(), PartitionKey="1")
    aws = life()
    aws.client("kinesis").put_record(StreamName="events", Data=b"after\n", PartitionKey="1")
    lines = "".join(
        aws.text(item["Key"]) for item in aws.s3.list_objects_v2(Bucket="bucket")["Contents"]
    ).split()
    assert set(lines) == {"before0", "before1", "before2", "after"}


def is_kept(home, word):
    """Whether the home's stores know of it: what no request told of is written once a second."""
    records = [
        path for path in (home / "stores").rglob("*") if path.is_file() and path.suffix != ".new"
    ]
    return any(word.encode() in path.read_bytes() for path in records)


def test_jobs_and_executions_that_ran_have_failed_and_those_that_ended_are_as_they_were(
    life, tmp_path
):
    aws = life(clock="real", images=IMAGES)
    aws.s3.create_bucket(Bucket="bucket")
    aws.sm.create_training_job(
        TrainingJobName="done", **training_request("echo done > /opt/ml/model/m")
    )
    done = aws.training("done")
    assert done["TrainingJobStatus"] == "Completed"
    aws.sm.create_training_job(TrainingJobName="running", **training_request("sleep 600"))
    aws.sm.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="tuning", **tuning_request("sleep 600")
    )
    aws.sm.create_pipeline(
        PipelineName="pipe",
        PipelineDefinition=definition(step("slow", "sleep 600")),
        ClientRequestToken="t" * 32,
        RoleArn="arn:aws:iam::123456789012:role/r",
    )
    execution = aws.sm.start_pipeline_execution(PipelineName="pipe", ClientRequestToken="s" * 32)[
        "PipelineExecutionArn"
    ]
    aws.training("running", until=("InProgress",))
    until(lambda: aws.steps(execution).get("slow", {}).get("Metadata"))
    until(
        lambda: (
            aws.sm.describe_training_job(TrainingJobName="running")["SecondaryStatus"] == "Training"
        )
    )
    until(
        lambda: is_kept(
            tmp_path / "home", aws.steps(execution)["slow"]["Metadata"]["ProcessingJob"]["Arn"]
        )
    )
    aws = life(clock="real", images=IMAGES)
    running = aws.sm.describe_training_job(TrainingJobName="running")
    assert (running["TrainingJobStatus"], "the local stack ended" in running["FailureReason"]) == (
        "Failed",
        True,
    )
    tuning = aws.sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tuning")
    assert (
        tuning["HyperParameterTuningJobStatus"],
        "the local stack ended" in tuning["FailureReason"],
    ) == ("Failed", True)
    again = aws.sm.describe_training_job(TrainingJobName="done")
    for part in (
        "TrainingJobStatus",
        "ModelArtifacts",
        "TrainingEndTime",
        "SecondaryStatusTransitions",
    ):
        assert again[part] == done[part]
    answer = aws.sm.describe_pipeline_execution(PipelineExecutionArn=execution)
    assert (
        answer["PipelineExecutionStatus"],
        "the local stack ended" in answer["FailureReason"],
    ) == ("Failed", True)
    assert aws.steps(execution)["slow"]["StepStatus"] == "Failed"
    aws.sm.create_training_job(
        TrainingJobName="after", **training_request("echo after > /opt/ml/model/m")
    )
    assert aws.training("after")["TrainingJobStatus"] == "Completed"


def test_endpoints_get_their_servers_back_with_the_weights_that_were_set(tmp_path):
    at_once = {"home": tmp_path / "home", "env": {"ISTHMUS_STACK_ENDPOINT_SECONDS": "0"}}
    stack = stacks.started("real", **at_once)
    try:
        kit = Kit(stack.url)
        kit.bucket()
        kit.model("x")
        kit.model("y")
        kit.config("ranker-1", a_x=1, b_y=1)
        kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="ranker-1")
        until(lambda: kit.status() == "InService")
        kit.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="ranker",
            DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0}],
        )
        until(lambda: kit.status() == "InService")
        server = kit.invoke()[1]["pid"]
        os.kill(stack.pid, signal.SIGKILL)
        stack.stop()
        until(lambda: not alive(server))
        stack = stacks.started("real", **at_once)
        kit = Kit(stack.url)
        assert kit.status() in ("Creating", "InService")
        until(lambda: kit.status() == "InService")
        assert kit.weights() == {"a": (0.0, 0.0), "b": (1.0, 1.0)}
        variant, answer = kit.invoke()
        assert (variant, answer["model"]) == ("b", "y")
        assert answer["pid"] != server
    finally:
        stack.stop()


def test_stacks_of_cloudformation_know_what_they_have_and_go_on_though_nobody_looks(tmp_path):
    model = {
        "Type": "AWS::SageMaker::Model",
        "Properties": {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}},
    }
    stack = stacks.started("manual", home=tmp_path / "home")
    try:
        cloudformation = Kit(stack.url).client("cloudformation")
        cloudformation.create_stack(StackName="failing", TemplateBody=serving("missing"))
        cloudformation.create_stack(
            StackName="shop", TemplateBody=json.dumps({"Resources": {"Model": model}})
        )
        model["Properties"]["EnableNetworkIsolation"] = True  # another model takes its place
        cloudformation.update_stack(
            StackName="shop", TemplateBody=json.dumps({"Resources": {"Model": model}})
        )
        os.kill(stack.pid, signal.SIGKILL)
        stack.stop()
        stack = stacks.started("manual", home=tmp_path / "home")
        kit = Kit(stack.url)
        until(lambda: kit.stack.advance(600) and not kit.sagemaker.list_endpoints()["Endpoints"])
        until(lambda: len(kit.sagemaker.list_models()["Models"]) == 1)
        (resource,) = kit.client("cloudformation").list_stack_resources(StackName="shop")[
            "StackResourceSummaries"
        ]
        assert (
            resource["PhysicalResourceId"] == kit.sagemaker.list_models()["Models"][0]["ModelArn"]
        )
    finally:
        stack.stop()


def test_a_clean_end_keeps_the_same_and_a_reset_empties_the_home(life, tmp_path):
    with start_aws(home=tmp_path / "home", clock="manual") as stack:
        aws = Aws(stack.url)
        aws.s3.create_bucket(Bucket="bucket")
        moved = aws.stack.advance(86400)
    aws = life(clock="manual")
    assert aws.s3.list_buckets()["Buckets"][0]["Name"] == "bucket"
    assert aws.stack.now() >= moved  # time does not go back
    aws.stack.reset()
    assert life().s3.list_buckets()["Buckets"] == []


def test_motos_own_reset_empties_the_home_too(life):
    aws = life()
    aws.s3.create_bucket(Bucket="bucket")
    aws.sm.create_model_package_group(ModelPackageGroupName="ranker")
    with urllib.request.urlopen(
        urllib.request.Request(f"{aws.url}/moto-api/reset", method="POST", headers=control(aws.url))
    ) as answer:
        assert answer.status == 200
    aws = life()
    assert aws.s3.list_buckets()["Buckets"] == []
    assert aws.sm.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def test_identities_and_their_policies_come_back_and_hold_again_once_they_are_enforced(life):
    aws = life()
    iam = aws.client("iam")
    iam.create_user(UserName="reader")
    allowed = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    aws.stack.enforce()
    aws = life()
    reader = boto3.client(
        "s3",
        endpoint_url=aws.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )
    reader.create_bucket(Bucket="before")  # as documented: enforcement does not outlive the stack
    aws.stack.enforce()
    assert [bucket["Name"] for bucket in reader.list_buckets()["Buckets"]] == ["before"]
    assert code_of(reader.create_bucket, Bucket="after") == "AccessDenied"


def test_a_request_whose_effect_cannot_be_written_is_answered_with_an_error(life, tmp_path):
    aws = life()
    aws.s3.create_bucket(Bucket="bucket")
    (tmp_path / "home" / "s3" / "objects").write_text("in the way")
    assert code_of(aws.s3.put_object, Bucket="bucket", Key="key", Body=b"") == "InternalFailure"
    (tmp_path / "home" / "s3" / "objects").unlink()
    aws.s3.put_object(Bucket="bucket", Key="other", Body=b"")
    keys = [item["Key"] for item in life().s3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert keys == [
        "key",
        "other",
    ]  # what could not be written then is written with the next change
