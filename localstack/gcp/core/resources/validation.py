"""The rules that Vertex AI's services share for labels, display names, etags and masks. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import GcpError, invalid

_LABEL_KEY = re.compile(r"[^\W\d_A-Z][\w-]{0,62}")  # "international characters are allowed"
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")
_MOST_LABELS = 64
_LONGEST_NAME = 128


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise INVALID_ARGUMENT for labels that Google does not accept."""
    if len(labels) > _MOST_LABELS:
        raise invalid(
            f"labels: {len(labels)} labels are more than the {_MOST_LABELS} that a resource "
            "may have."
        )
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            raise invalid(
                f"Invalid label key {key!r}: at most 63 lowercase letters, digits, "
                "underscores and dashes, beginning with a letter."
            )
        if not _LABEL_VALUE.fullmatch(value) or value != value.lower():
            raise invalid(
                f"Invalid value {value!r} of label {key!r}: at most 63 lowercase letters, "
                "digits, underscores and dashes."
            )


def check_display_name(name: str, *, kind: str, required: bool = True) -> None:
    """Raise INVALID_ARGUMENT for a display name that is missing or too long."""
    if required and not name:
        raise invalid(f"{kind}.display_name is required.")
    if len(name) > _LONGEST_NAME:
        raise invalid(
            f"{kind}.display_name has {len(name)} characters; it may have {_LONGEST_NAME}."
        )


def check_etag(expected: str, current: str, name: str) -> None:
    """Raise ABORTED (AIP-154) if `expected`, a caller's etag, is not the `current` etag.

    An empty `expected` passes: such a write overwrites whatever is there.
    """
    if expected and expected != current:
        raise GcpError(
            "ABORTED",
            f"The etag does not match the current one of {name}: it was changed since it was read.",
        )


def updated_fields(request: Any, allowed: Collection[str], *, kind: str) -> list[str]:
    """Return the top-level fields that an update's mask names, all of which must be in `allowed`.

    Raises GcpError INVALID_ARGUMENT for an empty mask or another field; `kind` names the resource
    there.
    """
    paths = [path.partition(".")[0] for path in request.update_mask.paths]
    if not paths:
        raise invalid("update_mask is required.")
    if wrong := [path for path in paths if path not in allowed]:
        raise invalid(
            f"Updating {kind} does not take {', '.join(wrong)} in update_mask: it takes "
            f"{', '.join(sorted(allowed))}."
        )
    return paths


def copy_masked(request: Any, source: Any, target: Any) -> None:
    """Copy the fields that a request's mask names from `source` to `target`, whole.

    Maps and lists are replaced, not merged.
    """
    request.update_mask.MergeMessage(
        source, target, replace_message_field=True, replace_repeated_field=True
    )
