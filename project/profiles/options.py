"""The keys of profiles.yaml: those of every target and those of an adapter.

Secrets are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ...errors import MissingDependency
from ...target import Adapter, Profile
from ..reading import yaml
from ..reading.names import TARGET, name_problem
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport, child
from ..reading.shapes import FILLED, WRONG, Flag, MapOf, Record, RecordKey, Schema, Text
from .budgets import budget_limit, budget_shape, takes_unknown

_SECRET_KEY = re.compile(
    r"secret|passw|credential|token|private_?key|access_?key|api_?key|^key$|_key$|^auth$|bearer|cookie|keyfile|key_file",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])|-----BEGIN|\bya29\.|\bAIza[\w-]{30}"
)
NO_SECRETS = (
    "take it out: the SDK finds credentials by its own chain (environment, AWS profile, gcloud "
    "login), and this file is committed"
)


def secret_key(name: str) -> bool:
    """Return whether an option's name looks like that of a secret (password, token)."""
    return bool(_SECRET_KEY.search(name))


def secret_value(text: str) -> bool:
    """Return whether an option's value looks like a secret."""
    return bool(_SECRET_VALUE.search(text))


def on_this_machine(url: str) -> bool:
    """Return whether a URL's host is this machine (loopback)."""
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


class _StandIn(msgspec.Struct, frozen=True):
    """A server that stands for the cloud with `--offline`.

    One that is not on this machine must be allowed.
    """

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read the URL of a server that emulates the cloud; report one on another machine."""
        server = _SERVER.read(node, key, report)
        url = server.get("endpoint_url") if isinstance(server, dict) else None
        if url and not on_this_machine(url) and not server.get("allow_remote"):
            report.add(
                child(key, "endpoint_url"),
                f"{url} is not on this machine",
                f"if data may go there, write {child(key, 'allow_remote')}: true",
            )
            return WRONG
        return server

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return _SERVER.schema()


_SERVER = Record(
    noun="offline",
    keys={
        "endpoint_url": RecordKey(
            shape=Text(
                what="a server's URL",
                pattern=r"https?://[^\s/@?#]+/?",
                example="http://127.0.0.1:4566",
            ),
            required=True,
            example="http://127.0.0.1:4566",
        ),
        "allow_remote": RecordKey(shape=Flag()),
    },
)


# Keys that several adapters have.
OFFLINE = RecordKey(
    shape=_StandIn(),
    description="The server that `--offline` uses instead of a stack of our own; `allow_remote: "
    "true` where it is not on this machine.",
)
BUDGET = RecordKey(
    shape=budget_shape(
        "budget",
        what="a budget",
        example="1.00 USD/h",
        unknown="What becomes of a plan whose price nobody knows (refuse).",
    ),
    description="`plan` fails above it, and where a price is unknown, unless `{limit: 1.00 USD/h, "
    "unknown: allow}` says otherwise; so does a check for later data that costs more than an "
    "hour of it.",
)
IMAGE = RecordKey(shape=FILLED, description="The container image of jobs and of the model server.")


def adopted(native: Text, what: str) -> RecordKey:
    """Return the shape of profiles.yaml's key `adopted`: names at the provider by our names.

    `native` is the shape of the provider's names, `what` describes the key.
    """
    return RecordKey(
        shape=MapOf(of=native, names=name_problem),
        description="Endpoints that stood before the project took them over: its name for each, "
        f"and {what}.",
    )


def budget(profile: Profile) -> Decimal | None:
    """Return the target's cost limit in USD an hour, or None if it has none."""
    return budget_limit(profile.options.get("budget"))


def takes_unknown_prices(profile: Profile) -> bool:
    """Return whether the budget accepts machines whose price is not known."""
    return takes_unknown(profile.options.get("budget"))


COMMON: dict[str, RecordKey] = {
    "adapter": RecordKey(
        shape=FILLED, description="Default: the target's own name, or what it extends."
    ),
    "extends": RecordKey(
        shape=Text(what="a target's name", pattern=TARGET, example="staging"),
        description="Take the other target's keys where this one says nothing.",
    ),
}


def keys_of(adapter: Adapter) -> Mapping[str, RecordKey]:
    """Return the keys of profiles.yaml that are specific to an adapter.

    Raises:
        MissingDependency: A package of the adapter's is not installed.
    """
    try:
        return adapter.options.keys() if adapter.options is not None else {}
    except ImportError as error:
        raise MissingDependency(
            f"adapter {adapter.name} needs {error.name}", remedy=f"install what brings {error.name}"
        ) from error


def target_record(adapter: Adapter) -> Record:
    """Return the shape (validator) of a target of this adapter in profiles.yaml."""
    return Record(noun=f"a target of {adapter.name}", keys=COMMON | dict(keys_of(adapter)))


def _server(text: str) -> str:
    """Return the URI of an MLflow server without a closing slash; raise Mistake if malformed."""
    parts = urlsplit(text)
    if parts.username or parts.password:
        raise Mistake(
            "it holds a user's name",
            "take it out: MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    if not re.fullmatch(r"https?://[^\s?#]+", text):
        raise Mistake(
            f"{text!r} is not the URI of an MLflow server", "write it like http://127.0.0.1:5000"
        )
    return text.rstrip("/")


TRACKING = Record(
    noun="tracking",
    keys={
        "mlflow": RecordKey(
            shape=Text(
                what="the URI of an MLflow server",
                pattern=r"https?://[^\s@?#]+",
                parse=_server,
                example="http://127.0.0.1:5000",
            ),
            required=True,
            description="The MLflow server to which training runs and the versions they made are "
            "copied as they end.",
            example="http://127.0.0.1:5000",
        )
    },
)
TOP = ("default", "targets", "tracking")
