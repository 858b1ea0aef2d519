"""Stacks of the tests that are forked from one process which has imported what each would import: that is most of a start's CPU.

All of a run's workers share that process, which takes three seconds of CPU to come up, one of each cloud.

Such a stack is a process like `python -m isthmus.localstack.aws`: with its own pid, arguments, environment, folder, streams and exit code.
The genuine start is judged by test_life.py, and by all that starts `isthmus` or a stack apart.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import msgspec

from isthmus.localstack import run

MOTO = ("athena", "dynamodb", "firehose", "glue", "iam", "kinesis", "logs", "s3", "sagemaker", "sts")  # what most tests come to ask
OURS = ("cloudwatch", "sagemaker-featurestore-runtime", "sagemaker-runtime")
FIRST_ASKED = ("duckdb", "pandas", "pyarrow.csv", "pyarrow.parquet")  # what a stack imports when a query first comes
_MESSAGE = 1 << 20  # bytes
_EXIT = 4  # bytes of an exit code


class Start(msgspec.Struct, frozen=True):
    arguments: list[str]
    environment: dict[str, str]
    folder: str


class Forked:
    """As much of subprocess.Popen as a RunningStack asks for."""

    def __init__(self, command, *, stdin, stdout, stderr, env):
        _, dash, package, *arguments = command
        assert (dash, stdin) == ("-m", subprocess.PIPE)
        self.args = command
        self.returncode = None
        reading, writing = os.pipe()
        self._ended, ending = os.pipe()
        streams = [reading, stdout.fileno(), 2 if stderr is None else stderr.fileno()]
        self.pid = _template(package.rpartition(".")[2]).fork(Start(arguments, dict(env), str(Path.cwd())), [*streams, ending])
        os.close(reading)
        os.close(ending)
        self.stdin = os.fdopen(writing, "wb")

    def poll(self):
        return self._look(0)

    def wait(self, timeout=None):
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout):
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            self.returncode = int.from_bytes(os.read(self._ended, _EXIT), "big", signed=True)
            os.close(self._ended)
        return self.returncode


class _Template:
    """The process from which the stacks of a cloud are forked. It ends with the last that is connected to it."""

    def __init__(self, cloud):
        from isthmus.tests.cli.running import shared

        self._lock = threading.Lock()
        self._process = None
        self._socket = _socket()
        place = shared() / f"{cloud}.lock"
        with place.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                self._socket.connect(_address(place))
            except OSError:  # there is none, or it was killed
                self._start(cloud, place)
        atexit.register(self._socket.close)

    def _start(self, cloud, place):
        address = _address(place)
        Path(address).unlink(missing_ok=True)
        with _socket() as listening:
            listening.bind(address)
            listening.listen()
            number = str(listening.fileno())
            command = [sys.executable, "-m", __name__, cloud, number, str(place)]
            self._process = subprocess.Popen(command, pass_fds=[listening.fileno()])
            self._socket.connect(address)

    def fork(self, start, descriptors):
        with self._lock:
            socket.send_fds(self._socket, [msgspec.json.encode(start)], descriptors)
            pid = self._socket.recv(64)
        if not pid:
            raise RuntimeError("the process from which stacks are forked has ended: what it wrote to stderr says why")
        return int(pid)


def _socket():
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _address(place):
    return str(place.with_suffix(".socket"))


_template = cache(_Template)


def install():
    """From now on `run.start` forks the stacks of this process."""
    run.subprocess = SimpleNamespace(Popen=Forked, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)


def serve(cloud, listening, place):
    """Fork a stack for each message of a starter, and tell it how each ended, until the last starter is gone."""
    main = importlib.import_module(f"isthmus.localstack.{cloud}.__main__").main
    {"aws": _import_aws, "gcp": _import_gcp}[cloud]()
    for name in FIRST_ASKED:
        importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # pages that no collection writes to stay shared
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    endings, starters = {}, set()
    while True:
        ready, _, _ = select.select([listening, woken, *starters], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell(endings)
        if listening in ready:
            starters.add(listening.accept()[0])
        for starter in starters.intersection(ready):
            message, descriptors = _received(starter)
            if not message:
                starters.remove(starter)
                starter.close()
                if not starters and _over(listening, place):
                    return
                continue
            *streams, ending = descriptors
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for number, descriptor in enumerate(streams):
                    os.dup2(descriptor, number)
                for descriptor in (*descriptors, *endings.values(), *(opened.fileno() for opened in (listening, *starters)), woken, wake):
                    os.close(descriptor)
                _become(main, msgspec.json.decode(message, type=Start))
            for descriptor in streams:
                os.close(descriptor)
            endings[pid] = ending
            with contextlib.suppress(BrokenPipeError):  # the starter was killed meanwhile; the others' stacks come from here, too
                starter.send(str(pid).encode())


def _received(starter):
    try:
        message, descriptors, _, _ = socket.recv_fds(starter, _MESSAGE, 4)
    except ConnectionResetError:
        return b"", []
    return message, descriptors


def _over(listening, place):
    """Nobody is about to connect, and whoever comes later starts another."""
    with contextlib.suppress(FileNotFoundError), place.open("r+") as lock:  # the folder goes with the run: nothing is made in it again
        fcntl.flock(lock, fcntl.LOCK_EX)
        if select.select([listening], [], [], 0)[0]:
            return False
        Path(_address(place)).unlink()
    return True


def _tell(endings):
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with contextlib.suppress(BrokenPipeError), os.fdopen(endings.pop(ended[0]), "wb", buffering=0) as ending:
                ending.write(os.waitstatus_to_exitcode(ended[1]).to_bytes(_EXIT, "big", signed=True))


def _become(main, start):
    """The stack, with nothing of the template's own. It does not come back."""
    from isthmus.localstack.process import leave

    code = 1
    try:
        os.environ.clear()
        os.environ.update(start.environment)
        os.chdir(start.folder)
        sys.path[0] = start.folder
        tempfile.tempdir = None
        time.tzset()
        if moto := sys.modules.get("moto.moto_api._internal"):
            moto.mock_random.seed()  # or all stacks would give the same ids
        code = main(start.arguments)
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:  # noqa: BLE001  as an interpreter does
        traceback.print_exc()
    leave(code)


def _import_aws():
    from moto.backends import get_backend
    from moto.core.base_backend import AccountSpecificBackend
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    from isthmus.localstack.aws import front, handler_modules, http, in_process  # noqa: F401  so that a stack finds them imported
    from isthmus.localstack.aws.home import keeper  # noqa: F401  likewise

    handler_modules.load()
    for service in MOTO:
        get_backend(service)
    for service in (*MOTO, *OURS):  # megabytes of JSON each
        for protocol in get_service_router(service)._service_model.protocols:
            with contextlib.suppress(NotFound):  # moto answers others
                get_service_router(service)._get_router(protocol)
        in_process._service_model(service)
    AccountSpecificBackend.get_session().get_available_regions("sagemaker")


def _import_gcp():
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # as the stack itself says, before it imports Arrow
    from isthmus.localstack.gcp import front, handler_modules, late_packages, server, table  # noqa: F401  likewise

    late_packages.install(api.module for api in table.APIS if api.module)
    late_packages.install = lambda _packages: None
    for api in table.APIS:
        table.load(api)
    importlib.import_module("isthmus.localstack.gcp.googlesql.analyzer")
    for package in handler_modules.MODULES:
        handler_modules.load(package)


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])), Path(sys.argv[3]))
