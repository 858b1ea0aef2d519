"""The figures that a gateway's processes share."""

import fcntl
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from isthmus.endpoints.gateway.processes import counters
from isthmus.endpoints.gateway.processes.counters import Counters, exposition, sample, totals
from isthmus.endpoints.gateway.processes.shared_folder import shared_folder
from isthmus.errors import Busy

ASKED = sample(counters.REQUESTS, endpoint="ranker")


def test_counts_are_summed_over_processes_and_gauges_over_those_that_live(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from "
        "isthmus.endpoints.gateway.processes.counters import *\n"
        "mine = Counters(Path(sys.argv[1]) / '1.counters'); mine.add(sys.argv[2], 3); "
        "mine.set(WORKERS, 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), ASKED], check=False)
    assert killed.returncode == -signal.SIGKILL
    here = Counters(tmp_path / "0.counters")
    here.add(ASKED, 2)
    here.set(counters.WORKERS, 1)
    assert totals(tmp_path) == {ASKED: 5, counters.WORKERS: 1}
    again = Counters(tmp_path / "1.counters")
    again.add(ASKED)
    assert totals(tmp_path) == {ASKED: 6, counters.WORKERS: 1}, (
        "who takes the killed one's place goes on with its counts"
    )
    with pytest.raises(Busy):
        Counters(tmp_path / "1.counters")
    here.close()
    again.close()


def test_a_file_grows_and_is_read_again(tmp_path):
    mine = Counters(tmp_path / "0.counters")
    for number in range(2000):
        mine.add(sample(counters.REQUESTS, endpoint=f"an_endpoint_of_a_long_name_{number}"), number)
    mine.close()
    assert (tmp_path / "0.counters").stat().st_size > 65_536
    assert sum(totals(tmp_path).values()) == sum(range(2000))


def test_a_latency_stands_in_every_bucket_that_is_wide_enough(tmp_path):
    mine = Counters(tmp_path / "0.counters")
    for seconds in (0.002, 0.002, 4.0, 60.0):
        mine.answered("ranker", "champion", 200, seconds)
    lines = exposition(totals(tmp_path)).splitlines()
    labels = 'endpoint="ranker",variant="champion",status="200"'
    assert f"isthmus_gateway_requests_total{{{labels}}} 4" in lines
    assert [line.rpartition(" ")[2] for line in lines if "_bucket" in line] == [
        "0",
        *["2"] * 10,
        "3",
        "3",
        "4",
    ]
    assert [line.partition('le="')[2].partition('"')[0] for line in lines if "_bucket" in line][
        -1
    ] == "+Inf"
    assert f"isthmus_gateway_request_seconds_sum{{{labels}}} 64.004" in lines
    assert lines.count("# TYPE isthmus_gateway_request_seconds histogram") == 1
    mine.close()


def test_a_rule_is_counted_beside_latencies(tmp_path):
    mine = Counters(tmp_path / "0.counters")
    mine.answered("ranker", "champion", 200, 0.002)
    ruled = [
        sample(counters.RULED, endpoint="ranker", rule=rule)
        for rule in ("cap item_id 2/24h", "pin 7")
    ]
    for figure in ruled:
        mine.add(figure, 3)
    lines = exposition(totals(tmp_path)).splitlines()
    assert [line for line in lines if line.startswith(f"{counters.RULED}{{")] == [
        f"{figure} 3" for figure in ruled
    ]
    mine.close()


def test_a_label_may_hold_anything():
    assert sample("x", variant='a"b\\c\nd') == 'x{variant="a\\"b\\\\c\\nd"}'


def test_the_folder_of_a_gateway_that_was_killed_goes_with_the_next_one():
    code = (
        "import os, signal; from isthmus.endpoints.gateway.processes.shared_folder import shared_folder\n"
        "print(shared_folder(), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], check=False, stdout=subprocess.PIPE, text=True
    )
    mine = shared_folder()
    assert not Path(killed.stdout.strip()).exists()
    shutil.rmtree(shared_folder())
    assert mine.exists(), "its process lives"
    shutil.rmtree(mine)


def test_a_worker_begins_while_another_one_reads_what_the_dead_one_counted(tmp_path, monkeypatch):
    """For a few seconds, as where the machine stops it in the middle: else the first start of a
    worker would end its gateway.
    """
    path = tmp_path / "0.counters"
    Counters(path).close()
    slept = []
    with path.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)

        def sleep(_seconds):
            slept.append(1)
            if len(slept) == 5:
                fcntl.flock(reader, fcntl.LOCK_UN)

        monkeypatch.setattr(
            counters, "time", SimpleNamespace(monotonic=lambda: float(len(slept)), sleep=sleep)
        )
        Counters(path).close()
