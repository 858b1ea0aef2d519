"""`isthmus gateway` as a process: the how-to's and the compose file's commands, its workers, whose
pages may ask, how it ends.
"""

import contextlib
import http.client
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import yaml

from isthmus.endpoints.gateway.decide.live_document import LIVE
from isthmus.endpoints.gateway.log.streams import STREAMS
from isthmus.tests.cli.running import CHILD
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints import mini, shop
from isthmus.tests.endpoints.gateway.gateway_kit import deployed
from isthmus.tests.ui.chromium import MISSING, PROGRAM
from isthmus_stack.core.http.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("mini")) as folder:
        yield folder


class Running:
    """`isthmus gateway --json` as a process."""

    def __init__(self, folder, *options, descriptors=4096):
        code = (
            f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, "
            f"{descriptors})); {CHILD}"
        )
        self.log = Path(folder) / "gateway.log"
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-c", code, "gateway", "--port", "0", "--json", *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        text = ""
        while not text.endswith("}\n"):
            line = self.child.stdout.readline()
            assert line, self.log.read_text()
            text += line
        self.said = json.loads(text)
        self.url = self.said["url"]

    def get(self, path):
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def rank(self):
        return self.post("/rank", mini.REQUEST)

    def post(self, path, fields):
        request = urllib.request.Request(
            f"{self.url}{path}", json.dumps(fields).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read())

    def until_ready(self, workers):
        def ready():
            status, health = self.get("/health")
            return status == 200 and json.loads(health)["ready_workers"] == workers

        until(ready, what="readiness")

    def configs(self):
        """The version of experiments/live at each worker."""
        lines = self.get("/metrics")[1].splitlines()
        return [
            line.rpartition(" ")[2]
            for line in lines
            if line.startswith("isthmus_gateway_config_version{")
        ]

    def answered(self):
        return sum(
            int(line.rpartition(" ")[2])
            for line in self.get("/metrics")[1].splitlines()
            if line.startswith("isthmus_gateway_requests_total{") and 'status="200"' in line
        )

    def end(self):
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.communicate(timeout=60)


def documented():
    """The lines of the how-to."""
    text = (ROOT / "docs" / "how-to.md").read_text()
    block = text.partition(
        "<!-- tests/endpoints/gateway_http/test_gateway_process.py runs these lines -->\n```sh\n"
    )[2].partition("```")[0]
    first, *calls = block.splitlines()
    words = shlex.split(first)
    assert words[:2] == ["isthmus", "gateway"]
    assert words[-2:] == ["--port", "8800"], "a test takes a free one"
    return words[2:-2], calls


@pytest.fixture(scope="module")
def two(folder):
    running = Running(folder, *documented()[0])
    yield running
    running.end()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_how_to_is_answered_as_it_says(two):
    two.until_ready(2)
    calls = documented()[1]
    assert len(calls) == 6
    for call in calls:
        words = [word.replace("http://127.0.0.1:8800", two.url) for word in shlex.split(call)]
        done = subprocess.run(
            [*words, "--fail"], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, ""), call


def test_the_commands_of_the_compose_file_serve_with_a_token(folder):
    """As plain processes, on another port: there is no Docker where tests run."""
    compose = yaml.safe_load(
        (ROOT / "deploy" / "compose.yaml").read_text().replace("8800", str(free_port()))
    )
    services = compose["services"]
    assert services["gateway"]["network_mode"] == services["gateway"]["pid"] == "service:endpoint"
    assert (
        ROOT
        / "deploy"
        / services["gateway"]["build"]["context"]
        / services["gateway"]["build"]["dockerfile"]
    ).is_file()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ISTHMUS_TOKEN": "s3cret",
        "PROJECT": str(folder),
    }
    commands = [
        [
            re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word)
            for word in (*services[name]["entrypoint"], *services[name]["command"])
        ]
        for name in ("endpoint", "gateway")
    ]
    quiet = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "start_new_session": True,
    }
    children = [subprocess.Popen(words, cwd=folder, env=environment, **quiet) for words in commands]
    try:
        check = [sys.executable, *services["gateway"]["healthcheck"]["test"][2:]]
        until(
            lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0,
            what="the health check",
        )
        port = services["gateway"]["command"][services["gateway"]["command"].index("--port") + 1]
        assert token_status(port, {}) == 401
        assert token_status(port, {"x-api-key": "wrong"}) == 401
        assert token_status(port, {"authorization": "Bearer s3cret"}) == 200
        assert [child.poll() for child in children] == [None, None]
        children[1].terminate()
        assert children[1].wait(timeout=60) == 0
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait(timeout=60)


def token_status(port, headers):
    request = urllib.request.Request(
        f"http://localhost:{port}/rank",
        json.dumps(mini.REQUEST).encode(),
        {"content-type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


PAGE = b"""<html><body><script>
const ask = (name, headers) => fetch(TARGET + '/rank', {method: 'POST', mode: name, headers, body: REQUEST})
    .then(reply => name + ' ' + reply.type + ' ' + reply.status, () => name + ' refused');
Promise.all([ask('no-cors', {'content-type': 'text/plain'}), ask('cors', {'content-type': 'application/json'}),
             fetch(TARGET + '/ping', {mode: 'no-cors'}).then(() => 'reached')])
    .then(all => { document.body.textContent = all.join('; '); });
</script></body></html>"""


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_a_page_of_another_site_in_a_real_browser_ranks_nothing(two, folder):
    two.until_ready(2)
    page = PAGE.replace(b"TARGET", json.dumps(two.url).encode()).replace(
        b"REQUEST", json.dumps(json.dumps(mini.REQUEST)).encode()
    )

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    before = two.answered()
    shown = subprocess.run(
        [PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom", f"http://localhost:{site.server_port}/"],
        capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    site.shutdown()
    assert "no-cors opaque 0; cors refused; reached" in shown.stdout, shown.stdout + shown.stderr
    metrics = two.get("/metrics")[1]
    assert 'isthmus_gateway_requests_total{endpoint="",variant="",status="403"}' in metrics, (
        "it came, and was sent away"
    )
    assert two.answered() == before


def test_every_worker_takes_a_run_that_starts_and_lets_go_of_one_that_ends_without_a_restart(
    folder, two
):
    two.until_ready(2)
    with mini.opened(folder) as project:
        project.target.events.apply(STREAMS["assignments"])
        token = project.target.state.put(
            LIVE, msgspec.json.encode(shop.live(shop.run())), expect=None
        )
        until(lambda: two.configs() == ["12", "12"], what="the run at both workers")
        rankings = [two.rank() for _ in range(8)]
        assert [ranking["assignments"] for ranking in rankings] == 8 * [
            {"blend_up.1": shop.arm_of("v1")}
        ]
        token = project.target.state.put(
            LIVE, msgspec.json.encode(shop.live(version=13)), expect=token
        )
        until(lambda: two.configs() == ["13", "13"], what="its end at both workers")
        assert "assignments" not in two.rank()
        logged = {
            "SELECT count(DISTINCT event_id) AS n FROM exposures WHERE assignments IS NOT "
            "NULL AND config = 12": [{"n": sum(len(ranking["items"]) for ranking in rankings)}],
            "SELECT DISTINCT unit, run, arm, config FROM assignments": [
                {"unit": "v1", "run": "blend_up.1", "arm": shop.arm_of("v1"), "config": 12}
            ],
        }
        for sql, rows in logged.items():  # a worker delivers after it has answered
            until(
                lambda sql=sql, rows=rows: (
                    project.target.warehouse.query(sql, {}).to_pylist() == rows
                ),
                what=sql,
            )
        project.target.state.delete(LIVE, expect=token)


def test_figures_are_summed_over_workers_and_outlive_one_that_is_killed(two):
    two.until_ready(2)
    assert two.said["workers"] == 2
    before = two.answered()
    for _ in range(30):
        two.rank()
    assert two.answered() == before + 30
    workers = [
        int(pid)
        for pid in Path(f"/proc/{two.child.pid}/task/{two.child.pid}/children").read_text().split()
    ]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: "another is started" in two.log.read_text(), what="the supervisor's notice")
    two.until_ready(2)
    assert two.answered() == before + 30
    two.rank()
    assert two.answered() == before + 31


def test_sigterm_under_load_finishes_what_is_under_way_and_delivers_what_was_answered(two, folder):
    two.until_ready(2)
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answers.append(two.rank())

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(ask)
        until(lambda: len(answers) >= 40, what="forty answers")
        two.child.send_signal(signal.SIGTERM)
        code = two.child.wait(timeout=120)
        stop.set()
    assert code == 0, two.log.read_text()
    assert "stopping 2 workers" in two.log.read_text()
    with mini.opened(folder) as project:
        stored = (
            project.target.warehouse.query("SELECT event_id FROM exposures", {})
            .column("event_id")
            .to_pylist()
        )
    ids = {event_id.rpartition("-")[0] for event_id in stored}
    assert [answer["request_id"] for answer in answers if answer["request_id"] not in ids] == []


def test_hundreds_of_idle_connections_lock_nobody_out_of_few_descriptors_and_a_second_signal_ends_it_at_once(
    folder,
):
    running = Running(folder, descriptors=128)
    try:
        host, port = running.url.removeprefix("http://").split(":")
        until(lambda: running.get("/ping")[0] == 200, what="the gateway")
        idle = [socket.create_connection((host, int(port))) for _ in range(300)]
        assert running.get("/ping")[0] == 200
        assert running.rank()["items"]
        assert running.post("/assign", {"visitor_id": "v1"}) == {
            "assignments": {},
            "parameters": {},
            "config": None,
        }
        assert running.post("/track", {"event": "click", "impression_id": "i1", "item_id": 2}) == {
            "accepted": 1,
            "rejected": [],
        }
        for connection in idle:
            connection.close()
        maps = Path(f"/proc/{running.child.pid}/maps").read_text()
        assert "duckdb" not in maps
        assert "pyarrow" not in maps
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                b"POST /rank HTTP/1.1\r\nhost: localhost\r\ncontent-type: "
                b"application/json\r\ncontent-length: 9\r\n\r\n{"
            )
            until(lambda: len(running.get("/metrics")[1]) > 0, what="metrics")
            running.child.send_signal(signal.SIGTERM)
            until(
                lambda: "stopping: what is under way is finished" in running.log.read_text(),
                what="the notice",
            )
            assert running.child.poll() is None, "a request is under way"
            running.child.send_signal(signal.SIGTERM)
            assert running.child.wait(timeout=60) == 128 + signal.SIGTERM
    finally:
        running.end()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_ends_a_gateway_whose_output_nobody_reads_any_more(folder, workers):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, "gateway", "--port", "0", "--json", "--workers", workers],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        text = b""
        while b"ready after" not in text:
            line = child.stdout.readline()
            assert line, text
            text += line
        child.stdout.close()
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=120) == 0
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def test_workers_end_when_their_supervisor_is_killed(folder):
    running = Running(folder, "--workers", "2")
    try:
        until(lambda: running.get("/ping")[0] == 200, what="the gateway")
        os.kill(running.child.pid, signal.SIGKILL)
        until(lambda: running.get("/ping")[0] == 0, what="the end of the workers")
    finally:
        running.end()
