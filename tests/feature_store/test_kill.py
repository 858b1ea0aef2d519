"""A real kill -9 in the middle of materialize, in a process of its own."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.online.reads import read
from isthmus.feature_store.online.skew import skew

from .shop import START, Clock, history, open_shop, put

pytestmark = [pytest.mark.soak, pytest.mark.slow]

_CHILD = """
import importlib.util, os, signal, sys
from datetime import timedelta
from isthmus.feature_store.offline.materialize import materialize

found = importlib.util.spec_from_file_location("shop", sys.argv[1])
shop = importlib.util.module_from_spec(found)
found.loader.exec_module(shop)
project = shop.open_shop(sys.argv[2], clock=shop.Clock(shop.START + timedelta(hours=80)))

def kill(call):
    if call.operation == sys.argv[4]:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(project.target.calls, sys.argv[3], kill)
materialize(project, ["item_history"])
"""


@pytest.mark.parametrize("operation", ["warehouse.save", "online.sync"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_killed_in_materialize_and_run_again_nothing_is_lost_or_doubled(tmp_path, side, operation):
    clock = Clock(START + timedelta(hours=40))
    with open_shop(tmp_path, clock=clock) as shop:
        put(shop, "b1", impressions=[(1, 0, 0), (2, 26, 1), (3, 30, 0)])
        materialize(shop, ["item_history"])
        put(shop, "b2", impressions=[(4, 1, 0), (5, 41, 1), (6, 70, 0)])
    shop_file = str(Path(__file__).with_name("shop.py"))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, shop_file, str(tmp_path), side, operation],
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    clock.to(81)
    with open_shop(tmp_path, clock=clock) as shop:
        materialize(shop, ["item_history"])
        rows = history(shop)
        assert [
            (r["entity_key"], int(r["event_timestamp"].strftime("%d%H")), r["item_impressions"])
            for r in rows
        ] == [
            *(("0", 100, 1), ("0", 101, 2), ("0", 206, 2), ("0", 206, 3), ("0", 322, 2)),
            *(("1", 202, 1), ("1", 217, 2)),
        ]
        assert [row["item_impressions"] for row in read(shop, "item_history", [0, 1]).rows] == [
            2,
            2,
        ]
        assert skew(shop).differ == 0
