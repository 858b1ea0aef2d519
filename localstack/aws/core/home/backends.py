"""The records of moto's services in a home: one for each service, account and region.

    moto/<service>/<account>.<region>

The records are pickles of moto's own objects (backends), whose classes belong to one version of
moto: a home is refused when moto has another version (isthmus_stack/core/home compares it). Data of
our own in their place would be a copy of every model of moto's, and would miss what moto adds; for
that reason they stay pickles.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

from ....core.home.home import Home
from ....core.home.pickles import Left, freeze, thaw
from ..moto_internals import BackendDict, CloudWatchBackend, DynamoTable, IAMBackend, get_backend
from ..moto_internals import KinesisShard as Shard
from ..policy import managed as managed_policies

NOT_KEPT = ("logs", "moto_api", "s3")  # S3 is in objects.py; of logs nothing is kept
NOT_NOTED = {  # operations whose effects are not kept
    *(("kinesis", "PutRecord"), ("kinesis", "PutRecords")),
    ("cloudwatch", "PutMetricData"),
    *(
        ("dynamodb", name)
        for name in ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
    ),
}
_LEFT: Left = {
    Shard: {"records": OrderedDict},
    CloudWatchBackend: {"metric_data": list},
    DynamoTable: {"items": partial(defaultdict, dict)},
}
_FOLDER = "moto"


class Backends:
    """The records of moto's backends. Its caller lets one thread at a time save."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._records: dict[str, bytes] = {}
        self._services: set[str] = set()
        self._not_kept: set[str] = set()
        self._lock = threading.Lock()

    def note(self, service: str) -> None:
        """Mark a service's moto state as changed, so that the next save writes it to disk."""
        with self._lock:
            self._services.add(service)

    def save(self, *, everything: bool) -> None:
        """Write the moto backends marked as changed to disk if they differ from what is stored.

        With `everything`, all backends are compared.
        """
        with self._lock:
            services, self._services = self._services, set()
        try:
            for names, name, backend in _backends():
                if everything or not services.isdisjoint(names):
                    self._save(name, backend)
        except BaseException:  # it is not written: the next save tries again
            with self._lock:
                self._services |= services
            raise

    def _save(self, name: str, backend: object) -> None:
        """Write a moto backend to the file called `name` if it differs from what is stored there.

        A backend that cannot be pickled is reported once.
        """
        try:
            record = freeze(
                backend,
                left=managed_policies.left_out(backend)
                if isinstance(backend, IAMBackend)
                else _LEFT,
            )
        except (
            TypeError,
            AttributeError,
        ) as error:  # moto's own state of a service that the stack does not cover
            if name not in self._not_kept:
                sys.stderr.write(f"the home does not keep {name}: {error}\n")
                self._not_kept.add(name)
            return
        if self._records.get(name) != record:
            self._home.write(name, record)
            self._records[name] = record

    def restore(self) -> None:
        """Load the state of every moto backend from the data directory at a start."""
        for name in self._home.names(_FOLDER):
            _, service, place = name.split("/")
            account, _, region = place.partition(".")
            self._records[name] = self._home.read(name)
            backends = get_backend(service)  # type: ignore[call-overload]  # moto's own dict
            record = thaw(self._records[name], name=name)
            dict.__setitem__(backends[account], region, record)

    def clear(self) -> None:
        """Delete all stored moto backends from the data directory."""
        self._records, self._services = {}, set()
        self._home.clear(_FOLDER)


def _backends() -> Iterator[tuple[tuple[str, str], str, Any]]:
    """Yield each moto backend in use: its service's names, the name of its file, the backend.

    The service's names are botocore's and moto's.
    """
    instances: list[BackendDict[Any]] = BackendDict._instances  # type: ignore[misc]  # noqa: SLF001  moto tells of them nowhere else
    for backends in list(instances):
        module = backends.backend.__module__.split(".")[1]
        if module not in NOT_KEPT:
            for account, region, backend in list(backends.iter_backends()):
                yield (
                    (backends.service_name, module),
                    f"{_FOLDER}/{module}/{account}.{region}",
                    backend,
                )
