"""Commands in processes with a library of ours preloaded (syscalls.c, power_cut.c).

They are forked from one which has imported everything.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

COMPILER = shutil.which(os.environ.get("CC", "cc"))
RUN = "isthmus.cli.main:run"
# A fork takes a tenth of the time of a new process.
SERVER = """
import json, os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import importlib, duckdb, isthmus, numpy, pyarrow.parquet, sqlglot
from isthmus.adapters.local import ADAPTER
from isthmus.cli.main import COMMANDS, main
for port in ADAPTER.ports.values():
    importlib.import_module(port.partition(":")[0])
for name in isthmus.__all__:
    getattr(isthmus, name)
for name in COMMANDS:
    main.get_command(None, name)
for line in sys.stdin:
    folder, log, entry, arguments = json.loads(line)
    child = os.fork()
    if not child:
        os.setsid()
        os.chdir(folder)
        os.dup2(os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = 99
        try:
            module, _, name = entry.partition(":")
            getattr(importlib.import_module(module), name)(arguments)
            code = 0
        except SystemExit as leaving:
            code = leaving.code or 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Ended(NamedTuple):
    """How a command ended: its exit code (negative: the signal that killed it), and what it
    printed.
    """

    code: int
    text: str


class Preloaded:
    """A process with the library in it, which runs commands one after the other. A context manager.

    `VARIABLE` names the plan's file to the library. `preloaded` are the variables by which another
    process has it, too.
    """

    SOURCE: Path
    VARIABLE: str

    def __init__(self, folder, plan, **variables):
        self.folder, self.plan = folder, plan
        self.library = folder / "preloaded.so"
        self.log = folder / "log.txt"
        compile_library(self.SOURCE, self.library)
        self.preloaded = {
            "LD_PRELOAD": str(self.library),
            self.VARIABLE: str(folder / "plan"),
            **variables,
        }
        self.environment = os.environ | self.preloaded | {"COLUMNS": "200"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def run(self, folder, arguments, *, entry=RUN):
        """Run a command, or call a function `module:name` with one JSON value, in `folder` to its
        end.
        """
        self.process.stdin.write(json.dumps([str(folder), str(self.log), entry, arguments]) + "\n")
        self.process.stdin.flush()
        return Ended(int(self.process.stdout.readline()), self.log.read_text())


def compile_library(source, library):
    """Build a shared library of one C file."""
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
