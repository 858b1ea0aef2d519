"""An upgrade under a running endpoint:

`status` says that an earlier version serves, and `deploy` replaces it under traffic.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import isthmus
from isthmus.adapters.local.endpoints import supervision
from isthmus.tests.conformance.toy_models import remove_endpoints, until
from isthmus.tests.endpoints import mini

pytestmark = pytest.mark.slow
PACKAGE = Path(isthmus.__file__).parent
LEFT_OUT = {"tests", "docs", "examples", "benchmarks", "build", "dist", "localstack", "deploy"}


def left_out(folder, names):
    """The folders at the top that are in no wheel, and what is no source."""
    return [
        name
        for name in names
        if name.startswith((".", "__pycache__")) or (name in LEFT_OUT and Path(folder) == PACKAGE)
    ]


@pytest.fixture
def installed(tmp_path):
    """A copy of the package, which is what its processes run; a change of it is an upgrade."""
    shutil.copytree(PACKAGE, tmp_path / "site" / "isthmus", ignore=left_out)
    return tmp_path / "site" / "isthmus"


def run(installed, folder, *command):
    environ = {**os.environ, "PYTHONPATH": str(installed.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "isthmus", *command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_deploy_replaces_router_and_model_servers_of_an_earlier_version_without_losing_a_request(
    installed, tmp_path
):
    (tmp_path / "mini").mkdir()
    folder = mini.filled(tmp_path / "mini")
    home = folder / ".isthmus"
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
    run(installed, folder, "deploy", "ranker")
    try:
        assert "earlier version" not in run(installed, folder, "status")
        before = supervision.address(home, "ranker")
        changed = installed / "endpoints" / "http" / "requests.py"
        changed.write_text(changed.read_text() + "\n# a later version\n")
        assert (
            "an earlier version of Isthmus serves it; to replace it: isthmus deploy ranker"
            in run(installed, folder, "status")
        )
        answered, failed, over = [], [], threading.Event()
        caller = threading.Thread(target=call, args=(before.port, answered, failed, over))
        caller.start()
        until(lambda: len(answered) > 20 or failed)
        assert failed == []
        run(installed, folder, "deploy", "ranker")
        until(lambda: "earlier version" not in run(installed, folder, "status"))
        count = len(answered)
        until(lambda: len(answered) > count + 20)
        over.set()
        caller.join()
        after = supervision.address(home, "ranker")
        assert (failed, after.port, after.pid == before.pid) == ([], before.port, False)
        assert not {server.pid for server in before.servers} & {
            server.pid for server in after.servers
        }
    finally:
        with mini.opened(folder) as project:
            remove_endpoints(project.target)


def call(port, answered, failed, over):
    """As a client does that keeps its connection, and opens another when it was told that this one
    ends.
    """
    import http.client

    body = json.dumps(
        {"instances": [{"item_impressions": 1, "segment_impressions": 1, "position": 1}]}
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while not over.is_set():
        try:
            connection.request("POST", "/invocations", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            (answered if answer.status == 200 else failed).append((answer.status, answer.read()))
        except (OSError, http.client.HTTPException) as error:
            failed.append(repr(error))
            connection.close()
