"""Commands as a user runs them: in this process, where that is enough, or in one of their own, where signals are sent."""

import atexit
import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import NamedTuple

from isthmus.cli.console import Console
from isthmus.cli.main import run

CHILD = "from isthmus.cli.main import run; run()"


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def isthmus(folder, *arguments, stdin="", ok=True):
    """Run a command in `folder`; with `ok`, exit code 0 is expected. `stdin`: text, or a stream."""
    out, err = io.StringIO(), io.StringIO()
    Console.speaking = None
    before, sys.stdin = sys.stdin, io.StringIO(stdin) if isinstance(stdin, str) else stdin
    path = list(sys.path)
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                run([str(argument) for argument in arguments])
                code = 0
            except SystemExit as leaving:
                code = leaving.code
    finally:
        sys.stdin = before
        sys.path[:] = path
    said = Said(code, out.getvalue(), err.getvalue())
    assert not ok or said.code == 0, f"isthmus {' '.join(map(str, arguments))} -> {said.code}\n{said.out}{said.err}"
    return said


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
    """Every file below a folder, by the digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def edit(file, old, new):
    text = Path(file).read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}"
    Path(file).write_text(text.replace(old, new), encoding="utf-8")


def create(folder, *, example=None):
    """A new project in `folder`."""
    isthmus(folder.parent, "init", folder.name, *(("--example", example) if example else ()))
    return folder


def made(folder, *, train=False):
    """The starter with its events and views; with `train`, with its model. Made once a process, and copied."""
    return shutil.copytree(_starter(train=train), folder)


@cache
def _starter(*, train):
    folder = Path(mkdtemp(prefix="isthmus-starter-")) / "shop"
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    if train:
        isthmus(made(folder), "train", "models/history.yaml")
        return folder
    create(folder)
    for command in ("apply", "ingest", "materialize"):
        isthmus(folder, command)
    return folder
