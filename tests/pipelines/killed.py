"""A command that is killed together with the runner of its steps, on this machine."""

import os
import signal
import sqlite3
from contextlib import closing
from datetime import timedelta

from isthmus.storage import wait
from isthmus.tests.cli.running import start

SOON = timedelta(minutes=4)


def kill_at(folder, *arguments, files):
    """Start a command in a project, and kill it and its run once one of these files is stored.

    `files` are patterns of paths: `cache/*/trial_9/last.json`.
    """
    store = folder / ".isthmus"
    child = start(folder, *arguments)

    def is_there():
        return child.poll() is not None or any(any(store.rglob(each)) for each in files)

    try:
        wait(is_there, bool, deadline=SOON)
        assert child.poll() is None, child.communicate()
        with closing(sqlite3.connect(store / "local.db")) as db:
            runner = [row[0] for row in db.execute("SELECT pid FROM pipeline_runs")][-1]
        for pid in (child.pid, runner):
            os.kill(pid, signal.SIGKILL)
    finally:
        child.kill()
        child.communicate()
