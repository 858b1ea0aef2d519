"""Enforcement of IAM policies: whether a caller may do what a request asks.

moto's IAM has the identities and their policies. Its own check knows neither our handlers, nor
resources, nor the rights that an operation implies; so every operation is checked here.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..caller import Caller
from ..incoming import IncomingRequest
from ..moto_internals import CreateAccessKeyFailure, IAMPolicy, create_access_key, moto_settings
from ..registry import AwsError
from .evaluation import AccessRequest, RequestedAction, grants

_NEVER = float("inf")
_UNKNOWN = {"s3": ("InvalidAccessKeyId", 403)}
_TOKEN = "The security token included in the request is invalid."  # noqa: S105  the error's words


class Access:
    """moto's switch for the enforcement of policies, moved here.

    After so many calls (0: at once; inf: never) each caller is held to its policies.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._initially = moto_settings.INITIAL_NO_AUTH_ACTION_COUNT
        self._free = self._set = self._initially
        moto_settings.INITIAL_NO_AUTH_ACTION_COUNT = (
            _NEVER  # what the stack asks itself has no identity that moto knows
        )

    def start(self, free: float) -> float:
        """Enforce IAM policies after `free` more calls, and return the number set before."""
        with self._lock:
            previous, self._set = self._set, free
            self._free = free
            return previous

    def reset(self) -> None:
        """Set whether IAM policies are enforced back to how the stack was started."""
        self.start(self._initially)

    def applies_to_next_call(self, *, counts: bool) -> bool:
        """Return whether IAM policies are enforced on the next call.

        Args:
            counts: Whether the call uses up one of those that pass unchecked.
        """
        with self._lock:
            if self._free > 0:
                self._free -= counts
                return False
            return True

    def check(self, incoming: IncomingRequest, caller: Caller, request: AccessRequest) -> None:
        """Check that the IAM policies of a request's caller allow it.

        Raises:
            AwsError: Nobody has the caller's key, or its owner lacks a right; as the service words
                it.
        """
        service: Any = incoming.model.service_model if incoming.model is not None else None
        json = service is not None and "json" in service.protocol
        headers = {"X-Amz-Security-Token": caller.token} if caller.token else {}
        try:
            key = create_access_key(incoming.account, "aws", caller.key, headers)
        except CreateAccessKeyFailure:
            code, status = _UNKNOWN.get(
                incoming.service,
                ("UnrecognizedClientException", 400) if json else ("InvalidClientTokenId", 403),
            )
            raise AwsError(code, _TOKEN, status) from None
        statements = [
            statement for policy in key.collect_policies() for statement in _statements(policy)
        ]
        for grant in grants(request):
            if not is_allowed(statements, grant):
                action, resource, _ = grant
                text = (
                    f"User: {key.arn} is not authorized to perform: {action} on resource: "
                    f"{resource} because no identity-based policy"
                )
                raise AwsError(
                    "AccessDeniedException" if json else "AccessDenied",
                    f"{text} allows the {action} action",
                    400 if json else 403,
                )


def _statements(policy: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the statements (Effect, Action, Resource ...) of one of moto's IAM policies."""
    statements = IAMPolicy(policy)._policy_json["Statement"]  # noqa: SLF001  the one place where moto knows a policy's default version
    yield from statements if isinstance(statements, list) else [statements]


def is_allowed(statements: list[Mapping[str, Any]], grant: RequestedAction) -> bool:
    """Return whether IAM statements allow an action: an Allow is needed, and no Deny may apply.

    Source: IAM User Guide, "Policy evaluation logic".
    """
    return effects(statements, grant) == {"Allow"}


def effects(statements: list[Mapping[str, Any]], grant: RequestedAction) -> set[str]:
    """Return the effects (Allow, Deny) of the IAM statements that apply to an action."""
    return {statement["Effect"] for statement in statements if _fits(statement, *grant)}


def _fits(statement: Mapping[str, Any], action: str, resource: str, passed_to: str) -> bool:
    """Return whether an IAM statement applies to an action on a resource."""
    if "Action" in statement:
        concerned = any(
            _matches(pattern.lower(), action.lower()) for pattern in _as_list(statement["Action"])
        )
    else:
        concerned = not any(
            _matches(pattern.lower(), action.lower())
            for pattern in _as_list(statement["NotAction"])
        )
    if "Resource" in statement:
        concerned = concerned and any(
            _matches(pattern, resource) for pattern in _as_list(statement["Resource"])
        )
    elif "NotResource" in statement:
        concerned = concerned and not any(
            _matches(pattern, resource) for pattern in _as_list(statement["NotResource"])
        )
    return concerned and _holds(
        statement.get("Condition") or {},
        {"iam:passedtoservice": passed_to},
        denies=statement["Effect"] == "Deny",
    )


def _holds(conditions: Mapping[str, Any], values: Mapping[str, str], *, denies: bool) -> bool:
    """Return whether the conditions of an IAM statement are met.

    `values` has the request's values of condition keys, and `denies` says that the statement is a
    Deny. Conditions may be StringEquals and StringLike: with any other an Allow does not count, and
    a Deny does.
    """
    for operator, pairs in conditions.items():
        for key, expected in pairs.items():
            value = values.get(key.lower())
            if operator not in ("StringEquals", "StringLike") or value is None:
                return denies
            if operator == "StringEquals" and value not in _as_list(expected):
                return False
            if operator == "StringLike" and not any(
                _matches(pattern, value) for pattern in _as_list(expected)
            ):
                return False
    return True


def _as_list(value: Any) -> list[str]:
    """Return the value of a policy element, one text or a list of them, as a list."""
    return [value] if isinstance(value, str) else list(value)


def _matches(pattern: str, text: str) -> bool:
    """Return whether a text matches IAM's wildcards: * for any text, ? for one character."""
    return (
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL)
        is not None
    )
