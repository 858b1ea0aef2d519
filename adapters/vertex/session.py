"""Google's clients of one Target: retries, project and location, and how calls are made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib import import_module
from inspect import signature
from typing import Any, final

import msgspec

from ...core import spans
from ...errors import AlreadyExists, Invalid
from ...target import Target
from ..common import adoption
from ..common.sessions import one_for_each
from . import backend, credentials, names, stack_account
from .errors import transient, translated

# seconds that a call may take which changes an endpoint: well within the lease of who asks for it
CONTROL = 15
_ANSWER = 80  # seconds: a shared endpoint has 60 to answer
_PATIENCE = 15  # seconds in which what is transient is asked again
_OFFLINE_PROJECT = "isthmus-offline"
_OFFLINE_LOCATION = "us-central1"


class Service(msgspec.Struct, frozen=True):
    """A client that Google generated from an API."""

    module: str
    client: str
    regional: bool = False  # its host begins with the location


_AI = "google.cloud.aiplatform_v1"
# by the names of this adapter: session.endpoints
SERVICES = {
    "endpoints": Service(_AI, "EndpointServiceClient", regional=True),
    "prediction": Service(_AI, "PredictionServiceClient", regional=True),
    "models": Service(_AI, "ModelServiceClient", regional=True),
    "jobs": Service(_AI, "JobServiceClient", regional=True),
    "pipelines": Service(_AI, "PipelineServiceClient", regional=True),
    "features": Service(_AI, "FeatureOnlineStoreAdminServiceClient", regional=True),
    "feature_values": Service(_AI, "FeatureOnlineStoreServiceClient", regional=True),
    "bigquery_read": Service("google.cloud.bigquery_storage_v1", "BigQueryReadClient"),
    "publisher": Service("google.pubsub_v1", "PublisherClient"),
    "subscriber": Service("google.pubsub_v1", "SubscriberClient"),
    "firestore": Service("google.cloud.firestore_v1.services.firestore", "FirestoreClient"),
    "firestore_admin": Service("google.cloud.firestore_admin_v1", "FirestoreAdminClient"),
    "monitoring": Service("google.cloud.monitoring_v3", "MetricServiceClient"),
    "logging": Service(
        "google.cloud.logging_v2.services.logging_service_v2", "LoggingServiceV2Client"
    ),  # the package alone brings more
}


class RetryingClient:
    """A generated client all of whose calls have one rule of retry and one time-out.

    Those of aiplatform have neither by themselves.
    """

    def __init__(self, client: Any, *, retry: Any, within: int) -> None:
        self._client = client
        self._rules = {"retry": retry, "timeout": within}

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if callable(attribute) and {"retry", "timeout"} <= set(signature(attribute).parameters):
            attribute = partial(attribute, **self._rules)
        setattr(self, name, attribute)
        return attribute


@final
class VertexSession:
    """The session that the files of this adapter share for one Target."""

    def __init__(self, target: Target) -> None:
        options = target.profile.options
        self.calls = target.calls
        self.profile = target.profile
        self.name = target.profile.project  # of the Isthmus project
        self.endpoint_url: str | None = options.get("endpoint_url")
        self.grpc_address: str | None = options.get("grpc_address")
        self.bucket, self.prefix = _place(target.profile.name, options.get("bucket"), self.name)
        self.root = f"gs://{self.bucket}/{self.prefix}"
        self.adopted = adoption.names(target.profile)
        self.dataset: str = options.get("dataset") or names.dataset(self.name)
        self._clients: dict[tuple[str, bool, int, str | None], Any] = {}
        self._lock = threading.RLock()
        self._credentials: tuple[Any, str | None] | None = None
        self._bucket_made = False

    @property
    def offline(self) -> bool:
        """Whether the target runs on a local stack."""
        return self.endpoint_url is not None

    @property
    def project(self) -> str:
        """The Google Cloud project's id; Invalid if neither profile nor credentials name one."""
        if named := self.profile.options.get("project"):
            return str(named)
        if self.offline:
            return _OFFLINE_PROJECT
        if of_credentials := self._credentials_and_project()[1]:
            return of_credentials
        raise Invalid(
            f"target {self.profile.name} has no project",
            remedy="set `project:` in profiles.yaml, or GOOGLE_CLOUD_PROJECT",
        )

    @property
    def location(self) -> str:
        """The location of the project's resources; Invalid if the profile has none."""
        if named := self.profile.options.get("location"):
            return str(named)
        if self.offline:
            return _OFFLINE_LOCATION
        raise Invalid(
            f"target {self.profile.name} has no location",
            remedy="set `location:` in profiles.yaml: us-central1",
        )

    @property
    def parent(self) -> str:
        """The beginning of Vertex AI's resource names: `projects/.../locations/...`."""
        return f"projects/{self.project}/locations/{self.location}"

    @property
    def credentials(self) -> Any:
        """The Google credentials, anonymous offline; Denied if there are none."""
        return self._credentials_and_project()[0]

    @property
    def service_account(self) -> str | None:
        """The service account of jobs and endpoints, or None for the project's default one."""
        return self.profile.options.get("service_account")

    def __getattr__(self, name: str) -> Any:
        """Return the retrying client of a service, such as `session.endpoints`."""
        if name not in SERVICES:
            raise AttributeError(name)
        return self.client(name)

    def client(
        self, service: str, *, retrying: bool = True, within: int = _ANSWER, host: str | None = None
    ) -> Any:
        """Return the client of one of SERVICES, made once for all threads.

        Args:
            service: Its name in SERVICES.
            retrying: Whether calls are repeated; False for conditional writes and invocations.
            within: Seconds after which a call is given up.
            host: Another host than the service's own.
        """
        with self._lock:
            client = self._clients.get((service, retrying, within, host))
            if client is None:
                with translated(f"opening {service}"):
                    client = RetryingClient(
                        self._open(service, host),
                        retry=retry() if retrying else None,
                        within=within,
                    )
                self._clients[service, retrying, within, host] = client
            return client

    @property
    def bigquery(self) -> Any:
        """The google.cloud.bigquery Client.

        Each call must be passed `retry` (session.retry() or None) and `job_retry`, which say
        whether it is repeated.
        """
        from google.cloud.bigquery import Client

        return self._handwritten("bigquery", Client, location=self.profile.options.get("location"))

    @property
    def storage(self) -> Any:
        """The google.cloud.storage Client.

        Each call must be passed `retry`: session.retry() or None.
        """
        from google.cloud.storage import Client

        return self._handwritten("storage", Client)

    def http(self) -> Any:
        """Return a new requests session that sends the target's credentials, for one thread.

        Offline it uses no proxy of the environment.
        """
        from google.auth.transport.requests import AuthorizedSession

        http = AuthorizedSession(self._credentials_and_project()[0])
        http.trust_env = not self.offline
        return http

    def blobs(self) -> Any:
        """Return the project's Cloud Storage bucket object.

        On a local stack, which starts empty, the bucket is made first.
        """
        bucket = self.storage.bucket(self.bucket)
        if self.offline and not self._bucket_made:
            with suppress(AlreadyExists), translated(f"making bucket {self.bucket}"):
                self.storage.create_bucket(bucket, location=self.location, retry=retry())
            self._bucket_made = True
        return bucket

    @contextmanager
    def mutating(self, operation: str, resource: str) -> Iterator[None]:
        """Run a call that changes something in the block, and log it; a dry run stops here.

        Errors are translated; a lost reply is OutcomeUnknown.
        """
        with (
            self.calls.mutating(operation, resource),
            translated(f"{operation} {resource}", effect=True),
        ):
            yield

    @contextmanager
    def reading(self, operation: str, resource: str) -> Iterator[None]:
        """Run a call that only reads in the block, log it, and translate its errors."""
        self.calls.reading(operation, resource)
        with (
            spans.span(operation, kind="CLIENT", resource=resource),
            translated(f"{operation} {resource}"),
        ):
            yield

    def admit(self) -> None:
        """Raise Denied if there are no credentials, before a command begins; no call is made."""
        self._credentials_and_project()

    def labels(self, kind: str, name: str) -> dict[str, str]:
        """Return the labels that mark a resource as the project's."""
        return names.labels(self.name, kind, name)

    def key(self, *parts: str) -> str:
        """Return the object name in the bucket for a path below the project's root."""
        return "/".join((self.prefix, *parts))

    def _credentials_and_project(self) -> tuple[Any, str | None]:
        """Return the Google credentials, and the project that they name."""
        with self._lock:
            if self._credentials is None:
                self._credentials = (
                    (stack_account.credentials(self.endpoint_url), None)
                    if self.endpoint_url
                    else credentials.default(self.profile.name)
                )
            return self._credentials

    def _open(self, service: str, host: str | None) -> Any:
        """Return a new generated client of a Google service, at `host` if it is set."""
        entry = SERVICES[service]
        client: Any = getattr(import_module(entry.module), entry.client)
        if self.endpoint_url is not None:
            address = self.grpc_address or backend.address(self.endpoint_url)["grpc_address"]
            return client(
                transport=client.get_transport_class("grpc")(
                    channel=stack_account.with_token(
                        _channel(address), self._credentials_and_project()[0]
                    )
                )
            )
        host = host or (f"{self.location}-aiplatform.googleapis.com" if entry.regional else None)
        return client(
            credentials=self._credentials_and_project()[0],
            client_options={"api_endpoint": host} if host else None,
        )

    def _handwritten(self, service: str, client: Any, **more: Any) -> Any:
        """Return Google's client for BigQuery or Storage, made once by calling `client`."""
        with self._lock:
            opened = self._clients.get((service, True, 0, None))
            if opened is None:
                with translated(f"opening {service}"):
                    options = {"api_endpoint": self.endpoint_url} if self.endpoint_url else None
                    opened = client(
                        project=self.project,
                        credentials=self._credentials_and_project()[0],
                        client_options=options,
                        **more,
                    )
                self._clients[service, True, 0, None] = opened
            return opened


session_of = one_for_each(VertexSession)


def where(target: Target) -> str:
    """Return a target's project, location and bucket as text."""
    session = session_of(target)
    session.admit()
    offline = "  offline" if session.offline else ""
    return (
        f"project {session.project}  {session.location}{offline}   "
        f"{session.profile.options['bucket']}"
    )


def native(target: Target) -> Any:
    """Return `target.native`: the Session, whose attributes are Google's clients."""
    return session_of(target)


@cache
def retry() -> Any:
    """Return Google's Retry object for calls that can be repeated; it retries transient errors."""
    from google.api_core.retry import Retry

    return Retry(predicate=transient, initial=0.1, maximum=5.0, multiplier=2.0, timeout=_PATIENCE)


def _place(target: str, bucket: object, project: str) -> tuple[str, str]:
    """Split a profile's `bucket` (`gs://bucket[/prefix]`) into bucket and project's name prefix.

    `target` names the profile in errors.
    """
    text = str(bucket or "")
    if not text.startswith("gs://") or not text[5:].strip("/"):
        raise Invalid(
            f"target {target}: its bucket is {text!r}",
            remedy="set `bucket: gs://name` in profiles.yaml",
        )
    name, _, prefix = text[5:].strip("/").partition("/")
    return name, f"{prefix}/{project}" if prefix else project


@cache
def _channel(address: str) -> Any:
    """Return a gRPC channel to a local stack, without a proxy."""
    import grpc

    sizes = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
    return grpc.insecure_channel(address, options=(*sizes, ("grpc.enable_http_proxy", 0)))
