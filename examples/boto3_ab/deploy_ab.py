"""Train two models, serve both behind one endpoint, 90/10, then 50/50. Plain boto3: nothing here is Isthmus.

On AWS:   python deploy_ab.py                  with credentials, IMAGE, ROLE and BUCKET of your own
Offline:  isthmus stack run aws --image ab="python model.py" -- python deploy_ab.py
"""

import json
import os
from collections import Counter
from pathlib import Path

import boto3

IMAGE = os.environ.get("IMAGE", "123456789012.dkr.ecr.us-east-1.amazonaws.com/ab:1")
ROLE = os.environ.get("ROLE", "arn:aws:iam::123456789012:role/ab")
BUCKET = os.environ.get("BUCKET", "example-ab")
CLICKS = Path(__file__).parent / "clicks.csv"
MACHINE = "ml.m5.large"


def train(name, prior):
    """A training job, then a model of what it made."""
    sagemaker = boto3.client("sagemaker")
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        HyperParameters={"prior": str(prior)},
        InputDataConfig=[
            {"ChannelName": "clicks", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/data/"}}}
        ],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/models"},
        ResourceConfig={"InstanceType": MACHINE, "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        RoleArn=ROLE,
    )
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(TrainingJobName=name, WaiterConfig=POLL)
    job = sagemaker.describe_training_job(TrainingJobName=name)
    container = {"Image": IMAGE, "ModelDataUrl": job["ModelArtifacts"]["S3ModelArtifacts"]}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)


def deploy(endpoint, **weights):
    """One endpoint, a variant a model."""
    sagemaker = boto3.client("sagemaker")
    variants = [
        {"VariantName": name, "ModelName": name, "InstanceType": MACHINE, "InitialInstanceCount": 1, "InitialVariantWeight": weight}
        for name, weight in weights.items()
    ]
    sagemaker.create_endpoint_config(EndpointConfigName=endpoint, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=endpoint)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig=POLL)


def shift(endpoint, **weights):
    """Move the traffic; no model is touched."""
    sagemaker = boto3.client("sagemaker")
    desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=desired)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=endpoint, WaiterConfig=POLL)


def calls(endpoint, number):
    """How many answers came from each variant."""
    runtime = boto3.client("sagemaker-runtime")
    counted = Counter()
    for item in range(number):
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Body=json.dumps({"items": [item % 80]})
        )
        assert json.loads(answer["Body"].read())["rates"][0] > 0
        counted[answer["InvokedProductionVariant"]] += 1
    return dict(sorted(counted.items()))


POLL = {"Delay": 2, "MaxAttempts": 900}  # seconds between looks; a training job on AWS takes minutes


def main():
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(CLICKS), BUCKET, "data/clicks.csv")
    train("counted", prior=0.001)
    train("smoothed", prior=250)
    deploy("ab", counted=90, smoothed=10)
    print("90/10", calls("ab", 500))
    shift("ab", counted=50, smoothed=50)
    print("50/50", calls("ab", 500))


if __name__ == "__main__":
    main()
