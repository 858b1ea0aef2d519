"""Google's APIs, as the services describe them to the floor below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec


class GoogleApi(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One of Google's APIs, and what a service says of it."""

    service: str  # in the log and in faults
    package: str  # of its protobuf, which is before its RPCs' names
    module: str = ""  # the generated Python package; "" for APIs without one
    handlers: tuple[str, ...]  # modules, imported at the API's first call
    # ends of host names; none: the path says it, as two APIs share firestore.googleapis.com
    hosts: tuple[str, ...] = ()
    # of requests to the loopback address, whose host does not say whose they are
    paths: re.Pattern[str] | None = None
    other_paths: re.Pattern[str] | None = None  # the same, after every API's `paths`
    # the names of its resources in a gRPC header, where the path does not say the API
    resources: re.Pattern[str] | None = None
    emulator: str = ""  # the variable that leads its SDK to an emulator
    throttling: tuple[str, str] = ("RESOURCE_EXHAUSTED", "Quota exceeded")  # status, message
    # What permissions.py does not derive from an operation's name. Without the family: "" is
    # nothing, several are separated by a space. A name may end in `.*`.
    permissions: Mapping[str, str] = {}
    # further permissions, where the request says what is read and written
    permissions_by_request: Mapping[str, Callable[[Any], Iterable[str]]] = {}
    family: str = ""  # of its permissions, where it is not the service's name

    @property
    def permission_family(self) -> str:
        """The service prefix of the API's IAM permissions."""
        return self.family or self.service
