"""That each benchmark runs:

`make bench` takes most of an hour, and nobody would see that one of them broke.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_benchmark_runs_from_its_start_to_its_end():
    """Each at its smallest, where no goal is judged. docs/promises.md, into which one writes, stays
    as it is.
    """
    page = (ROOT / "docs" / "promises.md").read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--small"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert (ROOT / "docs" / "promises.md").read_bytes() == page
