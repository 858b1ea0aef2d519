"""A team's own suite: the script above against an AWS that executes. `aws_stack` comes with isthmus; no account, no Docker."""

import boto3
import deploy_ab
import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def bucket(aws_stack):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=deploy_ab.BUCKET)
    s3.upload_file(str(deploy_ab.CLICKS), deploy_ab.BUCKET, "data/clicks.csv")


def test_traffic_follows_the_weights(bucket):
    deploy_ab.train("counted", prior=0.001)
    deploy_ab.train("smoothed", prior=250)
    deploy_ab.deploy("ab", counted=90, smoothed=10)
    at_90 = deploy_ab.calls("ab", 400)
    deploy_ab.shift("ab", counted=0, smoothed=100)
    assert 360 - 36 <= at_90["counted"] <= 360 + 36  # six sigma of 400 at 90 %
    assert deploy_ab.calls("ab", 50) == {"smoothed": 50}


def test_a_training_job_whose_input_is_missing_fails(aws_stack):
    boto3.client("s3").create_bucket(Bucket=deploy_ab.BUCKET)
    with pytest.raises(Exception, match="ModelArtifacts|failed|Failed"):
        deploy_ab.train("counted", prior=1)
    job = boto3.client("sagemaker").describe_training_job(TrainingJobName="counted")
    assert job["TrainingJobStatus"] == "Failed"
    assert "data/" in job["FailureReason"]


def test_an_endpoint_that_was_never_made_is_an_error(aws_stack):
    with pytest.raises(ClientError, match="ValidationError"):
        deploy_ab.calls("ab", 1)


def test_a_throttled_shift_is_tried_again(bucket, aws_stack):
    deploy_ab.train("counted", prior=1)
    deploy_ab.train("smoothed", prior=250)
    deploy_ab.deploy("ab", counted=90, smoothed=10)
    aws_stack.fault(kind="throttle", service="sagemaker", operation="UpdateEndpointWeightsAndCapacities", times=2)
    deploy_ab.shift("ab", counted=50, smoothed=50)
    weights = {v["VariantName"]: v["CurrentWeight"] for v in boto3.client("sagemaker").describe_endpoint(EndpointName="ab")["ProductionVariants"]}
    assert weights == {"counted": 50, "smoothed": 50}
