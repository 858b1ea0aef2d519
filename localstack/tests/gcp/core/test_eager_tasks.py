"""What answers a request over HTTP: a coroutine that begins at once, and connections to a model
server whose timers outlive an exchange.
"""

import asyncio

import pytest

from isthmus_stack.gcp.core.server.eager_tasks import start_eagerly
from isthmus_stack.serving.async_connections import AsyncConnections
from isthmus_stack.serving.connections import TimedOut


def test_a_coroutine_that_is_begun_runs_to_its_first_wait_at_once_and_to_its_end_later():
    async def main():
        seen, over, failing = [], asyncio.Event(), asyncio.get_running_loop().create_future()

        async def work():
            seen.append("first")
            await asyncio.sleep(0)
            seen.append(await asyncio.to_thread(lambda: "thread"))
            with pytest.raises(KeyError):
                await failing
            over.set()

        held = start_eagerly(work())
        assert seen == ["first"]
        failing.set_exception(KeyError("x"))
        await asyncio.wait_for(over.wait(), 60)
        return seen, held

    assert asyncio.run(main())[0] == ["first", "thread"]


def test_each_exchange_over_a_kept_connection_has_its_own_time_limit():
    async def answer(reader, writer):
        for number in range(2):
            await reader.readuntil(b"\r\n\r\n")
            if number == 0:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await reader.read()  # until the client has gone
        writer.close()

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port, connections = server.sockets[0].getsockname()[1], AsyncConnections()
        try:
            assert (await connections.ask(port, "GET", "/", within=3600)).body == b"ok"
            with pytest.raises(TimedOut, match=r"within 0\.05 seconds"):
                await asyncio.wait_for(connections.ask(port, "GET", "/", within=0.05), 60)
        finally:
            connections.close()
            server.close()

    asyncio.run(main())
