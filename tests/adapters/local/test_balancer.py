"""Which process of a variant gets a request, who waits, and for how long.

The processes are servers in this one, which answer when told.
"""

import asyncio
import time

from isthmus.adapters.local.endpoints.backend import VariantProcess
from isthmus.adapters.local.endpoints.balancer import Balancer
from isthmus.tests.adapters.local.balancer_kit import ask


class Server:
    """One process of a variant: keeps each request until it is told what to answer."""

    def __init__(self, balancer):
        self.hung = 0
        self.backend = VariantProcess(balancer, hung=self._hung)
        balancer.add(self.backend)
        self.asked = []
        self.writers = []

    def _hung(self):
        self.hung += 1

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.backend.open(self.server.sockets[0].getsockname()[1])

    async def _serve(self, reader, writer):
        self.writers.append(writer)
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            self.asked.append(await reader.readexactly(size))

    def answer(self, status=200, body=b"{}"):
        self.writers[-1].write(
            b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)
        )

    def die(self):
        self.backend.close("it was killed", returns=True)
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()


async def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def run(scenario, **limits):
    async def live():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda *_: None
        )  # the servers' readers end with their connections
        balancer = Balancer("champion", 3, **limits)
        await scenario(balancer)

    asyncio.run(live())


def test_a_process_has_one_request_at_a_time_and_the_others_go_to_whoever_is_free_first():
    async def scenario(balancer):
        one, two = Server(balancer), Server(balancer)
        await one.start()
        await two.start()
        answers = [ask(balancer, b"%d" % number)[0] for number in range(4)]
        await until(lambda: one.asked and two.asked)
        assert (one.asked, two.asked) == ([b"0"], [b"1"])
        for number in (2, 3):
            two.answer()
            await until(lambda number=number: len(two.asked) == number)
        assert two.asked == [b"1", b"2", b"3"], "while the first still works at its own"
        two.answer()
        one.answer()
        await until(lambda: all(answers))
        assert [answer.status for (answer,) in answers] == [200] * 4
        assert answers[0][0].headers == (
            (b"x-amzn-invoked-production-variant", b"champion"),
            (b"x-isthmus-version", b"3"),
        )

    run(scenario)


def test_what_a_process_worked_at_when_it_died_fails_and_what_waited_is_answered_by_the_next():
    async def scenario(balancer):
        server = Server(balancer)
        await server.start()
        lost, waiting = ask(balancer, b"lost")[0], ask(balancer, b"waiting")[0]
        await until(lambda: server.asked)
        server.die()
        await until(lambda: lost)
        assert lost[0].status == 502
        assert (b"x-isthmus-error", b"lost") in lost[0].headers
        assert not waiting
        await server.start()
        await until(lambda: len(server.asked) == 2)
        server.answer()
        await until(lambda: waiting)
        assert (waiting[0].status, server.asked) == (200, [b"lost", b"waiting"])

    run(scenario, return_wait=60.0)


def test_while_no_process_runs_a_request_waits_for_the_return_and_no_longer():
    async def scenario(balancer):
        server = Server(balancer)
        answers, _ = ask(balancer)
        await until(lambda: answers)
        assert answers[0].status == 503
        assert b"it is starting" in answers[0].body
        server.backend.close("it does not load", returns=False)
        at_once, _ = ask(balancer)
        assert at_once[0].status == 503
        assert b"it does not load" in at_once[0].body

    run(scenario, return_wait=0.1)


def test_who_waits_when_the_return_is_given_up_is_told_at_once():
    async def scenario(balancer):
        server = Server(balancer)
        answers, _ = ask(balancer)
        server.backend.close("it does not load", returns=False)
        assert answers[0].status == 503

    run(scenario, return_wait=60.0)


def test_a_prediction_that_hangs_is_504_at_its_time_out_and_its_process_is_given_up():
    async def scenario(balancer):
        server, other = Server(balancer), Server(balancer)
        await server.start()
        await other.start()
        hanging, _ = ask(balancer)
        await until(lambda: server.asked)
        good, _ = ask(balancer)
        await until(lambda: other.asked)
        other.answer()
        await until(lambda: good)
        assert (good[0].status, hanging) == (200, [])
        balancer.timeout = (
            0.3  # an hour before: the good answer may take as long as a busy machine needs
        )
        await until(lambda: hanging)
        assert hanging[0].status == 504
        assert b"did not answer within 0.3 s" in hanging[0].body
        await until(lambda: server.hung)
        assert (server.hung, other.hung) == (1, 0)

    run(scenario, timeout=3600)


def test_who_waits_for_a_busy_variant_is_told_so_and_who_has_gone_is_passed_over():
    async def scenario(balancer):
        server = Server(balancer)
        await server.start()
        first, _ = ask(balancer, b"first")
        await until(lambda: server.asked)
        second, _ = ask(balancer, b"second")
        third, left = ask(balancer, b"left")
        left.caller.gone = True
        server.answer()
        await until(lambda: len(server.asked) == 2)
        assert server.asked == [b"first", b"second"]
        fourth, _ = ask(balancer, b"fourth")
        balancer.timeout = balancer.return_wait = 0.1
        await until(lambda: second and fourth)
        assert first[0].status == 200
        assert second[0].status == 504
        assert fourth[0].status == 503
        assert b"it needs more instances" in fourth[0].body
        assert not third, "whoever asked has gone"

    run(scenario, timeout=3600, return_wait=3600)


def test_an_answer_above_the_limit_is_refused_and_the_process_serves_on():
    async def scenario(balancer):
        server = Server(balancer)
        await server.start()
        answers, _ = ask(balancer)
        await until(lambda: server.asked)
        server.answer(body=b"x" * 2000)
        await until(lambda: answers)
        assert answers[0].status == 502
        assert b"answered more than 1,000 bytes" in answers[0].body
        good, _ = ask(balancer)
        await until(lambda: len(server.asked) == 2)
        server.answer()
        await until(lambda: good)
        assert good[0].status == 200

    run(scenario, max_answer=1000)
