"""`make bench` runs every benchmark; `python -m benchmarks NAME ...` some of them.

With --small each takes seconds, and no figure of it means anything: it shows that each runs (tests/test_benchmarks.py).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = sorted(
    p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "__main__", "bare_gcp", "gcp_asked", "measure")
)

failed = False
for name in [word for word in sys.argv[1:] if word != "--small"] or NAMES:
    if name not in NAMES:
        raise SystemExit(f"no benchmark {name!r}; there are: {', '.join(NAMES)}")
    failed |= bool(importlib.import_module(f"benchmarks.{name}").main())
sys.exit(failed)
