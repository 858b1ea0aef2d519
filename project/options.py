"""The keys of profiles.yaml: those of every target, those of an adapter, and the refusal of secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..target import Adapter, attribute
from .names import TARGET
from .shapes import FILLED, Key, Record, Text

_SECRET_KEY = re.compile(
    r"secret|passw|credential|token|private_?key|access_?key|api_?key|^key$|_key$|^auth$|bearer|cookie|keyfile|key_file", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])|-----BEGIN|\bya29\.|\bAIza[\w-]{30}")
NO_SECRETS = "take it out: the SDK finds credentials by its own chain (environment, AWS profile, gcloud login), and this file is committed"


def secret_key(name: str) -> bool:
    return bool(_SECRET_KEY.search(name))


def secret_value(text: str) -> bool:
    return bool(_SECRET_VALUE.search(text))


# Keys that several adapters have.
BUDGET = Key(shape=Text(what="a budget", pattern=r"[0-9]+(\.[0-9]+)? USD/h", example="1.00 USD/h"), description="`plan` fails above it.")
IMAGE = Key(shape=FILLED, description="The container image of jobs and of the model server.")

COMMON: dict[str, Key] = {
    "adapter": Key(shape=FILLED, description="Default: the target's own name, or what it extends."),
    "extends": Key(
        shape=Text(what="a target's name", pattern=TARGET, example="staging"),
        description="Take the other target's keys where this one says nothing.",
    ),
}


def keys_of(adapter: Adapter) -> Mapping[str, Key]:
    """An adapter's own keys of profiles.yaml."""
    keys: Mapping[str, Key] = attribute(adapter.options) if adapter.options else {}
    return keys


def target_record(adapter: Adapter) -> Record:
    """The keys of a target of this adapter."""
    return Record(noun=f"a target of {adapter.name}", keys=COMMON | dict(keys_of(adapter)))


TOP = ("default", "targets")
