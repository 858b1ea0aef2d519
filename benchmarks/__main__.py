"""`make bench` runs every benchmark; `python -m benchmarks NAME ...` some of them, each in a process of its own.

What begins with -- goes to each. With --small each takes seconds, and no figure of it means anything: it shows that it runs.
"""

from __future__ import annotations

import importlib
import multiprocessing
import sys
from pathlib import Path

SMALL = "--small" in sys.argv
NAMES = sorted(
    p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "__main__", "bare_gcp", "gcp_asked", "measure")
)
HEAVY = ["boto3", "duckdb", "isthmus.project.load", "pandas", "pyarrow.parquet", "scipy.stats"]  # what most of them import


def run(name: str) -> None:
    sys.exit(importlib.import_module(f"benchmarks.{name}").main())


def main() -> None:
    named = [word for word in sys.argv[1:] if not word.startswith("--")]
    if unknown := [name for name in named if name not in NAMES]:
        raise SystemExit(f"no benchmark {unknown[0]!r}; there are: {', '.join(NAMES)}")
    context = multiprocessing.get_context("forkserver" if SMALL else "spawn")
    if SMALL:
        context.set_forkserver_preload(HEAVY)
    failed = []
    for name in named or NAMES:
        print(f"\n--- {name}", flush=True)
        process = context.Process(target=run, args=(name,))
        process.start()
        process.join()
        if process.exitcode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed, or missed its goal: {', '.join(failed)}")


if __name__ == "__main__":
    main()
