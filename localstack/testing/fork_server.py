"""Start processes like `python -m MODULE` by a fork of one that has imported what they need.

Importing is most of a start's CPU. The process that forks is multiprocessing's own fork server,
one for each module of preparation: a module whose `MAINS` maps the name of a module to what runs
it, a function of the arguments. What is forked has its own pid, arguments, environment, folder,
session, streams and exit code.
"""

import atexit
import contextlib
import inspect
import io
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from functools import cache
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path

# Variables that an interpreter or a library reads once, as it starts, begin so.
AT_START = ("PYTHON", "LD_", "OMP_", "OPENBLAS_", "ARROW_")
UNBUFFERED = "PYTHONUNBUFFERED"
_EXECUTE = inspect.signature(subprocess.Popen._execute_child)


@cache
def _server(preparation):
    server = forkserver.ForkServer()
    server.set_forkserver_preload([preparation])
    return server


def _connect(preparation, descriptors):
    """Connect to the fork server of a preparation, which forks a process.

    A server that was killed is started again once it is reaped.
    """
    for _ in range(1000):
        try:
            return _server(preparation).connect_to_new_process(descriptors)
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise RuntimeError("the process from which others are forked does not answer")


class Forked(subprocess.Popen):
    """A forked process. `command` is `python -m MODULE ARGUMENTS`."""

    def __init__(self, preparation, command, **options):
        self._preparation, self._lock = preparation, threading.Lock()
        super().__init__(command, **options)

    def _execute_child(self, *arguments):
        """Fork the process, where Popen would start a program."""
        told = _EXECUTE.bind(self, *arguments).arguments
        environment = dict(os.environ if told["env"] is None else told["env"])
        folder = str(told["cwd"] or Path.cwd())
        child = _Child(
            self._preparation, told["args"][2:], environment, folder, told["start_new_session"]
        )
        streams = [
            number if told[name] == -1 else told[name]
            for number, name in enumerate(("p2cread", "c2pwrite", "errwrite"))
        ]
        ready, is_ready = os.pipe()
        self._ended, sending = _connect(self._preparation, [*streams, is_ready])
        weakref.finalize(self, os.close, self._ended)  # not before: threads may wait for it
        os.close(is_ready)
        self._close_pipe_fds(*(told[name] for name in told if name[:3] in ("p2c", "c2p", "err")))
        with os.fdopen(sending, "wb") as message:
            message.write(pickle.dumps({}) + pickle.dumps(child))
        self.pid = forkserver.read_signed(self._ended)
        self._child_created = True
        os.read(ready, 1)  # to its end: from here on signals to its group reach it
        os.close(ready)

    def _internal_poll(self, _deadstate=None):
        """Return the exit code, or None while the process runs."""
        return self._look(0)

    def _wait(self, timeout):
        """Return the exit code once the process has ended."""
        if self._look(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def _look(self, timeout):
        """Return the exit code that the fork server tells within so many seconds, else None."""
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            with self._lock:
                if self.returncode is None:
                    try:
                        self.returncode = forkserver.read_signed(self._ended)
                    except EOFError:  # the server was killed: nobody knows, so it is no success
                        self.returncode = -signal.SIGKILL
        return self.returncode


def starter(preparation, modules):
    """Return a Popen that forks `python -m` one of `modules` and starts everything else.

    It forks nothing where a variable differs that is read once, at a start.
    """
    began = _at_start(os.environ)

    def start(command, **options):
        if (
            command[:2] == [sys.executable, "-m"]
            and command[2] in modules
            and _at_start(options.get("env") or os.environ) == began
        ):
            return Forked(preparation, command, **options)
        return subprocess.Popen(command, **options)

    return start


def _at_start(environment):
    names = (name for name in environment if name.startswith(AT_START) and name != UNBUFFERED)
    return {name: environment[name] for name in names}


class _Child:
    """The work of a forked process; the fork server calls `_bootstrap` in it."""

    def __init__(self, preparation, command, environment, folder, session):
        self.preparation, (self.module, *self.arguments) = preparation, command
        self.environment, self.folder, self.session = environment, folder, session

    def _bootstrap(self, parent_sentinel):
        server = forkserver._forkserver
        *streams, is_ready = server._inherited_fds
        if self.session:
            os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        for descriptor in (*streams, is_ready, parent_sentinel, server._forkserver_alive_fd):
            os.close(descriptor)
        os._exit(self._exit_code())

    def _exit_code(self):
        """Run the child's module, and return the exit code that an interpreter would have."""
        code = 1
        try:
            os.environ.clear()
            os.environ.update(self.environment)
            os.chdir(self.folder)
            loaded = sys.modules.get(self.module)
            sys.argv = [loaded.__file__ if loaded else self.module, *self.arguments]
            sys.path[0] = self.folder
            _open_streams(unbuffered=UNBUFFERED in os.environ)
            tempfile.tempdir = None
            time.tzset()
            _seed()
            code = import_module(self.preparation).MAINS[self.module](self.arguments)
        except SystemExit as ending:
            code = ending.code
        except BaseException:  # noqa: BLE001  as an interpreter does
            traceback.print_exc()
        if isinstance(code, str):
            print(code, file=sys.stderr)
        threading._shutdown()
        atexit._run_exitfuncs()
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        return code if isinstance(code, int) else 0 if code is None else 1


def _open_streams(*, unbuffered):
    """Open the interpreter's three streams anew, on the descriptors that this process got."""
    stdin, stderr = io.BufferedReader(io.FileIO(0, closefd=False)), io.FileIO(2, "w", closefd=False)
    stdout = io.FileIO(1, "w", closefd=False)
    stdout = stdout if unbuffered else io.BufferedWriter(stdout)
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(stdin, "utf-8")
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(stdout, "utf-8", write_through=unbuffered)
    errors = {"errors": "backslashreplace", "write_through": True}
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(stderr, "utf-8", **errors)


def _seed():
    """Seed the random generators anew in a forked process.

    Else all would draw the same, and moto's stacks give the same ids.
    """
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    if moto := sys.modules.get("moto.moto_api._internal"):
        moto.mock_random.seed()
