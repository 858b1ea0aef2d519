"""Processes of the tests that are forked from one which has imported what each would import: that
is most of a start's CPU.

All of a run's workers share that process, a template, which takes seconds of CPU to come up. A
template is named by the function that imports, and says what is run for each module:
`isthmus_stack.testing.stack_templates:aws`.

What is forked is a process like `python -m MODULE`: with its own pid, arguments, environment,
folder, session, streams and exit code.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
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
import weakref
from functools import cache
from pathlib import Path

import msgspec

from isthmus_stack.testing.shared_folder import shared

AT_START = (
    "PYTHON",
    "LD_",
    "OMP_",
    "OPENBLAS_",
    "ARROW_",
)  # what an interpreter or a library reads once: variables that begin so
UNBUFFERED = "PYTHONUNBUFFERED"
_MESSAGE = 1 << 20  # bytes
_EXIT = 4  # bytes of an exit code


class Start(msgspec.Struct, frozen=True):
    module: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    session: bool = False


class Forked:
    """The part of subprocess.Popen that callers use, for a forked process; `command` is `python -m
    MODULE ARGUMENTS`.
    """

    def __init__(
        self,
        template,
        command,
        *,
        stdin=None,
        stdout=None,
        stderr=None,
        env=None,
        cwd=None,
        start_new_session=False,
    ):
        _, _, module, *arguments = command
        self.args = command
        self.returncode = None
        self._ended, ending = os.pipe()
        weakref.finalize(self, os.close, self._ended)  # not before: threads may wait for it
        self._looking = threading.Lock()
        streams = [_Stream(number, wanted) for number, wanted in enumerate((stdin, stdout, stderr))]
        start = Start(
            module,
            arguments,
            dict(os.environ if env is None else env),
            str(cwd or Path.cwd()),
            start_new_session,
        )
        self.pid = _template(template).fork(start, [*(stream.theirs for stream in streams), ending])
        for descriptor in (ending, *(stream.theirs for stream in streams if stream.opened)):
            os.close(descriptor)
        self.stdin, self.stdout, self.stderr = (stream.ours for stream in streams)

    def poll(self):
        return self._look(0)

    def wait(self, timeout=None):
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with contextlib.suppress(
                ProcessLookupError
            ):  # its template has seen its end, and not told yet
                os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout):
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            with self._looking:
                if self.returncode is None:
                    code = os.read(
                        self._ended, _EXIT
                    )  # none where the template was killed: nobody knows, so it is no success
                    self.returncode = (
                        int.from_bytes(code, "big", signed=True) if code else -signal.SIGKILL
                    )
        return self.returncode


class _Stream:
    """One of a process's three: `theirs` is a descriptor, `ours` the other end of a pipe."""

    def __init__(self, number, wanted):
        self.ours, self.opened = None, wanted in (subprocess.PIPE, subprocess.DEVNULL)
        if wanted == subprocess.PIPE:
            reading, writing = os.pipe()
            self.theirs, ours = (reading, writing) if number == 0 else (writing, reading)
            self.ours = os.fdopen(ours, "wb" if number == 0 else "rb")
        elif wanted == subprocess.DEVNULL:
            self.theirs = os.open(os.devnull, os.O_RDWR)
        elif wanted is None:
            self.theirs = number
        else:
            self.theirs = wanted if isinstance(wanted, int) else wanted.fileno()


def starter(template, modules):
    """A Popen: it forks what runs one of `modules`, unless a variable differs that is read at a
    start, and starts all else.
    """

    began = _at_start(os.environ)

    def start(command, **options):
        if (
            command[:2] == [sys.executable, "-m"]
            and command[2] in modules
            and _at_start(options.get("env") or os.environ) == began
        ):
            return Forked(template, command, **options)
        return subprocess.Popen(command, **options)

    return start


def _at_start(environment):
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(AT_START) and name != UNBUFFERED
    }


class _Template:
    """The process from which others are forked. It ends with the last that is connected to it."""

    def __init__(self, template):
        self._process = None
        self._socket = _socket()
        place = shared() / f"{template.rpartition(':')[2]}.lock"
        self._address = _address(place)
        with place.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                self._socket.connect(self._address)
            except OSError:  # there is none, or it was killed
                self._start(template, place)
        atexit.register(self._socket.close)

    def _start(self, template, place):
        Path(self._address).unlink(missing_ok=True)
        with _socket() as listening:
            listening.bind(self._address)
            listening.listen()
            number = str(listening.fileno())
            command = [
                sys.executable,
                "-m",
                "isthmus_stack.testing.fork_server",
                template,
                number,
                str(place),
            ]
            self._process = subprocess.Popen(
                command, cwd=place.parent, pass_fds=[listening.fileno()]
            )
            self._socket.connect(self._address)

    def fork(self, start, descriptors):
        """Its pid.

        It is asked for by a connection of its own: whoever is interrupted meanwhile leaves no pid
        to the next who asks.
        """
        with _socket() as asking, contextlib.suppress(ConnectionError, FileNotFoundError):
            asking.connect(self._address)
            socket.send_fds(asking, [msgspec.json.encode(start)], descriptors)
            if pid := asking.recv(64):
                return int(pid)
        raise RuntimeError(
            "the process from which others are forked has ended: what it wrote to stderr says why"
        )


def _socket():
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _address(place):
    return str(place.with_suffix(".socket"))


_template = cache(_Template)


def serve(template, listening, place):
    """Fork a process for each message of a starter, and tell it how each ended, until the last
    starter is gone.
    """
    module, _, load = template.partition(":")
    mains = getattr(importlib.import_module(module), load)()
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # pages that no collection writes to stay shared
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    interrupt = signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group: it is for those who are waited for
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
            began, begin = os.pipe()
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, interrupt)
                start = msgspec.json.decode(message, type=Start)
                if start.session:
                    os.setsid()
                for number, descriptor in enumerate(streams):
                    os.dup2(descriptor, number)
                opened = (listening.fileno(), *(other.fileno() for other in starters))
                for descriptor in (
                    *descriptors,
                    *endings.values(),
                    *opened,
                    woken,
                    wake,
                    began,
                    begin,
                ):
                    os.close(descriptor)
                _become(mains[start.module], start)
            for descriptor in (*streams, begin):
                os.close(descriptor)
            os.read(began, 1)  # to its end: from here on signals to its group reach it
            os.close(began)
            endings[pid] = ending
            with contextlib.suppress(
                BrokenPipeError
            ):  # the starter was killed meanwhile; the others' processes come from here, too
                starter.send(str(pid).encode())


def _received(starter):
    try:
        message, descriptors, _, _ = socket.recv_fds(starter, _MESSAGE, 4)
    except ConnectionResetError:
        return b"", []
    return message, descriptors


def _over(listening, place):
    """Nobody is about to connect, and whoever comes later starts another."""
    with (
        contextlib.suppress(FileNotFoundError),
        place.open("r+") as lock,
    ):  # the folder goes with the run: nothing is made in it again
        fcntl.flock(lock, fcntl.LOCK_EX)
        if select.select([listening], [], [], 0)[0]:
            return False
        Path(_address(place)).unlink()
    return True


def _tell(endings):
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with (
                contextlib.suppress(BrokenPipeError),
                os.fdopen(endings.pop(ended[0]), "wb", buffering=0) as ending,
            ):
                ending.write(
                    os.waitstatus_to_exitcode(ended[1]).to_bytes(_EXIT, "big", signed=True)
                )


def _become(main, start):
    """The process, with nothing of the template's own. It does not come back."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(start.environment)
        os.chdir(start.folder)
        sys.argv = [
            sys.modules[start.module].__file__ if start.module in sys.modules else start.module,
            *start.arguments,
        ]
        sys.path[0] = start.folder
        _streams(unbuffered=UNBUFFERED in os.environ)
        tempfile.tempdir = None
        time.tzset()
        _seed()
        code = main(start.arguments)
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:  # noqa: BLE001  as an interpreter does
        traceback.print_exc()
    _leave(code)


def _leave(code):
    """End the process as an interpreter does."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _streams(*, unbuffered):
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(
        io.BufferedReader(io.FileIO(0, "r", closefd=False)), "utf-8"
    )
    out = io.FileIO(1, "w", closefd=False)
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(
        out if unbuffered else io.BufferedWriter(out), "utf-8", write_through=unbuffered
    )
    err = io.FileIO(2, "w", closefd=False)
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(
        err, "utf-8", "backslashreplace", write_through=True
    )


def _seed():
    """Or all would draw the same, and moto's stacks give the same ids."""
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if moto := sys.modules.get("moto.moto_api._internal"):
        moto.mock_random.seed()


if __name__ == "__main__":
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])), Path(sys.argv[3]))
