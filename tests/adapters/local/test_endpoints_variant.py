"""A variant's process that lives but no longer answers is started again."""

import asyncio
import time

import pytest

from isthmus.adapters.local import variant
from isthmus.adapters.local.exchange import Exchange
from isthmus.endpoints.port import VariantSpec
from isthmus.tests.conformance.toy_models import model_folder

pytestmark = pytest.mark.slow


def test_a_process_that_hangs_is_killed_told_and_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(variant, "PING_EVERY", 0.05)
    monkeypatch.setattr(variant, "HUNG", 1.0)
    model_folder(tmp_path / "model", 1.0)

    async def until(condition):
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end
            await asyncio.sleep(0.01)

    async def live():
        spec = VariantSpec(name="champion", model="ranker", version=1)
        one = variant.Variant(spec, tmp_path / "model", tmp_path / "champion.log")
        await until(lambda: one.phase == "ready")
        answers = []
        body = [b'{"instances": [{"sleep": 60}]}']
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
