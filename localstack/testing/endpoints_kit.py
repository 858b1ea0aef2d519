"""Help for the tests of endpoints: models, configurations, and clients of one stack. toy_server.py
is what serves them.
"""

import io
import json
import tarfile
import time

import boto3
from botocore.config import Config

from isthmus_stack.client import Stack
from isthmus_stack.testing.keys_kit import keys

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/toy:1"
ROLE = "arn:aws:iam::123456789012:role/serving"


class Kit:
    """Clients of one stack, and the steps that most tests need."""

    def __init__(self, url, attempts=1):
        self.stack = Stack(url)
        self.url = url
        self._attempts = attempts
        self.sagemaker, self.runtime, self.s3, self.cloudwatch = map(
            self.client, ("sagemaker", "sagemaker-runtime", "s3", "cloudwatch")
        )

    def client(self, service):
        config = Config(retries={"total_max_attempts": self._attempts}, max_pool_connections=30)
        return boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", config=config, **keys(self.url)
        )

    def bucket(self, name="models"):
        self.s3.create_bucket(Bucket=name)

    def model(self, name, *, image=IMAGE, environment=None, **more):
        """Create a SageMaker model from a model.tar.gz; `more` goes into its model.json."""
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            text = json.dumps({"name": name, **more}).encode()
            info = tarfile.TarInfo("model.json")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
        self.s3.put_object(Bucket="models", Key=f"{name}/model.tar.gz", Body=data.getvalue())
        container = {
            "Image": image,
            "ModelDataUrl": f"s3://models/{name}/model.tar.gz",
            "Environment": environment or {},
        }
        self.sagemaker.create_model(
            ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE
        )

    def config(self, name, /, capture=None, shadow=None, asynchronous=None, count=1, **weights):
        """Create an endpoint configuration with variants by name = weight.

        Each has the model of its name (`a_x`: variant a, model x).
        """
        more = {"DataCaptureConfig": capture} if capture else {}
        if asynchronous:
            more["AsyncInferenceConfig"] = asynchronous
        if shadow:
            more["ShadowProductionVariants"] = [_variant(n, w, count) for n, w in shadow.items()]
        variants = [_variant(n, w, count) for n, w in weights.items()]
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=variants, **more
        )

    def endpoint(self, name="ranker", *, count=1, **weights):
        """Create an endpoint and bring it into service, on the manual clock."""
        self.bucket()
        for name_of_model in dict.fromkeys(map(_model, weights)):
            self.model(name_of_model)
        self.config(f"{name}-1", count=count, **weights)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
        self.stack.advance(60)
        assert self.status(name) == "InService"

    def describe(self, name="ranker"):
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def status(self, name="ranker"):
        return self.describe(name)["EndpointStatus"]

    def settled(self, name="ranker", seconds=60):
        """Return the endpoint's description once nothing changes any more.

        A model server takes the time that it takes, on every clock.
        """
        deadline = time.monotonic() + seconds
        while (described := self.describe(name))["EndpointStatus"] in (
            "Creating",
            "Updating",
            "RollingBack",
        ):
            assert time.monotonic() < deadline, described
            time.sleep(0.02)
        return described

    def weights(self, name="ranker"):
        return {
            v["VariantName"]: (v["CurrentWeight"], v["DesiredWeight"])
            for v in self.describe(name)["ProductionVariants"]
        }

    def invoke(self, body=b"{}", name="ranker", **more):
        """Invoke the endpoint; return the variant, and what its model server saw."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=body, **{"ContentType": "application/json", **more}
        )
        return answer["InvokedProductionVariant"], json.loads(answer["Body"].read())


def _model(variant):
    return variant.partition("_")[2] or variant


def _variant(name, weight, count):
    return {
        "VariantName": name.partition("_")[0],
        "ModelName": _model(name),
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }
