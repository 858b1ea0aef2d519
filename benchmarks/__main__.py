"""Run every benchmark (`make bench`), or some: `python -m benchmarks NAME ...`.

Each runs in a process of its own. What begins with -- goes to each. With --small each takes
seconds, and no figure of it means anything: it shows that it runs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MODULES = {
    path.stem: ".".join(("benchmarks", *path.relative_to(HERE).with_suffix("").parts))
    for path in sorted(HERE.rglob("*.py"), key=lambda path: path.stem)
    if path.stem not in ("__init__", "__main__", "bare_gcp", "gcp_clients", "log", "measure")
}


def main() -> None:
    options = [word for word in sys.argv[1:] if word.startswith("--")]
    named = [word for word in sys.argv[1:] if word not in options]
    if unknown := [name for name in named if name not in MODULES]:
        raise SystemExit(f"no benchmark {unknown[0]!r}; there are: {', '.join(MODULES)}")
    failed = []
    for name in named or MODULES:
        print(f"\n--- {name}", flush=True)
        if subprocess.run([sys.executable, "-m", MODULES[name], *options], check=False).returncode:
            failed.append(name)
    if failed:
        raise SystemExit(f"failed, or missed its goal: {', '.join(failed)}")


if __name__ == "__main__":
    main()
