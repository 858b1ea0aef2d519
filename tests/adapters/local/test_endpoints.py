"""The local endpoint's own promises: processes that outlive, die and come back; splits that hold
under load.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from scipy.stats import chisquare

from isthmus.adapters import targets
from isthmus.adapters.local.endpoints import supervision
from isthmus.adapters.local.endpoints.client import Client
from isthmus.adapters.local.processes import members
from isthmus.core.user_state import make
from isthmus.endpoints.port import Window
from isthmus.errors import (
    Busy,
    Invalid,
    IsthmusError,
    ModelError,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from isthmus.storage import wait
from isthmus.target import Profile
from isthmus.tests.conformance.toy_models import (
    endpoint,
    register,
    remove_endpoints,
    settled,
    until,
    variant,
)

pytestmark = pytest.mark.slow


def opened(home):
    return targets.load(
        Profile(name="local", adapter="local", project="conf", options={"home": str(home)})
    )


@pytest.fixture
def home(tmp_path):
    return tmp_path / ".isthmus"


@pytest.fixture
def target(home):
    target = opened(home)
    yield target
    group = _supervisor(home).group if _supervisor(home) else 0
    remove_endpoints(target)
    target.close()
    if group:
        until(lambda: not members(group), what="the end of all processes of the deleted endpoint")


def _supervisor(home):
    return supervision.address(home, "ranker")


def _report(home):
    found = _supervisor(home)
    client = Client(found.port)
    try:
        return {v.name: v for v in supervision.ask(client, found, follow=False).variants}
    finally:
        client.close()


def deployed(target, folder):
    target.endpoints.apply(
        endpoint(
            variant(register(target, folder, 1.0), "champion"),
            variant(register(target, folder, 2.0), "challenger"),
        )
    )
    state = settled(target)
    assert state.phase == "ready", state.failure
    return target.endpoints


@pytest.fixture
def serving(target, tmp_path):
    return deployed(target, tmp_path)


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """The host and the router's port of an endpoint that its tests leave as it is, but for the
    split.
    """
    folder = tmp_path_factory.mktemp("steady")
    target = opened(folder / ".isthmus")
    yield deployed(target, folder), _supervisor(folder / ".isthmus").port
    remove_endpoints(target)
    target.close()


def shift(host, champion):
    share = Decimal(str(champion))
    host.shift(
        "ranker",
        {"champion": share, "challenger": 100 - share},
        expect=host.observe("ranker").token,
    )


def test_an_endpoint_outlives_the_command_that_made_it(home, tmp_path, target):
    script = tmp_path / "made.py"
    script.write_text(
        "from pathlib import Path\n"
        "from isthmus.adapters import targets\n"
        "from isthmus.target import Profile\n"
        "from isthmus.tests.conformance.toy_models import endpoint, register, variant\n"
        "t = targets.load(Profile(name='local', adapter='local', project='conf', "
        f"options={{'home': {str(home)!r}}}))\n"
        f"t.endpoints.apply(endpoint(variant(register(t, Path({str(tmp_path)!r}), 1.0), "
        "'champion')))\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=120)
    assert settled(target).phase == "ready"
    assert target.endpoints.invoke(
        "ranker", [{"x": 1}], variant=None, request_id="q"
    ).predictions == (2.0,)


def test_the_split_is_what_it_says(steady):
    """Chi-square of 6,000 calls at 70/30: a right router fails once in 100,000 runs."""
    host, _ = steady
    shift(host, 70)
    counts = Counter(
        host.invoke("ranker", [{"x": 1}], variant=None, request_id="q").variant for _ in range(6000)
    )
    assert chisquare([counts["champion"], counts["challenger"]], [4200, 1800]).pvalue > 1e-5


def test_weights_change_under_load_without_a_failed_call(steady):
    host, _ = steady
    stop = threading.Event()

    def load():
        done = 0
        while not stop.is_set():
            assert host.invoke("ranker", [{"x": 1}], variant=None, request_id="q").predictions in (
                (2.0,),
                (3.0,),
            )
            done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        callers = [pool.submit(load) for _ in range(4)]
        for share in (90, 50, 0, 100, 33.33, 10):
            shift(host, share)
            assert host.observe("ranker").variants[0].percent == Decimal(str(share)), "at once"
        stop.set()
        assert sum(caller.result() for caller in callers) > 20


def test_a_killed_variant_comes_back_and_is_not_replaced_meanwhile(serving, home, target):
    """kill -9 under load: only what that process worked at fails, no call goes elsewhere, and who
    asks meanwhile waits for its return.
    """
    shift(serving, 50)
    killed, stop, seen, failures = [], threading.Event(), [], []

    def load():
        while not stop.is_set():
            try:
                seen.append(
                    serving.invoke("ranker", [{"x": 1}], variant=None, request_id="q").variant
                )
            except (Unavailable, OutcomeUnknown) as error:
                failures.append(str(error))

    def failure_of_a_kill():
        """Told until another process is ready, which may be quicker than a busy machine looks: then
        that one is killed.
        """
        challenger = _report(home)["challenger"]
        if challenger.phase == "ready" and challenger.pid not in killed:
            killed.append(challenger.pid)
            os.kill(challenger.pid, signal.SIGKILL)
        return serving.observe("ranker").failure

    caller = threading.Thread(target=load)
    caller.start()
    try:
        failure = until(failure_of_a_kill, what="the failure")
        assert "challenger (ranker@2)" in failure
        assert "SIGKILL" in failure
        until(lambda: serving.observe("ranker").phase == "ready", what="the restart")
    finally:
        stop.set()
        caller.join()
    after = _report(home)["challenger"]
    assert after.pid not in killed
    assert after.restarts == len(killed)
    assert all("challenger" in text for text in failures), "the champion failed nobody"
    assert serving.invoke(
        "ranker", [{"x": 1}], variant="challenger", request_id="q"
    ).predictions == (3.0,)
    log = target.logs.tail("endpoints/ranker/challenger")
    assert any("SIGKILL" in line for line in log.lines)


def test_two_applies_at_once_start_one_supervisor(home, tmp_path, target):
    spec = endpoint(variant(register(target, tmp_path, 1.0), "champion"))
    others = [opened(home) for _ in range(4)]

    def apply(one):
        try:
            one.endpoints.apply(spec)
        except IsthmusError as error:
            return error
        return None

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(apply, others))
    assert None in outcomes
    assert settled(target).phase == "ready"
    command = ["pgrep", "-fc", f"isthmus.adapters.local.supervisor --home {home}"]
    assert (
        subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip() == "1"
    )
    for one in others:
        one.close()


def test_a_variant_that_does_not_load_says_why_and_gets_no_traffic(target, tmp_path):
    spec = endpoint(
        variant(register(target, tmp_path, 1.0), "champion"),
        variant(register(target, tmp_path, 2.0, breaks=True), "challenger"),
    )
    target.endpoints.apply(spec)
    state = settled(target)
    assert state.phase == "failed"
    assert "challenger (ranker@2), process" in state.failure
    assert "does not load" in state.failure
    champion = until(
        lambda: (v := target.endpoints.observe("ranker").variants[0]).phase == "ready" and v
    )
    assert champion.name == "champion"
    with pytest.raises(Busy, match="challenger is not ready"):
        shift(target.endpoints, 90)
    assert (
        target.endpoints.invoke("ranker", [{"x": 1}], variant=None, request_id="q").variant
        == "champion"
    )


def test_a_folder_that_was_altered_is_not_served(target, tmp_path, home):
    version = register(target, tmp_path, 1.0)
    (home / "models" / "ranker" / version.digest / "attributes.json").write_text('{"value": 9}')
    target.endpoints.apply(endpoint(variant(version, "champion")))
    state = settled(target)
    assert state.phase == "failed"


def post(port, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(
        "POST", "/invocations", body, {"content-type": "application/json", **headers}
    )
    response = connection.getresponse()
    found = response.status, json.loads(response.read()), dict(response.getheaders())
    connection.close()
    return found


def test_the_router_speaks_plain_http(steady):
    _, port = steady
    status, body, headers = post(
        port, b'{"instances": [{"x": 1}]}', **{"X-Amzn-SageMaker-Target-Variant": "challenger"}
    )
    assert (status, body) == (200, {"predictions": [3.0]})
    assert headers["x-amzn-invoked-production-variant"] == "challenger"
    assert post(port, b"{not json")[0] == 400
    assert (
        post(port, b'{"instances": [{"x": 1}]}', **{"X-Amzn-SageMaker-Target-Variant": "nobody"})[0]
        == 400
    )
    status, body, _ = post(port, b"a" * 6_291_457)
    assert status == 413
    assert "6,291,456" in body["message"]


def test_pipelined_and_chunked_requests_are_answered_in_order(steady):
    _, port = steady
    body = b'{"instances": [{"x": %d}]}'
    target = b"content-type: application/json\r\nx-amzn-sagemaker-target-variant: champion\r\n"
    requests = b"".join(
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\n%scontent-length: %d\r\n\r\n%s"
        % (target, len(body % n), body % n)
        for n in range(20)
    )
    chunk = body % 99
    requests += (
        b"POST /invocations HTTP/1.1\r\nhost: localhost\r\n%stransfer-encoding: "
        b"chunked\r\nconnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (
            target,
            len(chunk),
            chunk,
        )
    )
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(requests)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    values = [
        json.loads(part.split(b"\r\n\r\n", 1)[1])["predictions"][0]
        for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    ]
    assert values == [1.0 + n for n in (*range(20), 99)]


def test_what_is_not_http_is_answered_and_closed(steady):
    _, port = steady
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        assert connection.recv(65536) == b""


def test_control_routes_need_the_key(steady):
    _, port = steady
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/_isthmus/follow", headers={"x-isthmus-key": "guess"})
    assert connection.getresponse().status == 403
    connection.close()


def test_an_answer_that_is_too_short_or_not_finite_is_the_models_error(steady):
    host, _ = steady
    for row, words in (
        ({"short": True}, "1 predictions for 2 instances"),
        ({"nan": True}, "not a finite number"),
    ):
        with pytest.raises(ModelError) as error:
            host.invoke("ranker", [row, row], variant=None, request_id="q")
        assert error.value.status == 500
        assert words in error.value.body


def test_metrics_count_what_the_router_answered_to_the_millisecond(serving, target, home):
    """Percentiles are exact: they are those of the log's own lines."""
    begun = datetime.now(UTC)
    for number in range(50):
        serving.invoke("ranker", [{"x": number}], variant="champion", request_id="q")
    start = begun.replace(second=0, microsecond=0)
    end = start + timedelta(minutes=2)
    target.clock = lambda: end
    buckets = target.metrics.read("ranker", Window(start=start, end=end))["champion"]
    lines = [
        line.split(",")
        for file in (home / "endpoints/ranker/requests").iterdir()
        for line in file.read_text().split()
    ]
    assert sum(b.requests for b in buckets) == len(lines) == 50
    if len(buckets) == 1:
        times = sorted(int(line[3]) / 1000 for line in lines)
        assert buckets[0].p50_ms == pytest.approx((times[24] + times[25]) / 2)
        assert buckets[0].mean_ms == pytest.approx(sum(times) / 50)


def test_logs_are_read_from_the_end_and_followed(target, home):
    path = make(home / "endpoints" / "ranker" / "logs") / "champion.log"
    path.write_text("".join(f"line {n}\n" for n in range(20_000)))
    page = target.logs.tail("endpoints/ranker/champion", limit=3)
    assert page.lines == ("line 19997", "line 19998", "line 19999")
    with path.open("a") as file:
        file.write("new\nhalf a li")
    page = target.logs.tail("endpoints/ranker/champion", after=page.cursor)
    assert page.lines == ("new",)
    assert target.logs.tail("endpoints/ranker/champion", after=page.cursor).lines == ()
    with pytest.raises(NotFound):
        target.logs.tail("endpoints/ranker/nobody")
    with pytest.raises(Invalid):
        target.logs.tail("../../etc/passwd")


def test_a_deleted_endpoint_leaves_nothing_and_its_name_can_be_used_again(
    serving, target, home, tmp_path
):
    token = serving.observe("ranker").token
    remove_endpoints(target)
    assert serving.observe("ranker") is None
    assert not (home / "endpoints" / "ranker").exists()
    with pytest.raises(
        (NotFound, Unavailable, OutcomeUnknown)
    ):  # the last: its ending process still has the socket
        serving.invoke("ranker", [{"x": 1}], variant=None, request_id="q")
    serving.apply(endpoint(variant(register(target, tmp_path, 5.0), "champion")))
    state = wait(
        lambda: serving.observe("ranker"),
        lambda s: s.phase == "ready",
        deadline=timedelta(seconds=120),
    )
    assert state.token != token
    assert serving.invoke("ranker", [{"x": 1}], variant=None, request_id="q").predictions == (6.0,)
