"""A variant's process that lives but no longer answers is started again."""

import asyncio
import os
import signal
import time

import pytest

from isthmus.adapters.local import model_server
from isthmus.adapters.local.exchange import Exchange, Pool, Pools
from isthmus.adapters.local.variant import Variant
from isthmus.endpoints.port import VariantSpec
from isthmus.tests.conformance.toy_models import model_folder

pytestmark = pytest.mark.slow


async def until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_a_process_that_hangs_is_killed_told_and_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(model_server, "PING_EVERY", 0.05)
    monkeypatch.setattr(model_server, "HUNG", 1.0)
    model_folder(tmp_path / "model", 1.0)

    async def live():
        spec = VariantSpec(name="champion", model="ranker", version=1)
        one = model_server.ModelServer(spec, tmp_path / "model", tmp_path / "champion.log")
        await until(lambda: one.phase == "ready")
        answers = []
        os.kill(one.pid, signal.SIGSTOP)
        body = [b'{"instances": [{"x": 1}]}']
        one.pool.send(Exchange(b"application/json", body, lambda status, reply: answers.append((status, reply))))
        await until(lambda: one.phase == "failed")
        assert "champion (ranker@1)" in one.failure
        assert "did not answer /ping for 1 s and was killed" in one.failure
        await until(lambda: answers)
        assert answers[0][0] == 502
        await until(lambda: one.phase == "ready")
        assert one.restarts == 1
        await one.end()

    asyncio.run(live())


def test_a_folder_that_was_exchanged_is_not_served_and_the_failure_tells_both_digests(tmp_path):
    registered = "0" * 64
    folder = tmp_path / f"ranker-1-{registered}"
    digest = model_folder(folder, 1.0)

    async def live():
        spec = VariantSpec(name="champion", model="ranker", version=1)
        one = model_server.ModelServer(spec, folder, tmp_path / "champion.log")
        await until(lambda: one.phase == "failed")
        assert f"is not the model that was registered: its digest is {digest}, the registry's is {registered}" in one.failure
        assert one.failure.splitlines()[1].strip() in (tmp_path / "champion.log").read_text()
        await one.end()

    asyncio.run(live())


def test_while_one_of_two_processes_is_down_the_other_answers(tmp_path):
    model_folder(tmp_path / "model", 1.0)

    async def live():
        spec = VariantSpec(name="champion", model="ranker", version=1, instances=(2, 3))
        both = Variant(spec, tmp_path / "model", tmp_path / "champion.log")
        await until(lambda: both.phase == "ready")
        os.kill(both.servers[0].pid, signal.SIGKILL)
        await until(lambda: both.phase == "failed")
        assert (both.report().instances, both.report().target_instances) == (1, 2)
        answers = []
        pool = both.pool
        for _ in range(10):
            pool.send(Exchange(b"application/json", [b'{"instances": [{"x": 1}]}'], lambda status, _reply: answers.append(status)))
        await until(lambda: len(answers) == 10)
        assert set(answers) == {200}
        await until(lambda: both.phase == "ready")
        assert both.report().restarts == 1
        await both.end()

    asyncio.run(live())


def test_a_request_goes_to_the_ready_process_with_the_fewest_under_way_and_in_turn():
    class Counted(Pool):
        def send(self, exchange):
            sent.append((self, exchange))
            self.under_way += 1

    sent = []
    ready, also, starting = (Counted("champion", 1) for _ in range(3))
    ready.port, also.port = 1, 2
    pools = Pools([ready, also, starting])
    for _ in range(4):
        pools.send(None)
    assert [sum(pool is at for pool, _ in sent) for at in (ready, also, starting)] == [2, 2, 0]
    also.under_way = 0
    pools.send(None)
    pools.send(None)
    assert [pool is also for pool, _ in sent[4:]] == [True, True]
    ready.port = also.port = None
    pools.send("nobody is ready: whoever it is says why")
    assert sent[-1][1]
