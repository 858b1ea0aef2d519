"""One boto3 Session for each Target: its clients, its pinned account, and how calls are made."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache, partial
from typing import Any, final
from urllib.parse import urlsplit

from ...core import spans
from ...errors import Denied, Invalid
from ...target import Target
from ..common import adoption, control
from ..common.sessions import one_for_each
from . import backend, credentials, names, record_answers
from .errors import translated

# seconds that a call may take which changes an endpoint: well within the lease of who asks for it
CONTROL = 15
_ANSWER = 80  # seconds: an endpoint has 60 to answer
OFFLINE = "offline"  # both halves of the credentials where nobody looks at them
_OFFLINE_REGION = "us-east-1"
_OFFLINE_ACCOUNT = "123456789012"


@final
class AwsSession:
    """The session that the files of this adapter share for one Target."""

    def __init__(self, target: Target) -> None:
        options = target.profile.options
        self.calls = target.calls
        self.profile = target.profile
        self.project = target.profile.project
        self.endpoint_url: str | None = options.get("endpoint_url")
        self.bucket, self.prefix = _place(target.profile.name, options.get("bucket"), self.project)
        self.root = f"s3://{self.bucket}/{self.prefix}"
        self.database: str = options.get("database") or names.database(self.project)
        self.adopted = adoption.names(target.profile)
        self._expected: str | None = options.get("account")
        self._clients: dict[tuple[str, bool, int, str | None], Any] = {}
        # endpoint -> DescribeEndpoint's newest answer, and when it was asked
        self.described: dict[str, tuple[datetime, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._account: str | None = None
        self._bucket_made = False
        self._admitted = False
        with credentials.explained(target.name), translated("opening a session"):
            self.boto3 = _session(self.endpoint_url, options.get("region"))
        if self.boto3.region_name is None:
            raise Invalid(
                f"target {target.name} has no region",
                remedy="set `region:` in profiles.yaml, or AWS_DEFAULT_REGION",
            )
        self.region: str = self.boto3.region_name

    @property
    def offline(self) -> bool:
        """Whether the target runs on a local stack."""
        return self.endpoint_url is not None

    @property
    def role(self) -> str:
        """The IAM role of jobs, endpoints and Firehose; Invalid if the profile has none."""
        if role := self.profile.options.get("role"):
            return str(role)
        if self.offline:
            return f"arn:aws:iam::{_OFFLINE_ACCOUNT}:role/{OFFLINE}"
        raise Invalid(
            f"target {self.profile.name} has no role",
            remedy="set `role:` in profiles.yaml: what jobs and Firehose act as",
        )

    def client(
        self,
        service: str,
        *,
        retrying: bool = True,
        within: int = _ANSWER,
        region: str | None = None,
    ) -> Any:
        """Return a boto3 client of an AWS service, made once for all threads.

        Args:
            service: boto3's name of the service.
            retrying: Whether the SDK repeats calls; False for conditional writes and invocations.
            within: Seconds after which an attempt is given up, connecting included.
            region: Another region than the target's.
        """
        if not self._admitted and service != "sts":
            self.admit()
        with self._lock:
            client = self._clients.get((service, retrying, within, region))
            if client is None:
                with translated(f"opening {service}"):
                    config = _config(retrying=retrying, offline=self.offline, within=within)
                    client = self.boto3.client(service, region_name=region, config=config)
                    client.meta.events.register(record_answers.EVENT, record_answers.parse)
                self._clients[service, retrying, within, region] = client
            return client

    def close(self) -> None:
        """Close the clients' connections, which otherwise stay open until garbage collection.

        A client that is used again connects anew.
        """
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.close()

    @contextmanager
    def mutating(self, operation: str, resource: str) -> Iterator[None]:
        """Run a call that changes something in the block, in the profile's account, and log it.

        Errors are translated; a lost reply is OutcomeUnknown.
        """
        if not self.calls.dry_run:
            self.pin()
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
        """Check the AWS credentials before a command's first call.

        Raises Denied if there are none, before any call, or if they are another account's.
        """
        if not self.offline:
            with credentials.explained(self.profile.name):
                login = self.boto3.get_credentials()
                if login is None:
                    raise credentials.none(self.profile.name)
                login.get_frozen_credentials()  # a login that has run out shows only here
            self.pin()
        self._admitted = True

    def account(self) -> str:
        """Return the account id that the credentials belong to, asked once."""
        if self._account is None:
            with self.reading("GetCallerIdentity", "account"):
                self._account = str(self.client("sts").get_caller_identity()["Account"])
        return self._account

    def pin(self) -> None:
        """Raise Denied unless the credentials belong to the profile's account.

        The local stack has one account, which stands for any.
        """
        if self._expected is None or self.offline:
            return
        if (account := self.account()) != self._expected:
            raise Denied(
                f"the credentials are of account {account}, and target {self.profile.name} "
                f"is pinned to {self._expected}",
                remedy="use the other account's credentials (AWS_PROFILE), or change `account:` in "
                "profiles.yaml",
            )

    def s3(self, *, retrying: bool = True) -> Any:
        """Return an S3 client, with or without retries.

        A local stack starts empty, so there the profile's bucket is made first.
        """
        client = self.client("s3", retrying=retrying)
        if self.offline and not self._bucket_made:
            from botocore.exceptions import ClientError

            with translated(f"making bucket {self.bucket}"):
                try:
                    where = (
                        {}
                        if self.region == "us-east-1"
                        else {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
                    )
                    client.create_bucket(Bucket=self.bucket, **where)
                except ClientError as error:
                    if error.response["Error"]["Code"] not in {
                        "BucketAlreadyOwnedByYou",
                        "BucketAlreadyExists",
                    }:
                        raise
            self._bucket_made = True
        return client

    def key(self, *parts: str) -> str:
        """Return the S3 key of an object below the project's root."""
        return "/".join((self.prefix, *parts))

    def endpoint_name(self, endpoint: str) -> str:
        """Return the name that an endpoint has at SageMaker."""
        return self.adopted.get(endpoint) or names.dashed(self.project, endpoint)

    def tags(self, kind: str, name: str) -> list[dict[str, str]]:
        """Return the tags that mark a resource as the project's."""
        return names.tags(self.project, kind, name)


aws_of = one_for_each(AwsSession)


def where(target: Target) -> str:
    """Return a target's account, region and bucket as text.

    The URL of a server that stands in for AWS follows, unless it is our own offline stack.
    """
    aws = aws_of(target)
    aws.admit()
    account = aws.profile.options.get("account") or (
        _OFFLINE_ACCOUNT if aws.offline else aws.account()
    )
    line = (
        f"account {account}  {aws.region}{'  offline' if aws.offline else ''}   "
        f"{aws.profile.options['bucket']}"
    )
    return "   ".join(
        filter(
            None,
            (line, backend.description(str(aws.endpoint_url), aws.client) if aws.offline else ""),
        )
    )


def native(target: Target) -> Any:
    """Return `target.native`, the boto3 Session.

    Its clients go where the target's go, to the local stack too.
    """
    return aws_of(target).boto3


def _place(target: str, bucket: object, project: str) -> tuple[str, str]:
    """Split a profile's `bucket` (`s3://bucket[/prefix]`) into bucket and project's key prefix.

    `target` names the profile in errors.
    """
    text = str(bucket or "")
    if not text.startswith("s3://") or not text[5:].strip("/"):
        raise Invalid(
            f"target {target}: its bucket is {text!r}",
            remedy="set `bucket: s3://name` in profiles.yaml",
        )
    name, _, prefix = text[5:].strip("/").partition("/")
    return name, f"{prefix}/{project}" if prefix else project


@cache
def _config(*, retrying: bool, offline: bool, within: int) -> Any:
    """Return botocore's Config for a client: retries, time-out (`within` seconds), addressing."""
    from botocore.config import Config

    retries: dict[str, Any] = {"mode": "standard", "total_max_attempts": 5 if retrying else 1}
    return Config(
        retries=retries,
        connect_timeout=(connecting := min(10, within / 3)),
        read_timeout=within - connecting,
        max_pool_connections=32,
        s3={"addressing_style": "path"} if offline else None,
        user_agent_extra="isthmus",
    )


def _offline_keys(endpoint_url: str) -> dict[str, str | None]:
    """Return the access keys with which boto3 signs calls to the local stack at a URL.

    In a job they are the keys that the stack gave it, to act as its role. Otherwise they are the
    stack's own, or those in the environment for this address. Other servers accept any keys.
    """
    own = (
        os.environ
        if os.environ.get("AWS_ENDPOINT_URL") == endpoint_url
        and os.environ.get("AWS_SECRET_ACCESS_KEY")
        else {}
    )
    if not own.get("ISTHMUS_STACK_ROLE") and (pair := control.keys(endpoint_url).get("pair")):
        return {
            "aws_access_key_id": pair["access_key"],
            "aws_secret_access_key": pair["secret_key"],
        }
    return {
        "aws_access_key_id": own.get("AWS_ACCESS_KEY_ID", OFFLINE),
        "aws_secret_access_key": own.get("AWS_SECRET_ACCESS_KEY", OFFLINE),
        "aws_session_token": own.get("AWS_SESSION_TOKEN"),
    }


def _session(stack: str | None, region: str | None) -> Any:
    """Return a boto3 Session for AWS, or for the local stack at the URL `stack`."""
    import boto3
    import botocore.session

    plain = botocore.session.Session()
    plain.register_component("data_loader", _loader())
    if stack is None:
        return boto3.Session(botocore_session=plain, region_name=region)
    backend.refuse_missing_operations(stack, plain)
    led = partial(_address, stack=stack)

    class Offline(boto3.Session):  # type: ignore[misc]  # boto3 has no types
        """A Session all of whose clients go to the local stack.

        That includes those that a library makes of it, by AWS's own addresses too.
        """

        def client(self, *args: Any, **more: Any) -> Any:
            """Return a boto3 client that goes to the local stack."""
            return super().client(*args, **more | {"endpoint_url": led(more.get("endpoint_url"))})

        def resource(self, *args: Any, **more: Any) -> Any:
            """Return a boto3 resource that goes to the local stack."""
            return super().resource(*args, **more | {"endpoint_url": led(more.get("endpoint_url"))})

    return Offline(
        botocore_session=plain, region_name=region or _OFFLINE_REGION, **_offline_keys(stack)
    )


def _address(requested: str | None, stack: str) -> str:
    """Return the URL for a client of an offline session: AWS's own hosts become the stack's.

    `requested` is the URL that the caller asked for, if any.
    """
    host = urlsplit(requested or "").hostname or ""
    return (
        stack
        if not requested or host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        else requested
    )


@cache
def _loader() -> Any:
    """Return botocore's loader of the services' models, shared by the process.

    Reading S3's takes long.
    """
    from botocore.loaders import create_loader

    return create_loader()
