"""`isthmus ui` in a process of its own: it listens, answers, and ends with Ctrl-C."""

import json
import signal
from urllib.request import urlopen

import pytest

from isthmus.tests.cli.running import isthmus, start

pytestmark = pytest.mark.slow


def test_the_pages_are_served_until_ctrl_c(tmp_path):
    """Starts a process, which takes a second."""
    isthmus(tmp_path, "init", "shop", "--example", "starter")
    process = start(tmp_path / "shop", "ui", "--port", "0", "--json")
    try:
        head = "".join(iter(process.stdout.readline, "}\n"))
        about = json.loads(head + "}")
        assert about["write"] is False
        with urlopen(f"{about['url']}/experiments.json", timeout=60) as answer:
            assert json.load(answer)["experiments"] == []
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "stopping" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
