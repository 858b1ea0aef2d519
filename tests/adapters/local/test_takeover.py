"""kill -9 of what keeps a local endpoint up: it comes back without a person, and its model servers
never stopped. One endpoint for all.
"""

import errno
import http.client
import io
import os
import shlex
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from isthmus.adapters import targets
from isthmus.adapters.local.endpoints import log_files, supervision
from isthmus.adapters.local.endpoints.client import Client
from isthmus.adapters.local.endpoints.request_log import RequestLog, file_name
from isthmus.adapters.local.endpoints.rows import SupervisorAddress
from isthmus.adapters.local.endpoints.serving import Serving, serving
from isthmus.adapters.local.processes import members
from isthmus.errors import NotFound, OutcomeUnknown, Unavailable
from isthmus.target import Profile
from isthmus.tests.conformance.toy_models import (
    endpoint,
    register,
    remove_endpoints,
    settled,
    until,
    variant,
)

pytestmark = [pytest.mark.soak, pytest.mark.slow]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home") / ".isthmus"


@pytest.fixture(scope="module")
def target(home, tmp_path_factory):
    options = {
        "home": str(home),
        "serving": {"return_wait": "60s"},
    }  # 2 s are short for model servers on a busy machine
    target = targets.load(Profile(name="local", adapter="local", project="conf", options=options))
    version = register(target, tmp_path_factory.mktemp("model"), 1.0)
    target.endpoints.apply(endpoint(variant(version, "champion", instances=(2, 2))))
    yield target
    remove_endpoints(target)
    target.close()


@pytest.fixture
def ready(target, home):
    """Everything runs, and who runs is written down."""
    state = settled(target)
    assert state.phase == "ready", state.failure
    until(lambda: watcher(home) and len(address(home).servers) == 2)
    return target.endpoints


def address(home) -> SupervisorAddress:
    return supervision.address(home, "ranker")


def servers(home):
    return sorted(server.pid for server in address(home).servers)


def watcher(home):
    """Its pid, also just after the one before has died.

    Never 0, which is everybody's whom `kill` would end with it.
    """
    return until(
        lambda: next(
            (
                member.pid
                for member in members(address(home).group)
                if "watcher.py" in member.command
            ),
            0,
        )
    )


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it is opened, before it is read
        return False


def kill_both(home, *, freed=True):
    """Neither has the time to start the other."""
    pids = (watcher(home), address(home).pid)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    if freed:
        until(lambda: not supervision.alive(home, "ranker"), what="the end of both")


def call(host):
    return host.invoke("ranker", [{"x": 1}], variant=None, request_id="q").predictions


def test_a_supervisor_that_is_killed_under_load_is_back_with_the_same_port_and_the_same_processes(
    ready, home
):
    before, stop, lost, done, refused = address(home), threading.Event(), [], [], []

    def load():
        while not stop.is_set():
            try:
                done.append(call(ready))
            except OutcomeUnknown as error:
                lost.append(error)
            except Unavailable as error:
                refused.append(error)

    callers = [threading.Thread(target=load) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        until(lambda: len(done) > 30)
        os.kill(before.pid, signal.SIGKILL)
        until(lambda: address(home).pid != before.pid, what="another supervisor")
        answered = len(done)
        until(lambda: len(done) > answered + 30)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    assert not refused, "who came meanwhile waited in the socket's queue"
    assert len(lost) <= len(callers), "what was under way in the killed process, and nothing else"
    after = address(home)
    assert (after.port, after.key, sorted(s.pid for s in after.servers)) == (
        before.port,
        before.key,
        sorted(s.pid for s in before.servers),
    )
    assert settled_report(home).restarts == 0


def settled_report(home):
    client = Client(address(home).port)
    try:
        return supervision.ask(client, address(home), follow=False).variants[0]
    finally:
        client.close()


def test_a_process_that_was_taken_over_is_replaced_when_it_dies(ready, home):
    pid = address(home).pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: address(home).pid != pid)
    until(lambda: ready.observe("ranker").phase == "ready")
    victim, other = servers(home)
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(servers(home)) == 2 and victim not in servers(home), what="its successor")
    assert other in servers(home)
    until(lambda: ready.observe("ranker").phase == "ready")
    assert call(ready) == (2.0,)


def test_a_watcher_that_is_killed_is_replaced_and_the_next_one_does_its_work(ready, home):
    first, pid, running = watcher(home), address(home).pid, servers(home)
    os.kill(first, signal.SIGKILL)
    until(lambda: watcher(home) != first, what="another watcher")
    os.kill(pid, signal.SIGKILL)
    until(lambda: address(home).pid != pid, what="another supervisor")
    assert call(ready) == (2.0,)
    assert servers(home) == running


@pytest.mark.usefixtures("ready")
def test_a_log_above_its_limit_begins_anew_while_its_processes_write_on(home):
    folder = home / "endpoints" / "ranker"
    logs = [folder / "supervisor.log", folder / "logs" / "champion.log"]
    for log in logs:
        os.truncate(log, log_files.LIMIT + 1)
    until(lambda: all(log.stat().st_size < log_files.LIMIT for log in logs), what="the cut")
    assert [log.with_name(f"{log.name}.1").stat().st_size for log in logs] == [log_files.LIMIT] * 2
    os.kill(watcher(home), signal.SIGKILL)
    until(lambda: b"the watcher has died" in logs[0].read_bytes())
    assert logs[0].read_bytes().startswith(b"isthmus: "), "at its new begin"


class Full(io.TextIOBase):
    def write(self, _text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_log_is_cut_also_where_its_end_finds_no_place_and_nobody_can_be_told(
    tmp_path, monkeypatch
):
    log = tmp_path / "champion.log"
    log.write_bytes(b"a line\nthe last\n")
    log_files.limit(log, 9)
    assert (log.read_bytes(), (tmp_path / "champion.log.1").read_bytes()) == (b"", b"the last\n")
    log.write_bytes(b"another line\n")
    (tmp_path / "champion.log.1").unlink()
    (tmp_path / "champion.log.1").symlink_to("/dev/full")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", Full())
        with pytest.raises(OSError, match="No space left"):
            log_files.limit(log, 9)
    assert log.read_bytes() == b""


def test_when_both_are_killed_nothing_is_left_and_whoever_looks_starts_it_again(ready, home):
    before, running = address(home), servers(home)
    os.kill(running[0], signal.SIGSTOP)  # one that cannot end by itself
    kill_both(home)
    until(lambda: not runs(running[1]), what="the end of the orphan")
    state = ready.observe("ranker")
    assert state.phase in ("creating", "updating", "ready"), state.failure
    until(lambda: not runs(running[0]), what="the end of the one that hangs")
    until(lambda: ready.observe("ranker").phase == "ready")
    assert call(ready) == (2.0,)
    assert address(home).port == before.port


def test_an_invocation_starts_it_again_too(ready, home):
    kill_both(home)
    assert until(lambda: answered(ready)) == (2.0,)


def answered(host):
    try:
        return call(host)
    except (
        Unavailable,
        OutcomeUnknown,
    ):  # its processes take longer than the wait for their return; it came to the dying one's socket
        return None


def test_what_is_only_watched_is_not_started_by_a_copy_of_its_folder(ready, home, tmp_path):
    copy = tmp_path / "copy" / ".isthmus"
    copy.parent.mkdir()
    # by another process: closing a database's file here would end the locks that SQLite holds on it
    subprocess.run(["cp", "-a", str(home), str(copy)], check=True)
    other = targets.load(
        Profile(name="local", adapter="local", project="conf", options={"home": str(copy)})
    )
    assert other.endpoints.observe("ranker").phase == "failed"
    assert not supervision.alive(copy, "ranker")
    other.close()


def test_a_service_stands_by_serves_when_nobody_else_does_and_ends_with_the_endpoint(
    ready, target, home
):
    unit = target.extra("endpoint_service").unit("ranker")
    command = shlex.split(
        next(line for line in unit.splitlines() if line.startswith("ExecStart=")).removeprefix(
            "ExecStart="
        )
    )
    port = address(home).port
    standing = subprocess.Popen(command, start_new_session=True)
    try:
        assert call(ready) == (2.0,)
        assert address(home).group != standing.pid
        kill_both(home, freed=False)
        until(lambda: address(home).group == standing.pid, what="the service's supervisor")
        until(lambda: answered(ready) == (2.0,))
        assert (address(home).port, watcher(home)) == (port, standing.pid)
    finally:
        group, before = address(home).group, address(home)
        remove_endpoints(target)
        assert standing.wait(60) == 0, "the endpoint was deleted"
    until(lambda: not members(group), what="the end of all its processes")
    assert not is_served(before)
    with pytest.raises(NotFound):
        target.extra("endpoint_service").unit("ranker")


def is_served(address):
    """Whether anything of the endpoint still listens there: by then some other process may have the
    port.
    """
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)
    try:
        connection.request("POST", "/_isthmus/follow", headers={"x-isthmus-key": address.key})
        return connection.getresponse().status == 200
    except TimeoutError:  # the socket is open, and nobody accepts
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_the_request_log_keeps_the_hours_that_metrics_need(tmp_path):
    now = datetime.now(UTC)
    ages = {hours: tmp_path / file_name(now - timedelta(hours=hours)) for hours in (1, 46, 50, 300)}
    for path in (*ages.values(), tmp_path / "notes.csv"):
        path.write_text("1,champion,200,1\n")
    log = RequestLog(tmp_path, keep=timedelta(hours=48))
    assert {hours for hours, path in ages.items() if path.exists()} == {1, 46}
    ages[300].write_text("")
    log.write("champion", 200, 0.1)  # an hour is begun
    assert not ages[300].exists()
    assert (tmp_path / "notes.csv").exists()


def test_a_profile_says_how_long_a_request_may_take_and_of_which_endpoint():
    options = {"serving": {"timeout": "30s", "timeouts": {"slow": "5m"}, "request_log": "7d"}}
    assert serving(options, "slow").timeout == timedelta(minutes=5)
    assert serving(options, "ranker") == Serving(
        timeout=timedelta(seconds=30), request_log=timedelta(days=7)
    )
    assert serving({}, "ranker").return_wait == timedelta(seconds=2)
