"""An account for the checks of statements.py: clients of one stack, fresh names, and what is made
once and looked at by many.
"""

import io
import json
import tarfile
from collections import Counter
from functools import cached_property
from itertools import count

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.testing import jobs_kit as jobkit
from isthmus_stack.testing.jobs_kit import ROLE, channel, training_request, until

TOY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/toy:1"
CHANGING = ("Creating", "Updating", "RollingBack", "SystemUpdating")


def refusal(call, **arguments):
    """Code and message, as `code: message`."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def variant(name, model, *, weight=1.0, count=1):
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }


class Account(jobkit.Aws):
    def __init__(self, url):
        super().__init__(url)
        self._numbers = count()
        self.stack.reset()
        self.s3.create_bucket(Bucket="bucket")

    def __getattr__(self, service):
        """account.athena, account.sagemaker_runtime: boto3's client."""
        if service.startswith("_"):
            raise AttributeError(service)
        return self.client(service.replace("_", "-"))

    def fresh(self, prefix="x"):
        return f"{prefix}-{next(self._numbers)}"

    def put(self, key, body=b"x", **more):
        self.s3.put_object(Bucket="bucket", Key=key, Body=body, **more)
        return f"s3://bucket/{key}"

    def body(self, key):
        return self.s3.get_object(Bucket="bucket", Key=key)["Body"].read()

    def members(self, key):
        """The files of a tar.gz by name."""
        with tarfile.open(fileobj=io.BytesIO(self.body(key))) as archive:
            return {
                item.name.removeprefix("./"): archive.extractfile(item).read()
                for item in archive
                if item.isfile()
            }

    # models and endpoints

    @cached_property
    def artifact(self):
        """The one model.tar.gz of all toy models; what tells them apart is their environment."""
        return self.put("toy/model.tar.gz", archive({"model.json": b'{"name": "toy"}'}))

    def model(self, greeting="hello", *, image=TOY, data=None, **more):
        """A model; its server answers its GREETING, among other things."""
        name = self.fresh("model")
        container = {
            "Image": image,
            "ModelDataUrl": data or self.artifact,
            "Environment": {"GREETING": greeting, **more},
        }
        self.sm.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
        return name

    @cached_property
    def blue(self):
        return self.model("blue")

    @cached_property
    def green(self):
        return self.model("green")

    def config(self, *variants, **more):
        name = self.fresh("config")
        self.sm.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=list(variants), **more
        )
        return name

    def endpoint(self, *variants, wait=True, deployment=None, **more):
        """Its name, once it is in service."""
        name = self.fresh("endpoint")
        options = {"DeploymentConfig": deployment} if deployment else {}
        self.sm.create_endpoint(
            EndpointName=name, EndpointConfigName=self.config(*variants, **more), **options
        )
        if wait:
            described = self.settled(name)
            assert described["EndpointStatus"] == "InService", described
        return name

    @cached_property
    def split(self):
        """An endpoint that nobody changes: blue and green at 3 to 1, two instances of green."""
        return self.endpoint(
            variant("blue", self.blue, weight=3), variant("green", self.green, count=2)
        )

    def described(self, endpoint):
        return self.sm.describe_endpoint(EndpointName=endpoint)

    def settled(self, endpoint):
        """The description once nothing changes any more; the manual clock is moved as far as it
        takes.
        """

        def ended():
            described = self.described(endpoint)
            if described["EndpointStatus"] not in CHANGING:
                return described
            return self.pass_time(60)

        return until(ended)

    def pass_time(self, seconds):
        """On the manual clock; on the instant one what takes time has been done."""
        if self._moves:
            self.stack.advance(seconds)

    @cached_property
    def _moves(self):
        return self.stack.health()["clock"] == "manual"

    def ask(self, endpoint, body=b"{}", **more):
        """boto3's answer, with its body read as JSON."""
        answer = self.sagemaker_runtime.invoke_endpoint(
            EndpointName=endpoint, Body=body, **{"ContentType": "application/json", **more}
        )
        return {**answer, "Body": json.loads(answer["Body"].read())}

    def shares(self, endpoint, calls=100, key="InvokedProductionVariant"):
        return Counter(self.ask(endpoint)[key] for _ in range(calls))

    def greetings(self, endpoint, calls=100):
        return Counter(self.ask(endpoint)["Body"]["env"] for _ in range(calls))

    # jobs

    def train(self, script="true", **more):
        """The description of a training job that has ended."""
        name = self.fresh("job")
        self.sm.create_training_job(TrainingJobName=name, **training_request(script, **more))
        return self.training(name)

    @cached_property
    def trained(self):
        """A Completed job that stored what it found in its container."""
        self.put("train/a/one.csv", b"1,2\n")
        self.put("train/two.csv", b"3,4\n")
        script = """
            mkdir -p /opt/ml/output/data
            cp -r /opt/ml/input /opt/ml/model/input
            env > /opt/ml/model/environment
            echo figures > /opt/ml/output/data/figures.txt
            echo "loss=0.5;"; echo "loss=0.25;"
            echo to-stderr >&2
        """
        definitions = [{"Name": "loss", "Regex": "loss=(.*?);"}]
        request = training_request(
            script, HyperParameters={"depth": "3"}, Environment={"GREETING": "hello"}
        )
        request["AlgorithmSpecification"]["MetricDefinitions"] = definitions
        request["InputDataConfig"] = [
            channel("train", "s3://bucket/train/", ContentType="text/csv")
        ]
        self.sm.create_training_job(TrainingJobName="trained", **request)
        job = self.training("trained")
        assert job["TrainingJobStatus"] == "Completed", job
        return job

    @cached_property
    def stored(self):
        """What that job stored: the files of its model.tar.gz."""
        return self.members(
            self.trained["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://bucket/")
        )

    # queries

    @cached_property
    def database(self):
        self.glue.create_database(DatabaseInput={"Name": "db"})
        return "db"

    def query(self, sql, **more):
        """The id of a query that has been started in the database; results go below
        s3://bucket/results/.
        """
        settings = {
            "QueryExecutionContext": {"Database": self.database},
            "ResultConfiguration": {"OutputLocation": "s3://bucket/results/"},
        }
        return self.athena.start_query_execution(QueryString=sql, **{**settings, **more})[
            "QueryExecutionId"
        ]

    def ended(self, identity):
        """The execution, or None while it goes on."""
        execution = self.athena.get_query_execution(QueryExecutionId=identity)["QueryExecution"]
        return None if execution["Status"]["State"] in ("QUEUED", "RUNNING") else execution

    def executed(self, sql, **more):
        identity = self.query(sql, **more)
        return until(lambda: self.ended(identity))

    def rows(self, sql, **more):
        """The rows as text, without the header of a SELECT."""
        execution = self.executed(sql, **more)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"].get(
            "StateChangeReason"
        )
        results = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])[
            "ResultSet"
        ]["Rows"]
        lines = [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in results]
        return lines[1:] if execution.get("StatementType") == "DML" else lines


def archive(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()
