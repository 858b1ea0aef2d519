"""The model servers of one variant: who hangs is started again, who has died is waited for."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from isthmus.adapters.local.endpoints import model_server
from isthmus.adapters.local.endpoints.balancer import Balancer
from isthmus.adapters.local.endpoints.variant import Variant
from isthmus.endpoints.port import VariantSpec
from isthmus.tests.adapters.local import balancer_kit as asked
from isthmus.tests.conformance.toy_models import model_folder

pytestmark = pytest.mark.slow
ONE = b'{"instances": [{"x": 1}]}'


async def until(condition):
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def variant(folder, *, instances=None, **limits):
    spec = VariantSpec(name="champion", model="ranker", version=1, instances=instances)
    return Variant(
        spec, folder / "model", folder / "champion.log", Balancer("champion", 1, **limits)
    )


def ask(variant, body=ONE):
    answers, _ = asked.ask(variant.balancer, body)
    return answers


def test_a_process_that_hangs_with_nothing_to_do_is_killed_told_and_started_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(model_server, "PING_EVERY", 0.05)
    monkeypatch.setattr(model_server, "HUNG", 2.0)
    model_folder(tmp_path / "model", 1.0)

    async def live():
        both = variant(tmp_path, return_wait=60.0)
        one = both.servers[0]
        await until(lambda: one.phase == "ready")
        os.kill(one.pid, signal.SIGSTOP)
        await until(lambda: one.phase == "failed")
        monkeypatch.setattr(model_server, "HUNG", 120.0)  # the next one may start slowly
        assert "champion (ranker@1)" in one.failure
        assert "did not answer /ping for 2 s and was killed" in one.failure
        answers = ask(both)
        await until(lambda: answers)
        assert answers[0].status == 200, "it was waited for"
        assert one.restarts == 1
        await both.end()

    asyncio.run(live())


def test_a_prediction_that_hangs_ends_at_its_time_out_and_the_others_are_answered_by_the_process_that_follows(
    tmp_path,
):
    model_folder(tmp_path / "model", 1.0)

    async def live():
        alone = variant(tmp_path, timeout=3600, return_wait=3600)
        await until(lambda: alone.phase == "ready")
        pid = alone.servers[0].pid
        hanging = ask(alone, b'{"instances": [{"sleep": 600}]}')
        await until(lambda: alone.balancer.backends[0].busy)
        alone.balancer.timeout = 0.5
        await until(lambda: hanging)
        alone.balancer.timeout = 3600
        assert hanging[0].status == 504
        others = [ask(alone) for _ in range(3)]
        await until(lambda: all(others))
        assert [answers[0].status for answers in others] == [200, 200, 200]
        assert alone.servers[0].pid != pid
        assert (
            "worked at one request for 0.5 s and was killed"
            in (tmp_path / "champion.log").read_text()
        )
        await alone.end()

    asyncio.run(live())


def test_a_folder_that_was_exchanged_is_not_served_and_the_failure_tells_both_digests(tmp_path):
    registered = "0" * 64
    folder = tmp_path / f"ranker-1-{registered}"
    digest = model_folder(folder, 1.0)

    async def live():
        spec = VariantSpec(name="champion", model="ranker", version=1)
        one = model_server.ModelServer(
            spec, folder, tmp_path / "champion.log", Balancer("champion", 1)
        )
        await until(lambda: one.phase == "failed")
        assert (
            f"is not the model that was registered: its digest is {digest}, the registry's "
            f"is {registered}" in one.failure
        )
        assert one.failure.splitlines()[1].strip() in (tmp_path / "champion.log").read_text()
        await one.end()

    asyncio.run(live())


def test_what_the_machine_cannot_start_is_told_and_tried_again_also_while_its_log_cannot_be_written(
    tmp_path, monkeypatch
):
    async def start(*_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    async def live():
        spec = VariantSpec(name="champion", model="ranker", version=1)
        one = model_server.ModelServer(spec, tmp_path, Path("/dev/full"), Balancer("champion", 1))
        await until(lambda: one.restarts == 1)
        assert (
            "champion (ranker@1) was not started: [Errno 11] Resource temporarily unavailable"
            in one.failure
        )
        await one.end()

    monkeypatch.setattr(model_server.ModelServer, "_start", start)
    asyncio.run(live())


def test_while_one_of_two_processes_is_down_the_other_answers(tmp_path):
    model_folder(tmp_path / "model", 1.0)

    async def live():
        both = variant(tmp_path, instances=(2, 3))
        await until(lambda: both.phase == "ready")
        os.kill(both.servers[0].pid, signal.SIGKILL)
        await until(lambda: both.phase == "failed")
        assert (both.report().instances, both.report().target_instances) == (1, 2)
        answers = [ask(both) for _ in range(10)]
        await until(lambda: all(answers))
        assert {answer.status for (answer,) in answers} == {200}
        await until(lambda: both.phase == "ready")
        assert both.report().restarts == 1
        await both.end()

    asyncio.run(live())
