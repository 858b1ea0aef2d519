"""Every import of moto that the stack for AWS makes, in one place.

moto publishes none of it, so each upgrade of moto begins here. The comment at an import says what
it is for, or what would break. tests/package/test_layers.py holds that no other module imports
moto; tests/aws/protocol/test_front.py and tests/aws/moto compare what is used with moto's own
behaviour.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

# the switch of moto's own check of policies, which is turned off in favour of ours
from moto import settings as moto_settings

# data catalogs and workgroups
from moto.athena.models import athena_backends

# which host belongs to which service
from moto.backend_index import backend_url_patterns

# the services that there are, and their state by name, for the home
from moto.backends import get_backend, list_of_moto_modules

# alarms, whose state our clock sets, and the metrics that were put
from moto.cloudwatch.models import (
    Alarm,
    CloudWatchBackend,
    MetricAggregatedDatum,
    MetricDatum,
    cloudwatch_backends,
)

# the module whose `method_names_from_class` is replaced by a cached one: requests to moto would
# be slow, and no more
from moto.core import responses as core_responses

# the list of all backends in use (`_instances`), for the home
from moto.core.base_backend import BackendDict

# the base of what moto lets stand for a resource in its stacks
from moto.core.common_models import CloudFormationModel

# the switches that keep moto from starting containers
from moto.core.config import default_user_config

# how moto's Kinesis and Firehose refuse: a 500 would come instead
from moto.core.exceptions import JsonRESTError

# botocore's model of an operation as moto's router returns it: no request would have a name or
# shapes
from moto.core.model import OperationModel

# parameters out of a body: handlers would get none
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError

# werkzeug's request as moto's router and parsers take it, and which protocol of several it speaks
from moto.core.request import Request, determine_request_protocol

# the class of moto's handlers, by which coverage knows what moto has
from moto.core.responses import BaseResponse

# the operation of a path and a method: without it every REST service is unknown
from moto.core.routing import get_service_router

# answers and errors in each protocol's form
from moto.core.serialize import get_serializer_class

# a service's model with moto's own patches, and the names by which moto finds its methods:
# coverage would be wrong
from moto.core.utils import camelcase_to_underscores, get_service_model, method_names_from_class

# tables and their items, for times to live and for changes without loss
from moto.dynamodb.models import dynamodb_backends

# a key's value in those items
from moto.dynamodb.models.dynamo_type import DynamoType

# whose items the home leaves out
from moto.dynamodb.models.table import Table as DynamoTable

# delivery streams: where each one's records go
from moto.firehose.models import firehose_backends

# tables and their versions: columns for Firehose's Parquet, old versions for UpdateTable
from moto.glue.models import glue_backends

# from a key to its identity and policies, for enforcement
from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key

# AWS's own policies, which are loaded late
from moto.iam.aws_managed_policies import aws_managed_policies_data

# identities and keys; the notebook's role is put there
from moto.iam.models import AWSManagedPolicy, IAMBackend, iam_backends

# streams, read by iterators on our clock
from moto.kinesis.models import Record as KinesisRecord
from moto.kinesis.models import Shard as KinesisShard
from moto.kinesis.models import Stream as KinesisStream
from moto.kinesis.models import kinesis_backends

# the reset of all services
from moto.moto_api._internal.models import moto_api_backend

# the WSGI application itself
from moto.moto_server.werkzeug_app import (
    BackendRequest,
    DomainDispatcherApplication,
    create_backend_app,
)

# buckets and objects, for the home and for presigned keys
from moto.s3.models import FakeBucket, FakeKey, MultipartDict, S3Backend, s3_backends

# the container of a bucket's keys, which the home leaves out
from moto.s3.utils import _VersionedKeyStore as VersionedKeyStore

# experiments, trials and components, for Search
from moto.sagemaker.models import sagemaker_backends

# sessions of assumed roles: whose key it is
from moto.sts.models import sts_backends

# the partition (aws, aws-cn) under which moto keeps global services
from moto.utilities.utils import get_partition

__all__ = [
    "PROTOCOL_PARSERS",
    "AWSManagedPolicy",
    "Alarm",
    "BackendDict",
    "BackendRequest",
    "BaseResponse",
    "CloudFormationModel",
    "CloudWatchBackend",
    "CreateAccessKeyFailure",
    "DomainDispatcherApplication",
    "DynamoTable",
    "DynamoType",
    "FakeBucket",
    "FakeKey",
    "IAMBackend",
    "IAMPolicy",
    "JsonRESTError",
    "KinesisRecord",
    "KinesisShard",
    "KinesisStream",
    "MetricAggregatedDatum",
    "MetricDatum",
    "MultipartDict",
    "OperationModel",
    "Request",
    "RequestParserError",
    "S3Backend",
    "VersionedKeyStore",
    "athena_backends",
    "aws_managed_policies_data",
    "backend_url_patterns",
    "camelcase_to_underscores",
    "cloudformation_backends",
    "cloudformation_event",
    "cloudformation_parsing",
    "cloudwatch_backends",
    "core_responses",
    "create_access_key",
    "create_backend_app",
    "default_user_config",
    "determine_request_protocol",
    "dynamodb_backends",
    "firehose_backends",
    "get_backend",
    "get_partition",
    "get_serializer_class",
    "get_service_model",
    "get_service_router",
    "glue_backends",
    "iam_backends",
    "kinesis_backends",
    "list_of_moto_modules",
    "method_names_from_class",
    "moto_api_backend",
    "moto_settings",
    "responses_module",
    "s3_backends",
    "sagemaker_backends",
    "sts_backends",
    "unknown_attribute",
]


def responses_module(package: str) -> ModuleType | None:
    """Return moto's module with the request handlers of a service, or None.

    `package` is moto's name of the service. Coverage looks for operations in the module.
    """
    try:
        return import_module(f"moto.{package}.responses")
    except ModuleNotFoundError:
        return None


# moto's CloudFormation imports all services of moto, and one of them asks for the profile of
# AWS_PROFILE: it is imported when a stack is asked for, and not when the process starts.


def cloudformation_backends() -> Any:
    """Return moto's stacks by account and region: their resources, outputs and events."""
    from moto.cloudformation.models import cloudformation_backends as backends

    return backends


def cloudformation_event(**fields: Any) -> Any:
    """Return a new event of a CloudFormation stack, of moto's class, with these fields."""
    from moto.cloudformation.models import Event

    return Event(**fields)


def cloudformation_parsing() -> Any:
    """Return moto's module that parses CloudFormation templates.

    Its look-up of a resource's class is replaced there; `clean_json` resolves the references.
    """
    from moto.cloudformation import parsing

    return parsing


def unknown_attribute() -> Exception:
    """Return the exception that tells moto that Fn::GetAtt names no attribute of a resource."""
    from moto.cloudformation.exceptions import UnformattedGetAttTemplateException

    return UnformattedGetAttTemplateException()
