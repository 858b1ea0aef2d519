"""The gateway as a service: what it answers, who may ask, what it counts, how it ends."""

import asyncio
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

import jsonschema
import msgspec
import pytest
import yaml
from openapi_spec_validator import OpenAPIV31SpecValidator

from isthmus.endpoints.asgi import of_environment
from isthmus.endpoints.deploy import deploy
from isthmus.endpoints.door import door
from isthmus.endpoints.gateway import application as asgi
from isthmus.endpoints.gateway.application import MAX_BYTES, Application
from isthmus.endpoints.gateway.live_document import LIVE
from isthmus.endpoints.gateway.sample import Sampler
from isthmus.endpoints.gateway.service import Service
from isthmus.endpoints.gateway.service import served as served_names
from isthmus.endpoints.gateway.streams import STREAMS
from isthmus.errors import Invalid
from isthmus.tests.cli.running import CHILD, isthmus
from isthmus.tests.conformance.toy_models import remove_endpoints, until
from isthmus.tests.endpoints import mini, shop

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
JSON = {"host": "localhost:8800", "content-type": "application/json"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = mini.filled(tmp_path_factory.mktemp("mini"))
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        deploy(project, "ranker")
        yield folder
        remove_endpoints(project.target)
    sys.modules.pop("mini_ranker", None)


class Caller:
    """An application without a server, on a loop that goes on between requests."""

    def __init__(self, application):
        self.application = application
        self.loop = asyncio.new_event_loop()

    def ask(self, method, path, body=b"", headers=JSON, server=("127.0.0.1", 8800)):
        sent = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "server": server,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()] if isinstance(headers, dict) else headers,
        }
        parts = [body[at : at + 65_536] for at in range(0, len(body), 65_536)] or [b""]

        async def receive():
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message):
            sent.append(message)

        self.loop.run_until_complete(self.application({**scope}, receive, send))
        text = b"".join(message.get("body", b"") for message in sent[1:])
        kind = dict(sent[0]["headers"])[b"content-type"]
        return sent[0]["status"], json.loads(text) if kind == b"application/json" else text.decode()

    def rank(self, request, **changed):
        return self.ask("POST", "/rank", request if isinstance(request, bytes) else json.dumps(request).encode(), **changed)

    def ready(self):
        self.loop.run_until_complete(self.application.warmed())

    def close(self):
        self.loop.run_until_complete(self.application.close())
        self.loop.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def caller(folder, shared):
    project = mini.opened(folder)
    sampler = Sampler(project=str(folder / "project.yaml"), folder=str(shared))
    made = Application(lambda: Service(project, (), folder=shared, slot=0, sampler=sampler), door(listen="127.0.0.1"))
    caller = Caller(made)
    assert caller.ask("GET", "/ping") == (200, {"status": "alive"})
    status, health = caller.ask("GET", "/health")
    assert (status, health["endpoints"]["ranker"]["problem"]) == (503, "it is warming up")
    caller.ready()
    yield caller
    caller.close()


def test_it_ranks_and_its_answer_is_as_its_document_says(caller):
    status, ranking = caller.rank(mini.REQUEST)
    assert (status, len(ranking["items"])) == (200, 3)
    assert caller.rank({**mini.REQUEST, "endpoint": "ranker"})[0] == 200
    status, document = caller.ask("GET", "/openapi.json")
    assert status == 200
    OpenAPIV31SpecValidator(document).validate()
    schemas = document["components"]["schemas"]

    def valid(value, name):
        return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]}).is_valid(
            value
        )

    assert valid(ranking, "Ranking")
    assert schemas["RankerRequest"]["oneOf"][0]["title"] == "rank items"
    assert valid(caller.ask("GET", "/health")[1], "Health")
    for request in (
        mini.REQUEST,
        {"visitor_id": 7, "segment_id": "a", "item_id": [1], "position": 2},
        {"visitor_id": "v", "segment_id": "a", "item_id": [1], "position": "first"},
        {"visitor_id": "v", "segment_id": "a", "item_id": list(range(1001))},
        {**mini.REQUEST, "endpoint": "other"},
        {**mini.REQUEST, "nothing": 1},
        {**mini.REQUEST, "slots": 0},
        {**mini.REQUEST, "item_id": []},
        {**mini.REQUEST, "item_id": ["1"]},
        {"segment_id": "a", "item_id": [1]},
        {"visitor_id": "v", "segment_id": "a", "item_id": 1},
    ):
        assert valid(request, "RankerRequest") is (caller.rank(request)[0] == 200), request


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"", 400, "not a JSON object"),
        (b"[1]", 400, "not a JSON object"),
        (b'{"a": ' * 100_000, 400, "not a JSON object"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "not a JSON object"),
        (b'{"visitor_id": "\xff\xfe", "item_id": [1]}', 400, "not a JSON object"),
        (b'{"visitor_id": "v"}', 400, "no key is a list"),
        (b'{"visitor_id": "v", "endpoint": "other", "item_id": [1]}', 404, "there is no endpoint 'other' here"),
        (b'{"visitor_id": "v", "endpoint": ["ranker"], "item_id": [1]}', 404, "there is no endpoint"),
        (b"." * (MAX_BYTES + 1), 413, "1,048,576 bytes"),
    ],
)
def test_a_body_that_cannot_be_ranked_is_refused_in_json(caller, body, status, word):
    refused, answer = caller.rank(body)
    assert refused == status
    assert word in answer["error"]


@pytest.mark.parametrize(
    ("method", "path", "changed", "status"),
    [
        ("GET", "/rank", {}, 405),
        ("POST", "/health", {}, 405),
        ("GET", "/", {}, 404),
        ("POST", "/rank", {"origin": "https://evil.example"}, 403),
        ("POST", "/rank", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", "/rank", {"content-type": "text/plain"}, 415),
        ("POST", "/rank", {"host": "evil.example"}, 403),
        ("GET", "/metrics", {"host": "evil.example"}, 403),
        ("GET", "/health", {"host": "10.0.0.7"}, 200),
        ("GET", "/ping", {"host": "10.0.0.7"}, 200),
    ],
)
def test_it_answers_programs_under_its_own_names(caller, method, path, changed, status):
    assert caller.ask(method, path, json.dumps(mini.REQUEST).encode(), headers=JSON | changed)[0] == status


def test_bodies_that_are_too_much_together_are_told_503_and_counted_no_more_once_answered(caller, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(asgi, "MOST_BODIES", 20)
        status, answer = caller.rank(mini.REQUEST)
        assert (status, answer["error"]) == (503, "the requests that are here have 20 bytes")
    assert caller.rank(b"." * (MAX_BYTES + 1))[0] == 413
    assert caller.rank(b"[1]")[0] == 400
    assert caller.rank(mini.REQUEST)[0] == 200
    assert caller.application._bodies == 0


@pytest.mark.parametrize("name", [b"host", b"origin", b"x-api-key", b"content-type"])
def test_a_header_that_decides_and_is_there_twice_is_refused(caller, name):
    headers = [(key.encode(), value.encode()) for key, value in JSON.items()]
    status, answer = caller.ask("POST", "/rank", json.dumps(mini.REQUEST).encode(), headers=[(name, b"evil"), (name, b"evil"), *headers])
    assert (status, answer["error"]) == (400, f"the request has {name.decode()} twice")


def test_a_key_that_no_text_can_hold_is_the_callers_mistake(caller):
    """JSON may escape half of a surrogate pair, which is no character."""
    status, answer = caller.rank(b'{"visitor_id": "\\ud800", "segment_id": "a", "item_id": [1]}')
    assert status == 400, answer


def test_metrics_count_answers_by_endpoint_variant_and_status(caller):
    def count(line):
        return sum(int(text.rpartition(" ")[2]) for text in caller.ask("GET", "/metrics")[1].splitlines() if text.startswith(line))

    good, bad = (
        'isthmus_gateway_requests_total{endpoint="ranker",variant="c',
        'isthmus_gateway_requests_total{endpoint="ranker",variant="",status="400"}',
    )
    before = count(good), count(bad)
    for _ in range(5):
        caller.rank(mini.REQUEST)
    caller.rank({"visitor_id": "v"})
    assert (count(good), count(bad)) == (before[0] + 5, before[1] + 1)
    assert count('isthmus_gateway_request_seconds_bucket{endpoint="ranker",variant="champion",status="200",le="+Inf"}') > 0
    assert count("isthmus_gateway_undelivered_exposures_total") == 0
    assert 'isthmus_gateway_feature_age_seconds{view="item_history"} ' in caller.ask("GET", "/metrics")[1]


def test_rows_of_any_stream_that_are_lost_are_counted(caller):
    lost = caller.application._service._served["ranker"].gateway._writer.undelivered
    before = caller.ask("GET", "/health")[1]["undelivered_rows"]
    lost.update({"rankings": 1, "assignments": 2})
    lines = caller.ask("GET", "/metrics")[1].splitlines()
    for line in ('exposures_total{endpoint="ranker"} 0', 'rows_total{endpoint="ranker",stream="exposures"} 0'):
        assert f"isthmus_gateway_undelivered_{line}" in lines
    for stream in ("rankings", "assignments"):
        assert f'isthmus_gateway_undelivered_rows_total{{endpoint="ranker",stream="{stream}"}} {lost[stream]}' in lines
    caller.application._looked = 0.0
    assert caller.ask("GET", "/health")[1]["undelivered_rows"] == before + 3


def test_health_says_what_is_missing_when_features_cannot_be_read(caller, monkeypatch):
    from isthmus.errors import Unavailable

    service = caller.application._service

    def silent(_request):
        raise Unavailable("the store does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(service._served["ranker"].gateway, "look", silent)
        caller.application._looked = 0.0
        status, health = caller.ask("GET", "/health")
    assert (status, health["endpoints"]["ranker"]["problem"]) == (503, "the store does not answer")
    assert health["ready_workers"] == 0
    caller.application._looked = 0.0
    assert caller.ask("GET", "/health")[0] == 200


def test_any_asgi_server_may_run_it_and_no_stranger_reaches_it_without_a_token(folder):
    caller = Caller(of_environment({"ISTHMUS_PROJECT": str(folder), "ISTHMUS_ALLOW_HOST": "ranker.example, other"}))
    assert caller.rank(mini.REQUEST)[0] == 200
    assert caller.rank(mini.REQUEST, headers=JSON | {"host": "ranker.example"})[0] == 200
    status, answer = caller.rank(mini.REQUEST, server=("10.0.0.7", 80))
    assert status == 403
    assert "set ISTHMUS_TOKEN" in answer["error"]
    assert caller.ask("GET", "/health", server=("10.0.0.7", 80))[0] in (200, 503)
    shared = caller.application._service.folder
    assert shared.exists()
    caller.close()
    assert not shared.exists()
    caller = Caller(of_environment({"ISTHMUS_PROJECT": str(folder / "project.yaml"), "ISTHMUS_TOKEN": "s3cret"}))
    assert caller.rank(mini.REQUEST, server=("10.0.0.7", 80))[0] == 401
    assert caller.rank(mini.REQUEST, server=("10.0.0.7", 80), headers=JSON | {"authorization": "Bearer s3cret"})[0] == 200
    caller.close()


def test_a_request_says_which_endpoint_where_several_are_served(folder, shared):
    with mini.opened(folder) as project:
        ranker = project.spec.endpoints["ranker"]
        project.spec.endpoints["other"] = msgspec.structs.replace(ranker, name="other")
        sampler = Sampler(project=str(folder / "project.yaml"), folder=str(shared))
        service = Service(project, (), folder=shared, slot=1, sampler=sampler)
        assert service.names == ("ranker", "other")
        answer = service.calls.rank(json.dumps(mini.REQUEST).encode())
        assert (answer.status, json.loads(answer.body)["error"]) == (400, "the body has no endpoint")
        answer = service.calls.rank(json.dumps({**mini.REQUEST, "endpoint": "ranker"}).encode())
        assert (answer.status, answer.endpoint) == (200, "ranker")
        answer = service.calls.rank(json.dumps({**mini.REQUEST, "endpoint": "other"}).encode())
        assert (answer.status, answer.endpoint) == (404, "other"), "it is not deployed"
        assert not service.warm(), "and so the whole is not ready"
        assert service.as_it_was().endpoints["ranker"].ready
        project.spec.endpoints["other"] = msgspec.structs.replace(ranker, name="other", unit="endpoint")
        with pytest.raises(Invalid, match="an attribute `endpoint`"):
            served_names(project, ())
        service.close()


def test_beyond_this_machine_it_does_not_start_without_a_token(folder, monkeypatch):
    monkeypatch.delenv("ISTHMUS_TOKEN", raising=False)
    said = isthmus(folder, "gateway", "--host", "0.0.0.0", ok=False)
    assert said.code == 1
    assert "set ISTHMUS_TOKEN" in said.err
    assert "no endpoint nothing" in isthmus(folder, "gateway", "nothing", ok=False).err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = isthmus(folder, "gateway", "--port", taken.getsockname()[1], ok=False)
    assert "nothing can listen on 127.0.0.1 port" in said.err


class Running:
    """`isthmus gateway --json` as a process."""

    def __init__(self, folder, *options, descriptors=4096):
        code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors})); {CHILD}"
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
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(fields).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.loads(reply.read())

    def until_ready(self, workers):
        until(lambda: self.get("/health")[0] == 200 and json.loads(self.get("/health")[1])["ready_workers"] == workers, what="readiness")

    def configs(self):
        """The version of experiments/live at each worker."""
        lines = self.get("/metrics")[1].splitlines()
        return [line.rpartition(" ")[2] for line in lines if line.startswith("isthmus_gateway_config_version{")]

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
    block = text.partition("<!-- tests/endpoints/test_gateway_service.py runs these lines -->\n```sh\n")[2].partition("```")[0]
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
        done = subprocess.run([*words, "--fail"], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), call


def test_the_commands_of_the_compose_file_serve_with_a_token(folder):
    """As plain processes, on another port: there is no Docker where tests run."""
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text().replace("8800", str(free_port())))
    services = compose["services"]
    assert services["gateway"]["network_mode"] == services["gateway"]["pid"] == "service:endpoint"
    assert (ROOT / "deploy" / services["gateway"]["build"]["context"] / services["gateway"]["build"]["dockerfile"]).is_file()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ISTHMUS_TOKEN": "s3cret",
        "PROJECT": str(folder),
    }
    commands = [
        [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in (*services[name]["entrypoint"], *services[name]["command"])]
        for name in ("endpoint", "gateway")
    ]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    children = [subprocess.Popen(words, cwd=folder, env=environment, **quiet) for words in commands]
    try:
        check = [sys.executable, *services["gateway"]["healthcheck"]["test"][2:]]
        until(lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0, what="the health check")
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


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def token_status(port, headers):
    request = urllib.request.Request(
        f"http://localhost:{port}/rank", json.dumps(mini.REQUEST).encode(), {"content-type": "application/json", **headers}
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


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium-headless-shell")
def test_a_page_of_another_site_in_a_real_browser_ranks_nothing(two, folder):
    two.until_ready(2)
    page = PAGE.replace(b"TARGET", json.dumps(two.url).encode()).replace(b"REQUEST", json.dumps(json.dumps(mini.REQUEST)).encode())

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
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom", f"http://localhost:{site.server_port}/"],
        capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    site.shutdown()
    assert "no-cors opaque 0; cors refused; reached" in shown.stdout, shown.stdout + shown.stderr
    metrics = two.get("/metrics")[1]
    assert 'isthmus_gateway_requests_total{endpoint="",variant="",status="403"}' in metrics, "it came, and was sent away"
    assert two.answered() == before


def test_every_worker_takes_a_run_that_starts_and_lets_go_of_one_that_ends_without_a_restart(folder, two):
    two.until_ready(2)
    with mini.opened(folder) as project:
        project.target.events.apply(STREAMS["assignments"])
        token = project.target.state.put(LIVE, msgspec.json.encode(shop.live(shop.run())), expect=None)
        until(lambda: two.configs() == ["12", "12"], what="the run at both workers")
        rankings = [two.rank() for _ in range(8)]
        assert [ranking["assignments"] for ranking in rankings] == 8 * [{"blend_up.1": shop.arm_of("v1")}]
        token = project.target.state.put(LIVE, msgspec.json.encode(shop.live(version=13)), expect=token)
        until(lambda: two.configs() == ["13", "13"], what="its end at both workers")
        assert "assignments" not in two.rank()
        logged = project.target.warehouse.query("SELECT DISTINCT unit, run, arm, config FROM assignments", {}).to_pylist()
        assert logged == [{"unit": "v1", "run": "blend_up.1", "arm": shop.arm_of("v1"), "config": 12}]
        shown = "SELECT count(DISTINCT event_id) AS n FROM exposures WHERE assignments IS NOT NULL AND config = 12"
        assert project.target.warehouse.query(shown, {})["n"][0].as_py() == sum(len(ranking["items"]) for ranking in rankings)
        project.target.state.delete(LIVE, expect=token)


def test_figures_are_summed_over_workers_and_outlive_one_that_is_killed(two):
    two.until_ready(2)
    assert two.said["workers"] == 2
    before = two.answered()
    for _ in range(30):
        two.rank()
    assert two.answered() == before + 30
    workers = [int(pid) for pid in Path(f"/proc/{two.child.pid}/task/{two.child.pid}/children").read_text().split()]
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
        stored = project.target.warehouse.query("SELECT event_id FROM exposures", {}).column("event_id").to_pylist()
    ids = {event_id.rpartition("-")[0] for event_id in stored}
    assert [answer["request_id"] for answer in answers if answer["request_id"] not in ids] == []


def test_hundreds_of_idle_connections_lock_nobody_out_of_few_descriptors_and_a_second_signal_ends_it_at_once(folder):
    running = Running(folder, descriptors=128)
    try:
        host, port = running.url.removeprefix("http://").split(":")
        until(lambda: running.get("/ping")[0] == 200, what="the gateway")
        idle = [socket.create_connection((host, int(port))) for _ in range(300)]
        assert running.get("/ping")[0] == 200
        assert running.rank()["items"]
        assert running.post("/assign", {"visitor_id": "v1"}) == {"assignments": {}, "parameters": {}, "config": None}
        assert running.post("/track", {"event": "click", "impression_id": "i1", "item_id": 2}) == {"accepted": 1, "rejected": []}
        for connection in idle:
            connection.close()
        maps = Path(f"/proc/{running.child.pid}/maps").read_text()
        assert "duckdb" not in maps
        assert "pyarrow" not in maps
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /rank HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
            until(lambda: len(running.get("/metrics")[1]) > 0, what="metrics")
            running.child.send_signal(signal.SIGTERM)
            until(lambda: "stopping: what is under way is finished" in running.log.read_text(), what="the notice")
            assert running.child.poll() is None, "a request is under way"
            running.child.send_signal(signal.SIGTERM)
            assert running.child.wait(timeout=60) == 128 + signal.SIGTERM
    finally:
        running.end()


def test_workers_end_when_their_supervisor_is_killed(folder):
    running = Running(folder, "--workers", "2")
    try:
        until(lambda: running.get("/ping")[0] == 200, what="the gateway")
        os.kill(running.child.pid, signal.SIGKILL)
        until(lambda: running.get("/ping")[0] == 0, what="the end of the workers")
    finally:
        running.end()
