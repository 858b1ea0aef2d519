"""Steps that the tests of models and endpoints need, by the genuine GAPIC clients."""

import json

from google.api_core import exceptions
from google.cloud import aiplatform_v1 as ai
from google.protobuf import field_mask_pb2

PARENT = "projects/shop-project/locations/us-central1"
ABORTED = (exceptions.Aborted, exceptions.Conflict)  # gRPC's class and REST's
TAKEN = (exceptions.AlreadyExists, exceptions.Conflict)
BAD = exceptions.BadRequest  # of which InvalidArgument and FailedPrecondition are kinds


class Kit:
    def __init__(self, vertex):
        self.models = vertex(ai.ModelServiceClient)
        self.endpoints = vertex(ai.EndpointServiceClient)
        self.prediction = vertex(ai.PredictionServiceClient)

    def upload(
        self,
        name="ranker",
        *,
        image="toy:1",
        parent=None,
        model_id=None,
        labels=None,
        aliases=(),
        env=None,
        artifacts="",
        **toy,
    ):
        """A version of a model whose container is the toy server, which answers to `name` by its
        own; its resource name and number.
        """
        variables = {"MODEL": json.dumps({"name": name, **toy}), **(env or {})}
        model = ai.Model(
            display_name=name,
            labels=labels or {},
            version_aliases=aliases,
            artifact_uri=artifacts,
            container_spec=ai.ModelContainerSpec(
                image_uri=image,
                env=[ai.EnvVar(name=key, value=value) for key, value in variables.items()],
                predict_route="/predict",
                health_route="/health",
            ),
        )
        request = ai.UploadModelRequest(
            parent=PARENT, model=model, parent_model=parent or "", model_id=model_id or ""
        )
        done = self.models.upload_model(request=request).result(timeout=60)
        return done.model, done.model_version_id

    def create(self, endpoint_id="ranker", **fields):
        request = ai.CreateEndpointRequest(
            parent=PARENT,
            endpoint=ai.Endpoint(display_name=endpoint_id, **fields),
            endpoint_id=endpoint_id,
        )
        return self.endpoints.create_endpoint(request=request).result(timeout=60).name

    def deploy(self, endpoint, model, number="", *, split=None, **fields):
        return (
            self.deploying(endpoint, model, number, split=split, **fields)
            .result(timeout=60)
            .deployed_model
        )

    def deploying(self, endpoint, model, number="", *, split=None, replicas=(1, 1), **fields):
        resources = ai.DedicatedResources(
            machine_spec=ai.MachineSpec(machine_type="n1-standard-2"),
            min_replica_count=replicas[0],
            max_replica_count=replicas[1],
        )
        deployed = ai.DeployedModel(model=model, id=number, dedicated_resources=resources, **fields)
        return self.endpoints.deploy_model(
            endpoint=endpoint, deployed_model=deployed, traffic_split=split or {}
        )

    def serving(self, *names, split, **fields):
        """An endpoint with a model of each name, its DeployedModel's id being its place from 1;
        `split` by name.
        """
        endpoint = self.create(**fields)
        for place, name in enumerate(names, 1):
            self.deploy(
                endpoint, self.upload(name)[0], str(place), split={"0": 100} if place == 1 else None
            )
        self.split(
            endpoint, {str(names.index(name) + 1): percent for name, percent in split.items()}
        )
        return endpoint

    def split(self, endpoint, split, etag=""):
        message = ai.Endpoint(name=endpoint, traffic_split=split, etag=etag)
        return self.endpoints.update_endpoint(
            endpoint=message, update_mask=field_mask_pb2.FieldMask(paths=["traffic_split"])
        )

    def content(self, endpoint):
        """What is the same at each read until somebody changes it."""
        read = self.endpoints.get_endpoint(name=endpoint)
        read.etag = ""
        for deployed in read.deployed_models:
            deployed.status = None
        return read

    def names(self, endpoint, times):
        """Which models answered."""
        return [
            self.prediction.predict(endpoint=endpoint, instances=["name"]).predictions[0]
            for _ in range(times)
        ]
