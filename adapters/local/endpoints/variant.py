"""The model servers of one variant: as many processes as it has instances, behind one balancer."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterable
from pathlib import Path

from ....endpoints.port import VariantSpec
from ....storage import Phase
from .balancer import Balancer
from .model_server import ModelServer
from .rows import RunningServer, VariantReport, instances


class Variant:
    """A variant's processes.

    `running`: processes of it that an earlier supervisor started; each is taken over. The rest is
    as ModelServer has it.
    """

    def __init__(
        self,
        spec: VariantSpec,
        model: Path,
        log: Path,
        balancer: Balancer,
        *,
        life: int = PIPE,
        running: Iterable[RunningServer] = (),
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.spec = spec
        self.balancer = balancer
        self._model = model
        self._log = log
        self._life = life
        self._changed = changed
        self.servers = [self._server(take_over=process) for process in running]
        self.surplus = self.resize(spec)  # to be ended: more were taken over than it may have

    def _server(self, *, take_over: RunningServer | None = None) -> ModelServer:
        """Return a new model server of this variant, or one that takes over a running process."""
        return ModelServer(
            self.spec,
            self._model,
            self._log,
            self.balancer,
            life=self._life,
            take_over=take_over,
            changed=self._changed,
        )

    def resize(self, spec: VariantSpec) -> list[ModelServer]:
        """Change the number of the variant's processes to the spec's range; return those to end."""
        fewest, most = instances(spec)
        count = min(max(len(self.servers), fewest), most)
        self.spec = spec
        self.servers += [self._server() for _ in range(count - len(self.servers))]
        leaving, self.servers = self.servers[count:], self.servers[:count]
        return leaving

    @property
    def phase(self) -> Phase:
        """The phase of the variant, from the phases of all its processes.

        It is ready when all are; failed when one is, as its instances are not what they should be.
        """
        phases: set[Phase] = {server.phase for server in self.servers}
        if len(phases) == 1:
            return phases.pop()
        return "failed" if "failed" in phases else "updating"

    def report(self) -> VariantReport:
        """Return a report of the variant: its phase, number of processes and failure."""
        spec = self.spec
        return VariantReport(
            name=spec.name,
            model=spec.model,
            version=spec.version,
            phase=self.phase,
            pid=self.servers[0].pid,
            restarts=sum(server.restarts for server in self.servers),
            failure="\n".join(server.failure for server in self.servers if server.failure) or None,
            instances=sum(server.phase == "ready" for server in self.servers),
            target_instances=len(self.servers),
            older=any(server.older for server in self.servers),
        )

    async def renew(self) -> None:
        """Replace the variant's processes by new ones; old ones end once the new ones are ready."""
        old, self.servers = self.servers, [self._server() for _ in self.servers]
        new = self.servers
        while any(server.phase != "ready" for server in new):  # noqa: ASYNC110  as long as it takes: the old ones serve
            await asyncio.sleep(0.05)
        await asyncio.gather(*(server.end() for server in old))

    def again(self) -> None:
        """Start the variant's failed processes now, without waiting for their restart delay."""
        for server in self.servers:
            server.again()

    async def end(self) -> None:
        """End the variant's processes.

        Queued requests are answered first, and then the requests under way (at most 10 s each).
        """
        for _ in range(500):
            if self.balancer.quiet:
                break
            await asyncio.sleep(0.02)
        await asyncio.gather(*(server.end() for server in self.servers))
