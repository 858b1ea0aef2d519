"""What is read once of equal heads, of requests and of a model's answers, and what has to be parsed
each time.
"""

import asyncio
import socket

import pytest

from isthmus_stack.gcp.core.server import heads
from isthmus_stack.serving.connections import whole_answer
from isthmus_stack.serving.reply import Reply

POST = b"POST /v1/x?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"


def test_a_head_that_has_been_read_says_the_same_again_and_leaves_the_body():
    head, body = heads.read_head(POST + b"{}")
    assert (head.method, head.host, head.path, head.query_lists) == (
        "POST",
        "localhost",
        "/v1/x",
        {"a": ["1"]},
    )
    assert (head.headers["host"], head.size, head.keep, head.programs, body) == (
        "localhost",
        2,
        True,
        True,
        b"{}",
    )
    assert heads.read_head(POST)[0] is head
    assert not heads.read_head(POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))[0].keep
    assert not heads.read_head(POST.replace(b"localhost", b"other.example"))[0].programs
    assert not heads.read_head(POST.replace(b"\r\n\r\n", b"\r\nOrigin: http://localhost\r\n\r\n"))[
        0
    ].programs


@pytest.mark.parametrize(
    "data",
    [
        POST[:-2],
        POST.replace(b"POST", b"GET"),
        POST.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 2\r\nExpect: 100-continue"),
        POST.replace(b"Content-Length: 2", b"Content-Length: 100000"),
        POST.replace(b"Content-Length: 2", b"X: y"),
        POST.replace(b"localhost", b"x" * 5000),
        POST.replace(b"/v1/x?a=1", b"http://:x/"),
        b"\r\n" + POST,
    ],
)
def test_a_head_that_says_more_than_the_size_of_a_small_body_is_parsed(data):
    assert heads.read_head(data) is None


def test_an_answer_of_a_known_head_is_whole_only_with_its_whole_body():
    data = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX: y\r\n\r\nok"
    answer = whole_answer(data)
    assert (answer.status, answer.headers["x"], answer.body, answer.keep) == (200, "y", b"ok", True)
    assert whole_answer(data[:-1]) is None
    assert whole_answer(data + b"!") is None
    assert whole_answer(b"HTTP/1.1 100 Continue\r\n\r\n") is None
    assert (
        whole_answer(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
        )
        is None
    )
    assert whole_answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n") is None
    assert whole_answer(b"nonsense\r\n\r\n") is None


def test_requests_that_come_in_any_pieces_are_answered_in_their_order(gcp):
    """Each is a POST that nobody answers to, so its answer names it."""
    several = b"".join(
        b"POST /storage/v1/%d HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n%s" % (number, size, body)
        for number, (size, body) in enumerate(
            [
                (b"Content-Length: 3", b"abc"),
                (b"Content-Length: 0", b""),
                (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
            ]
            * 2
        )
    )
    host, port = gcp.url.removeprefix("http://").split(":")
    for step in (1, 7, 61, len(several)):
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(several), step):
                client.sendall(several[at : at + step])
            answers = b""
            while answers.count(b"HTTP/1.1 501") < 6 or b"/storage/v1/5 " not in answers:
                data = client.recv(65536)
                assert data, answers
                answers += data
        places = [answers.index(b"POST /storage/v1/%d " % number) for number in range(6)]
        assert places == sorted(places)


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_first_line_that_is_no_url_is_answered_400(gcp, method):
    host, port = gcp.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(
            b"%s http://:x/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" % method
        )
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_who_waits_for_a_reply_goes_on_within_the_call_that_brings_it_and_a_task_can_be_cancelled():
    async def main():
        loop, seen = asyncio.get_running_loop(), []

        async def wait(reply):
            seen.append(await reply)

        first, second = Reply(loop), Reply(loop)
        tasks = [loop.create_task(wait(first)), loop.create_task(wait(second))]
        await asyncio.sleep(0)
        loop.call_soon(lambda: (first.set_result("answer"), seen.append("after")))
        await tasks[0]
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        return seen, second.cancel()

    assert asyncio.run(main()) == (["answer", "after"], False)
