"""Run an A/B test from start to close over HTTP on three targets, alike on all.

`python -m benchmarks.experiments.chain [--requests N] [--target T]`. Each target: start, requests
from 4 threads to a gateway with two workers, ramp 20 -> 40 -> 100 %, stop --ship, close. A gateway
goes by a change within 6 s; no request fails; assignments, canonical rows and results (to 9 digits)
are the same. The exit code is 1 where that is not so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from isthmus.tests.experiments.chain.http_chain import TARGETS, Chain, digest, played

from ..measure import SMALL, Line, scaled, table

LIMIT = 6.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="chain")
    parser.add_argument("--requests", type=int, default=scaled(20_000, 100), help="to each target")
    parser.add_argument("--target", action="append", choices=TARGETS, help="repeatable")
    arguments = parser.parse_known_args()[0]
    chains = []
    for target in arguments.target or scaled(TARGETS, TARGETS[:1]):
        with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
            chains.append(played(Path(folder), target, arguments.requests))
        table(f"an A/B test over HTTP on {target}", lines(chains[-1]))
    problems = [problem for chain in chains for problem in wrong(chain, chains[0])]
    print(
        "\n"
        + (
            "\n".join(problems)
            or f"the same on {', '.join(chain.target for chain in chains)}; no request failed"
        )
    )
    return int(bool(problems))


def lines(chain: Chain) -> list[Line]:
    counts = {"rows of assignments": len(chain.assigned), "rows of exposures": len(chain.shown)}
    rate = f"{chain.requests:,} in {chain.seconds:.0f} s"
    return [
        Line(
            name="requests",
            value=rate,
            goal=f"{chain.requests / chain.seconds:,.0f}/s from 4 threads; {len(chain.failed)} "
            "failed",
        ),
        *(
            Line(
                name=f"both workers, after {verb}", value=f"{took:.1f} s", goal=f"goal: {LIMIT:g} s"
            )
            for verb, took in chain.taken.items()
        ),
        *(
            Line(name=name, value=digest(value), goal=f"{counts[name]:,}" if name in counts else "")
            for name, value in chain.canonical.items()
        ),
        Line(
            name="rows of exposures that came twice", value=f"{chain.repeated:,}", goal="read once"
        ),
        Line(
            name="audit",
            value=f"{chain.audit.units:,} units",
            goal=f"{chain.audit.differ} differ from the hash",
        ),
        Line(name="ctr", value=effect(chain)),
    ]


def effect(chain: Chain) -> str:
    relative = next(
        relative for relative in chain.results["effects"] if relative["role"] == "decides"
    )["relative"]
    return (
        "too few units"
        if relative is None
        else f"{_percent(relative['value'])} ({_percent(relative['low'])} .. "
        f"{_percent(relative['high'])})"
    )


def _percent(share: str) -> str:
    return f"{100 * float(share):+.2f} %"


def wrong(chain: Chain, first: Chain) -> list[str]:
    name = chain.target
    problems = [f"{name}: {problem}" for problem in chain.failed[:3]]
    problems += [
        f"{name}: {took:.1f} s after {verb}"
        for verb, took in chain.taken.items()
        if took > LIMIT and not SMALL
    ]
    problems += [
        f"{name}: other {what} than on {first.target}"
        for what, rows in chain.canonical.items()
        if rows != first.canonical[what]
    ]
    return problems + ([] if chain.audit.sound else [f"{name}: {chain.audit}"])


if __name__ == "__main__":
    sys.exit(main())
