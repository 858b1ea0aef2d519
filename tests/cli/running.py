"""Commands as a user runs them: in this process, where that is enough, or in one of their own,
where signals are sent.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

from isthmus.cli.console.console import FORMAT, Console
from isthmus.cli.main import run
from isthmus.core.user_state import FOLDER, ID
from isthmus_stack.testing.shared_folder import shared

CHILD = "from isthmus.cli.main import run; run()"


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        """What `--json` said, without the number of its format; a list by itself."""
        document = json.loads(self.out)
        assert document.pop("format") == FORMAT
        return document["items"] if document.keys() == {"items"} else document


def isthmus(folder, *arguments, stdin="", ok=True, out=None, err=None):
    """Run a command in `folder`; with `ok`, exit code 0 is expected.

    `stdin`: text, or a stream. `out`, `err`: streams to write to.
    """
    out, err = out or io.StringIO(), err or io.StringIO()
    Console.speaking = None
    before, sys.stdin = sys.stdin, io.StringIO(stdin) if isinstance(stdin, str) else stdin
    path = list(sys.path)
    try:
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                run([str(argument) for argument in arguments])
                code = 0
            except SystemExit as leaving:
                code = leaving.code
    finally:
        sys.stdin = before
        sys.path[:] = path
    said = Said(
        code,
        *(stream.getvalue() if isinstance(stream, io.StringIO) else "" for stream in (out, err)),
    )
    assert not ok or said.code == 0, (
        f"isthmus {' '.join(map(str, arguments))} -> {said.code}\n{said.out}{said.err}"
    )
    return said


def at_terminal(folder, *arguments, columns=80, ok=True):
    """What a command writes to a terminal of so many columns, as lines: in this process, as
    `isthmus` above.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    chunks = []

    def read():
        with contextlib.suppress(OSError):  # Linux says EIO when the other side is closed
            while chunk := os.read(ours, 65_536):
                chunks.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        said = isthmus(folder, *arguments, ok=ok, out=terminal, err=terminal)
    reader.join()
    os.close(ours)
    return said.code, b"".join(chunks).decode().replace("\r\n", "\n")


def plain(text):
    """Text without colours, and of a line that was written over itself what stayed."""
    bare = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    return [line.rsplit("\r", 1)[-1] for line in bare.split("\n")]


def too_wide(text, columns=80):
    """Lines of a terminal that are longer, but for a word or a command, which it breaks so that
    they can be copied.
    """
    return [
        line
        for line in plain(text)
        if len(line) > columns and not re.fullmatch(r" *(next +)?(isthmus .*|\S+)", line)
    ]


def start(folder, *arguments, code=CHILD):
    """A command in a process (and a session) of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def tree(folder):
    """Every file below a folder, by the digest of its bytes; not the id of `.isthmus`, which a copy
    has of its own.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.parts[-2:] != (FOLDER, ID)
    }


def edit(file, old, new):
    text = Path(file).read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}"
    Path(file).write_text(text.replace(old, new), encoding="utf-8")


def create(folder, *, example="starter"):
    """A new project in `folder`."""
    isthmus(folder.parent, "init", folder.name, "--example", example)
    return folder


def made(folder, *, train=False):
    """The starter with its events and views; with `train`, with its model.

    Made once for all workers of a run, and copied.
    """
    return shutil.copytree(_starter(train=train), folder)


@cache
def _starter(*, train):
    place = shared() / ("trained" if train else "made")
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder := place / "shop").exists():
            _make(place / "making" / "shop", train=train).rename(folder)
    return folder


def _make(folder, *, train):
    shutil.rmtree(folder.parent, ignore_errors=True)  # of one that was killed
    folder.parent.mkdir()
    if train:
        isthmus(made(folder), "train", "models/history.yaml")
        return folder
    create(folder)
    for command in ("apply", "ingest", "materialize"):
        isthmus(folder, command)
    return folder
