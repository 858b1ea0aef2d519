"""The keys of profiles.yaml, per adapter, and the refusal of secrets."""

from __future__ import annotations

import re

from .names import TARGET
from .quantities import Mistake
from .shapes import Key, Number, Record, Text

_SECRET_KEY = re.compile(
    r"secret|passw|credential|token|private_?key|access_?key|api_?key|^key$|_key$|^auth$|bearer|cookie|keyfile|key_file", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"(?<![A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])|-----BEGIN|\bya29\.|\bAIza[\w-]{30}")
NO_SECRETS = "take it out: the SDK finds credentials by its own chain (environment, AWS profile, gcloud login), and this file is committed"


def secret_key(name: str) -> bool:
    return bool(_SECRET_KEY.search(name))


def secret_value(text: str) -> bool:
    return bool(_SECRET_VALUE.search(text))


def _text(pattern: str, what: str, example: str) -> Text:
    return Text(what=what, pattern=pattern, example=example)


def _filled(text: str) -> str:
    if not text.strip():
        raise Mistake("it is empty", "write a value, or leave the key out")
    return text


REPLICAS = r"[1-9][0-9]{0,3}(\.\.[1-9][0-9]{0,3})?"


def _replicas(text: str) -> str:
    if not re.fullmatch(REPLICAS, text):
        raise Mistake(f"{text!r} is not a number of replicas", "write 1..3, the fewest and the most, or 2")
    fewest, _, most = text.partition("..")
    if most and int(most) < int(fewest):
        raise Mistake(f"{text}: the most is below the fewest", f"write {most}..{fewest}")
    return text


FILLED = Text(what="text", parse=_filled)
BUDGET = Key(shape=_text(r"[0-9]+(\.[0-9]+)? USD/h", "a budget", "1.00 USD/h"), description="`plan` fails above it.")
IMAGE = Key(shape=FILLED, description="The container image of jobs and of the model server.")

ADAPTERS: dict[str, dict[str, Key]] = {
    "local": {
        "home": Key(shape=FILLED, description="Where the laptop keeps things. Default .isthmus beside project.yaml."),
    },
    "sagemaker": {
        "account": Key(
            shape=_text(r"[0-9]{12}", "an account of 12 digits", '"123456789012"'),
            description="Credentials of another account are refused before the first call.",
        ),
        "region": Key(shape=_text(r"[a-z]{2}(-[a-z]+)+-[0-9]", "a region", "ap-northeast-1")),
        "bucket": Key(shape=_text(r"s3://[a-z0-9][a-z0-9.-]+(/.*)?", "a bucket", "s3://example-ranker")),
        "role": Key(shape=_text(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+", "a role's ARN", "arn:aws:iam::123456789012:role/ranker")),
        "image": IMAGE,
        "serving": Key(
            shape=Record(
                noun="serving",
                keys={
                    "instance": Key(shape=_text(r"ml\..+", "an instance type", "ml.m5.large")),
                    "count": Key(shape=Number(whole=True, least=1)),
                },
            )
        ),
        "budget": BUDGET,
    },
    "vertex": {
        "project": Key(shape=FILLED, description="The Google Cloud project's id."),
        "location": Key(shape=_text(r"[a-z]+(-[a-z]+)+[0-9]+", "a location", "asia-northeast1")),
        "bucket": Key(shape=_text(r"gs://[a-z0-9][a-z0-9._-]+(/.*)?", "a bucket", "gs://example-ranker")),
        "service_account": Key(
            shape=_text(r"[^@\s]+@[^@\s]+\.gserviceaccount\.com", "a service account", "ranker@example-ranker.iam.gserviceaccount.com")
        ),
        "image": IMAGE,
        "serving": Key(
            shape=Record(
                noun="serving",
                keys={
                    "machine": Key(shape=FILLED),
                    "replicas": Key(
                        shape=Text(what="a number of replicas", pattern=REPLICAS, parse=_replicas, example="1..3", numbers=True),
                        description="1..3: the fewest and the most.",
                    ),
                },
            )
        ),
        "budget": BUDGET,
    },
}
COMMON: dict[str, Key] = {
    "adapter": Key(shape=FILLED, description="Default: the target's own name, or what it extends."),
    "extends": Key(
        shape=_text(TARGET, "a target's name", "sagemaker"), description="Take the other target's keys where this one says nothing."
    ),
}


def target_record(adapter: str | None) -> Record:
    """The keys of a target of a known adapter; None: the keys that every target has."""
    keys = ADAPTERS[adapter] if adapter is not None else {}
    return Record(noun=f"a target of {adapter}", keys=COMMON | keys)


TOP = ("default", "targets")
