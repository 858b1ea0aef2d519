"""One POST a transition, with an id; a webhook that is down changes nothing else."""

import json
import socket
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from isthmus.errors import Unavailable
from isthmus.rollouts import announcements as telling
from isthmus.rollouts import controller, notices
from isthmus.rollouts.rehearsal.player import play
from isthmus.rollouts.rehearsal.rehearse import plan_of, setting
from isthmus.rollouts.rehearsal.scenario_file import read
from isthmus.rollouts.state import documents
from isthmus.tests.rollouts.scenario_files import ENDPOINT, FILES, ROLLOUT
from isthmus.tests.rollouts.scene import LOCAL, MINUTE, Scene, plan

VARIABLE = "ROLLOUT_WEBHOOK"


@pytest.fixture
def webhook(monkeypatch):
    """A server that keeps what it is sent; `answers` are the statuses that it gives, the last one
    again and again.

    It is waited for as long as it takes: a machine that stands still for 5 s is no webhook that is
    down.
    """
    monkeypatch.setattr(notices, "TIMEOUT", 120.0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = (
                self.server.answers.pop(0)
                if len(self.server.answers) > 1
                else self.server.answers[0]
            )
            self.server.seen.append((status, self.headers["Idempotency-Key"], json.loads(body)))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answers, server.seen = [204], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{server.server_address[1]}/hook")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ended(name="second_controller", **fields):
    """A rollout that was played to its end: its state as it is stored, and the ports of its world."""
    scenario = read(next(path for path in FILES if path.stem == name), {"ranker": ROLLOUT})
    planned = msgspec.structs.replace(
        plan_of(ROLLOUT, ENDPOINT, LOCAL), **{"webhook_env": VARIABLE} | fields
    )
    place = setting(scenario, planned, LOCAL)
    result = play(scenario, planned, "ranker", place)
    return result, place.ports(), place.now()


def stored(ports):
    return documents.read(ports.state, "ranker").state


def test_each_transition_is_posted_once_in_its_order_with_an_id(webhook):
    result, ports, now = ended()
    for _ in range(3):
        assert not notices.deliver(ports.state, stored(ports), now).problems
    expected = [entry for entry in result.entries if entry.what in notices.NOTABLE]
    assert (
        [body["what"] for _, _, body in webhook.seen]
        == [entry.what for entry in expected]
        == ["started", "aborted"]
    )
    assert (
        [name for _, name, _ in webhook.seen]
        == [f"ro1/{entry.seq}" for entry in expected]
        == [body["id"] for _, _, body in webhook.seen]
    )
    assert webhook.seen[0][2]["endpoint"] == "ranker"


def test_what_is_not_taken_is_tried_again_and_nothing_else_waits(webhook):
    webhook.answers = [500, 302, 204]
    _, ports, now = ended()
    for attempt in (500, 302):
        tried = notices.deliver(ports.state, stored(ports), now)
        assert tried.owing
        assert str(attempt) in tried.problems[0]
    assert notices.deliver(ports.state, stored(ports), now) == notices.Delivery()
    assert [(status, body["what"]) for status, _, body in webhook.seen] == [
        (500, "started"), (302, "started"), (204, "started"), (204, "aborted"),
    ]  # fmt: skip


def test_it_is_tried_for_an_hour(webhook):
    webhook.answers = [503]
    _, ports, now = ended()
    assert notices.deliver(ports.state, stored(ports), now).owing
    later = notices.deliver(ports.state, stored(ports), now + notices.TRIED)
    assert later == notices.Delivery()
    assert len(webhook.seen) == 1
    assert stored(ports).notified == stored(ports).seq


def test_who_died_before_writing_it_down_posts_it_again_under_the_same_id(webhook):
    _, ports, now = ended()
    state = stored(ports)
    put = ports.state.put
    ports.state.put = _dies
    with pytest.raises(KeyboardInterrupt):
        notices.deliver(ports.state, state, now)
    ports.state.put = put
    notices.deliver(ports.state, stored(ports), now)
    names = [name for _, name, _ in webhook.seen]
    assert len(names) == 4
    assert names[:2] == names[2:]


def _dies(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "holds no URL on this machine"),
        ("http://example.com/x", "only https"),
        ("ftp://127.0.0.1/x", "only https"),
        ("nonsense", "holds no URL"),
    ],
)
def test_only_https_or_this_machine_itself(monkeypatch, url, words):
    monkeypatch.setenv(VARIABLE, url)
    _, ports, now = ended()
    tried = notices.deliver(ports.state, stored(ports), now)
    assert tried.owing
    assert words in tried.problems[0]


@pytest.mark.parametrize("url", ["https://[abc", "http://127.0.0.1/a hook"])
def test_what_is_no_url_is_a_problem_of_the_look_and_not_its_end(monkeypatch, url):
    _, ports, now = ended()
    monkeypatch.setenv(VARIABLE, url)
    delivery = notices.deliver(ports.state, stored(ports), now)
    assert (delivery.owing, len(delivery.problems)) == (True, 1)


def test_a_server_that_does_not_speak_http_is_one_too(monkeypatch):
    _, ports, now = ended()
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{server.getsockname()[1]}/")

        def answer():
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.sendall(b"220 mail.example ready\r\n")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        delivery = notices.deliver(ports.state, stored(ports), now)
        thread.join()
    assert delivery.owing


def test_without_a_webhook_nothing_is_read_or_written():
    _, ports, now = ended(webhook_env=None)
    before = stored(ports)
    assert notices.deliver(ports.state, before, now) == notices.Delivery()
    assert stored(ports) == before


def test_at_the_end_the_page_is_written_whether_or_not_a_webhook_answers(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    result, ports, now = ended()

    def down(*_):
        raise Unavailable("down")

    delivery = telling.tell(ports, stored(ports), now, post=down)
    assert delivery.owing
    uris = [
        blob.uri for blob in ports.blobs.list(ports.blobs.root) if blob.uri.endswith("report.html")
    ]
    assert uris == ["world://blobs/rollouts/ranker/ro1/report.html"]
    assert (
        telling.tell(ports, stored(ports), now + 2 * 60 * MINUTE, post=down) == notices.Delivery()
    )
    assert result.end == "aborted"


def test_a_page_that_cannot_be_drawn_holds_up_no_notice_and_is_tried_for_an_hour(webhook):
    _, ports, now = ended()
    uri = documents.minutes_uri(
        ports.blobs, msgspec.structs.replace(stored(ports), phase="baking", stage=9)
    )
    ports.blobs.put(uri, b"{}")
    tried = telling.tell(ports, stored(ports), now)
    assert (tried.owing, "damaged" in tried.problems[0]) == (True, True)
    assert [body["what"] for _, _, body in webhook.seen] == ["started", "aborted"]
    later = telling.tell(ports, stored(ports), now + notices.TRIED)
    assert (later.owing, later.problems) == (False, tried.problems)


def test_a_webhook_that_does_not_answer_is_asked_once_a_minute_by_who_drives(webhook):
    """The looks go on as they would without it, and it hears of everything in the end."""
    webhook.answers = [503, 503, 204]
    first, *rest = plan().stages
    scene = Scene(
        LOCAL, webhook_env=VARIABLE, stages=(msgspec.structs.replace(first, pause=True), *rest)
    )
    tries = []

    def sleep(seconds):
        if seconds:
            tries.append(len(webhook.seen))
        scene.world.advance(timedelta(seconds=seconds))

    controller.drive(
        scene.ports(),
        "ranker",
        holder="a",
        clock=scene.world.now,
        until=lambda _result: len(webhook.seen) == 3 or len(tries) > 500,
        sleep=sleep,
    )
    assert [(status, body["what"]) for status, _, body in webhook.seen] == [
        (503, "waiting"),
        (503, "waiting"),
        (204, "waiting"),
    ]
    assert tries.count(1) == tries.count(2) == 6, (
        "six looks, ten seconds apart, lie between two tries"
    )
