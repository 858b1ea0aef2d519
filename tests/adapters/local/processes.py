"""Other processes that use the same home: started, waited for at a line that they print, killed or
joined.
"""

import subprocess
import sys
import textwrap

PREAMBLE = """
import os
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
import pyarrow as pa
from isthmus.adapters import targets
from isthmus.errors import Conflict
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.target import Profile

home = sys.argv[1]
target = targets.load(Profile(name="local", adapter="local", project="conf", options={"home": home}))

def reached(word):
    print(word, flush=True)

def stay():
    reached("here")
    sys.stdin.read()
"""


def start(home, code):
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out.split()


def kill_when_reached(process):
    """kill -9 at the point where the process said that it is."""
    assert process.stdout.readline().strip() == "here"
    process.kill()
    process.wait(timeout=120)
    process.stdin.close()
    process.stdout.close()
