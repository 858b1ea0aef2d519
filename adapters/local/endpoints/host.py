"""EndpointHost on this machine: a supervisor with a router, and a model server a variant.

They outlive the command that made them.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, final

import msgspec

from ....core.durable import sync_folder
from ....endpoints import hosting
from ....endpoints.port import NO_PARAMETERS, EndpointSpec, EndpointState, Reply, VariantSpec
from ....errors import (
    Busy,
    Denied,
    Invalid,
    LimitExceeded,
    ModelError,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from ....events.port import Row
from ....storage import Resource, wait
from ....target import Target
from .. import inventory
from ..files import remove_tree, temporary_name
from ..home import home
from ..sqlite import Database
from . import supervision
from .rows import SCHEMA, EndpointRow, Report, SupervisorAddress, endpoint_folder, read, write
from .serving import arguments, serving
from .serving_code import own_code
from .states import absent, dead, older, state_of

if TYPE_CHECKING:
    from .client import Client, Response

REPLACED = timedelta(minutes=2)  # in which a supervisor leaves and the next one answers
GRACE = 15.0  # seconds beyond the longest that a request may take, which its router tells


@final
class LocalEndpointHost:
    """The port EndpointHost on this machine."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._home = home(target)
        self._db = Database(target, SCHEMA + inventory.SCHEMA)
        self._clients: dict[str, tuple[SupervisorAddress, Client]] = {}
        self._rules = hosting.rules_of(target, provider="this machine")

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Take one step towards the endpoint's spec; return the state that it had before the step.

        The models are copied first, so that a model that cannot be served changes nothing.

        Raises:
            Conflict: A variant that has traffic would change.
            Invalid: The spec cannot be served.
            Unsupported: This machine cannot serve it.
        """
        hosting.check_spec(spec, self._rules)
        name = spec.name
        row = self._row(name)
        saw = self._state(name, row) if row else absent(name)
        next_row = self._next_row(spec, row)
        if row is None or next_row.spec != row.spec or next_row.split != row.split:
            next_row = self._write(next_row, expect=row)
        if not supervision.alive(self._home, name):
            self._start(next_row)
        else:
            report = self._follow(name, again=True)  # what failed may have been mended
            if report is not None and older(report):
                self._replace(next_row, report)
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Set the endpoint's traffic split, which its router reads at once.

        Raises NotFound without endpoint; Unsupported if it is sticky or a share is too fine;
        Conflict if the endpoint changed since `expect` was read; Busy if a variant that gains
        traffic is not ready.
        """
        row = self._row(endpoint)
        if row is None:
            raise hosting.not_found(endpoint)
        if row.spec.routing == "sticky":
            raise hosting.sticky(endpoint)
        shares = hosting.checked_split(endpoint, split, tuple(row.split), self._rules)
        hosting.check_token(endpoint, row.token, expect=expect)
        report = self._follow(endpoint)
        ready = (
            {v.name for v in report.variants if v.phase == "ready"}
            if report and report.token == row.token
            else set()
        )
        if waiting := [
            name
            for name, percent in shares.items()
            if percent > row.split[name] and name not in ready
        ]:
            raise Busy(
                f"{endpoint}: {', '.join(waiting)} is not ready, so it gets no traffic",
                remedy=f"isthmus endpoints logs {endpoint} --variant {waiting[0]}",
            )
        self._write(
            msgspec.structs.replace(row, split=shares), expect=row, operation="endpoints.shift"
        )
        self._follow(endpoint)

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return the endpoint's state, with its supervisor's report; None without an endpoint."""
        self._target.calls.reading("endpoints.observe", endpoint)
        row = self._row(endpoint)
        return None if row is None else self._state(endpoint, row)

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,  # noqa: ARG002  the port's: nobody reads it here
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """Post a prediction request to the endpoint's router, and return the model's reply.

        It is repeated only if it was certainly not read, as when the router had moved to another
        port.

        Raises:
            NotFound: There is no such endpoint or variant.
            ModelError: The model failed.
            Busy: The endpoint is.
            Invalid: The request is wrong.
            Unavailable: Nothing listens.
            OutcomeUnknown: The answer was lost.
        """
        body = hosting.request_body(endpoint, instances, self._rules, parameters)
        headers: list[tuple[str, str]] = [("content-type", "application/json")]
        if variant is not None:
            headers.append(("x-amzn-sagemaker-target-variant", variant))
        response = self._post(endpoint, body, headers)
        if response.status != 200:
            raise _failure(endpoint, response)
        version = response.headers.get("x-isthmus-version")
        return Reply(
            predictions=hosting.predictions(endpoint, response.body),
            variant=response.headers["x-amzn-invoked-production-variant"],
            version=int(version) if version else None,
        )

    def _post(self, endpoint: str, body: bytes, headers: list[tuple[str, str]]) -> Response:
        """Post a request to the endpoint's router; return the response, or raise an error."""
        client, address = self._client(endpoint)
        what = f"invoking {endpoint}"
        try:
            response = client.request(
                "POST",
                "/invocations",
                body,
                (*headers, ("x-isthmus-instance", address.instance)),
                what=what,
            )
        except Unavailable:
            response = None  # nothing was sent: it may listen elsewhere since it was started again
            self._start_again(endpoint)
        if response is not None and response.headers.get("x-isthmus-error") != "not-here":
            return response
        self._clients.pop(endpoint)[1].close()
        client, address = self._client(endpoint)
        return client.request(
            "POST",
            "/invocations",
            body,
            (*headers, ("x-isthmus-instance", address.instance)),
            what=what,
        )

    def close(self) -> None:
        """Close connections and the database."""
        for _, client in self._clients.values():
            client.close()
        self._clients.clear()
        self._db.close()

    def _row(self, name: str) -> EndpointRow | None:
        """Read the endpoint's stored row from SQLite; return None if there is none."""
        return read(self._db.connection, name)

    def _next_row(self, spec: EndpointSpec, row: EndpointRow | None) -> EndpointRow:
        """Return the endpoint's new database row, made of a new spec and the present row.

        Raises Conflict if that takes something from a variant with traffic.
        """
        if row is not None and row.spec == spec:
            self._restore(row)
            return row
        if row is not None:
            hosting.guard_traffic(
                spec, {v.name: v for v in row.spec.variants}, row.split, routing=row.spec.routing
            )
        folders = {
            v.name: self._model(spec.name, v).relative_to(self._home).as_posix()
            for v in spec.variants
        }
        if row is None:
            instance, split = secrets.token_hex(4), hosting.first_split(spec)
            return EndpointRow(
                name=spec.name,
                instance=instance,
                version=0,
                port=0,
                spec=spec,
                split=split,
                folders=folders,
            )
        shares = {v.name: row.split.get(v.name, Decimal(0)) for v in spec.variants}
        return msgspec.structs.replace(
            row,
            spec=spec,
            split=hosting.first_split(spec) if spec.routing == "sticky" else shares,
            folders=folders,
        )

    def _restore(self, row: EndpointRow) -> None:
        """Copy those model folders of an endpoint again that are incomplete on this machine.

        `row` is the endpoint's record in the database.
        """
        for variant in (
            variant
            for variant in row.spec.variants
            if not _whole(self._home / row.folders[variant.name])
        ):
            self._model(row.name, variant)

    def _model(self, endpoint: str, variant: VariantSpec) -> Path:
        """Return the local folder of a variant's model, copied from the blob store if needed.

        It is copied once for each version, and again if the copy is incomplete. Raises NotFound if
        there is no such version or its folder is gone.
        """
        version = self._target.registry.get(variant.model, variant.version)
        folder = (
            endpoint_folder(self._home, endpoint)
            / "models"
            / f"{variant.model}-{variant.version}-{version.digest}"
        )
        if self._target.calls.dry_run:
            return folder
        if folder.exists() and not _whole(folder):
            remove_tree(folder)
        if not folder.exists():
            scratch = folder.parent / temporary_name()
            try:
                self._target.blobs.download(version.uri, scratch)
                with suppress(OSError):  # somebody else copied the same version meanwhile
                    scratch.rename(folder)
            finally:
                remove_tree(scratch)
        sync_folder(folder.parent)  # the row that will name it may outlive a power cut
        return folder

    def _write(
        self,
        new_row: EndpointRow,
        *,
        expect: EndpointRow | None,
        operation: str = "endpoints.apply",
    ) -> EndpointRow:
        """Write an endpoint's row if its version is still that of `expect`; return the stored row.

        `expect` is None if there must be no row yet. The stored row has a new version number.
        `operation` names the call in the log.
        """
        with (
            self._target.calls.mutating(operation, new_row.name),
            self._db.transaction(f"writing endpoint {new_row.name}") as db,
        ):
            row = read(db, new_row.name)
            hosting.check_token(
                new_row.name, row.token if row else None, expect=expect.token if expect else None
            )
            new_row = msgspec.structs.replace(new_row, version=new_row.version + 1)
            write(db, new_row)
        return new_row

    def _start(self, row: EndpointRow) -> None:
        """Start the endpoint's watcher and supervisor processes, and record their port.

        `row` is the endpoint's record in the database.
        """
        with self._target.calls.mutating("endpoints.start", row.name):
            limits = arguments(
                self._target.profile.options, row.name, max_bytes=self._rules.max_bytes
            )
            supervision.start(self._home, row, limits, record=lambda port: self._record(row, port))

    def _start_again(self, name: str, row: EndpointRow | None = None) -> bool:
        """Start the endpoint's processes again if all have died; return whether they were started.

        `row` is the endpoint's record in the database. Supervisor and watcher both died if they
        were killed, or the machine was restarted. They are started only in the home folder in which
        they ran before.
        """
        row = row or self._row(name)
        if row is None or self._target.calls.dry_run or supervision.alive(self._home, name):
            return False
        address = supervision.address(self._home, name)
        if (
            address is None
            or address.instance != row.instance
            or address.home != str(self._home.resolve())
        ):
            return False
        self._start(row)
        return True

    def _record(self, row: EndpointRow, port: int) -> None:
        """Store the supervisor's port in the endpoint's row; list the endpoint as a resource.

        A restarted supervisor keeps the port.
        """
        with self._db.transaction(f"recording endpoint {row.name}") as db:
            db.execute(
                "UPDATE endpoints SET port = ? WHERE name = ? AND instance = ?",
                (port, row.name, row.instance),
            )
            inventory.record(
                self._target,
                "endpoint",
                row.name,
                native_id=row.instance,
                console_url=f"http://127.0.0.1:{port}",
                connection=db,
            )

    def _client(self, name: str) -> tuple[Client, SupervisorAddress]:
        """Return an HTTP client for the endpoint's supervisor, and its address."""
        from .client import Client

        connection = self._clients.get(name)
        if connection is None:
            address = supervision.address(self._home, name)
            if address is None:
                if self._row(name) is None:
                    raise hosting.not_found(name)
                raise Unavailable(
                    f"{name}'s processes do not run",
                    remedy=f"start them again: isthmus deploy {name}",
                )
            limits = serving(self._target.profile.options, name)
            timeout = (2 * limits.timeout + limits.return_wait).total_seconds() + GRACE
            connection = self._clients[name] = (address, Client(address.port, timeout=timeout))
        return connection[1], connection[0]

    def _ask(self, name: str, *, follow: bool, again: bool = False) -> Report:
        """Ask an endpoint's supervisor by HTTP for its report of what runs.

        With `follow` the supervisor first acts on changes of the endpoint's row in the database;
        with `again` failed processes start at once.
        """
        address = supervision.address(self._home, name)
        connection = self._clients.get(name)
        if connection is not None and (address is None or connection[0].key != address.key):
            self._clients.pop(name)[1].close()  # it was started again
        client, address = self._client(name)
        return supervision.ask(client, address, follow=follow, again=again)

    def _replace(self, row: EndpointRow, report: Report) -> None:
        """Restart the supervisor and the model servers with the code that is installed now.

        The socket stays open, and new model servers are ready before the old ones end. If the
        watcher would start the old code again, because it belongs to another installation, all
        processes are ended and started from here.
        """
        name = row.name
        with self._target.calls.mutating("endpoints.replace", name):
            client, address = self._client(name)
            if report.code != own_code():
                if supervision.send_command(client, address, "replace") is None:
                    # it knows no better way; its watcher starts the next
                    supervision.send(address, signal.SIGKILL)
                report = (
                    wait(
                        lambda: self._successor(name, address),
                        bool,
                        deadline=REPLACED,
                        what=f"the next router of {name}",
                    )
                    or report
                )
            if report.code != own_code():
                supervision.send(supervision.address(self._home, name), signal.SIGTERM)
                wait(
                    lambda: supervision.alive(self._home, name),
                    lambda alive: not alive,
                    deadline=REPLACED,
                    what=f"the end of {name}",
                )
                self._start(self._row(name) or row)
            else:
                client, address = self._client(name)
                supervision.send_command(client, address, "renew")

    def _successor(self, name: str, predecessor: SupervisorAddress) -> Report | None:
        """Return the report of the supervisor that replaces an earlier one; None if it is not up.

        `predecessor` is the earlier one's address.
        """
        address = supervision.address(self._home, name)
        return (
            self._follow(name)
            if address is not None and address.pid not in (0, predecessor.pid)
            else None
        )

    def _follow(self, name: str, *, again: bool = False) -> Report | None:
        """Make the endpoint's supervisor act on its row in the database; return its report.

        None means that it cannot be asked: a dead one reads its row when it starts. With `again`
        failed processes start at once.
        """
        try:
            return self._ask(name, follow=True, again=again)
        except (Unavailable, OutcomeUnknown):
            return None

    def _state(self, name: str, row: EndpointRow) -> EndpointState:
        """Return the endpoint's state by its supervisor's report; restart a dead supervisor.

        `row` is the endpoint's record in the database.
        """
        try:
            runs = supervision.alive(self._home, name) or self._start_again(name, row)
        except (
            LimitExceeded,
            Denied,
            OSError,
        ) as error:  # whoever looks is told what there is also where the disk is full
            return dead(row, f"{name}'s processes do not run, and cannot be started: {error}")
        if not runs:
            started = supervision.address(self._home, name) is not None
            if not started:
                why = f"{name}'s processes were never started"
            else:
                why = f"{name}'s supervisor has died{supervision.last_words(self._home, name)}"
            return dead(row, why)
        try:
            report = self._ask(name, follow=False)
        except (Unavailable, OutcomeUnknown) as error:
            words = supervision.last_words(self._home, name)
            return dead(
                row,
                f"the router does not answer: {error}{words}",
                phase="updating" if supervision.alive(self._home, name) else "failed",
            )
        return state_of(row, report)


def delete(target: Target, resource: Resource) -> None:
    """Delete an endpoint: end its processes, and remove its row and its folder.

    The inventory calls this for the endpoint's resource; the endpoint may be absent.
    """
    database = Database(target, SCHEMA)
    try:
        with database.transaction(f"deleting endpoint {resource.name}") as db:
            db.execute("DELETE FROM endpoints WHERE name = ?", (resource.name,))
    finally:
        database.close()
    supervision.end(home(target), resource.name)


def _failure(endpoint: str, response: Response) -> Exception:
    """Return the exception for an error answer of an endpoint's router.

    The router marks its own errors; every other error is the model's.
    """
    body = response.body.decode("utf-8", "replace")
    try:
        fields = msgspec.json.decode(response.body, type=dict[str, object])
    except msgspec.MsgspecError:
        fields = {}
    words = f"{fields.get('error', response.status)}: {fields.get('message', body[:200])}"
    code = response.headers.get("x-isthmus-error")
    if code == "no-variant":
        return NotFound(f"{endpoint}: {fields.get('message')}")
    if code in ("unavailable", "not-here"):
        return Unavailable(
            f"{endpoint}: {fields.get('message')}",
            remedy="isthmus status; it may come back by itself",
        )
    if code == "lost":
        return OutcomeUnknown(f"{endpoint}: {fields.get('message')}")
    who = response.headers.get("x-amzn-invoked-production-variant", endpoint)
    version = response.headers.get("x-isthmus-version")
    who += f" (version {version})" if version else ""
    return ModelError(
        f"{who} answered {response.status}: {words}", status=response.status, body=body
    )


def _whole(folder: Path) -> bool:
    """Return whether a copied model folder is complete, by its manifest."""
    from ....pipelines.models.predictor import whole_manifest

    try:
        whole_manifest(folder)
    except (Invalid, NotFound):
        return False
    return True
