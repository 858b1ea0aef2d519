"""The model servers of one variant: as many processes as it has instances, behind one pool each."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ...endpoints.port import VariantSpec
from ...storage import Phase
from .endpoint_rows import VariantReport, instances
from .exchange import Pool, Pools
from .model_server import ModelServer


class Variant:
    def __init__(self, spec: VariantSpec, model: Path, log: Path) -> None:
        self.spec = spec
        self.servers: list[ModelServer] = []
        self._model = model
        self._log = log
        self.resize(spec)

    @property
    def pool(self) -> Pool | Pools:
        """Where the router sends its requests, until it is resized."""
        pools = [server.pool for server in self.servers]
        return pools[0] if len(pools) == 1 else Pools(pools)

    def resize(self, spec: VariantSpec) -> list[ModelServer]:
        """Bring the number of processes into the range of its spec; those that are to end."""
        fewest, most = instances(spec)
        wanted = min(max(len(self.servers), fewest), most)
        self.spec = spec
        self.servers += [ModelServer(spec, self._model, self._log) for _ in range(wanted - len(self.servers))]
        leaving, self.servers = self.servers[wanted:], self.servers[:wanted]
        return leaving

    @property
    def phase(self) -> Phase:
        """Ready when all its processes are; failed when one is, as its instances are not what they should be."""
        phases: set[Phase] = {server.phase for server in self.servers}
        if len(phases) == 1:
            return phases.pop()
        return "failed" if "failed" in phases else "updating"

    def report(self) -> VariantReport:
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
        )

    def again(self) -> None:
        """Start failed processes now instead of after their pause: what was wrong may have been mended."""
        for server in self.servers:
            server.again()

    async def end(self) -> None:
        """Requests under way are finished first (at most 10 s)."""
        await asyncio.gather(*(server.end() for server in self.servers))
