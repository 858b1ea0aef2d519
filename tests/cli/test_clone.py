"""Somebody else's project on this machine: whatever lies in its folder, verbs that only look run
nothing of it, signal no process that it names and talk to no port that it names.
"""

import json
import pickle
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from urllib.request import urlopen

import pytest

from isthmus.adapters.local.endpoints.rows import RunningServer, SupervisorAddress
from isthmus.adapters.local.processes import start_time
from isthmus.core.formats import decode
from isthmus.tests.cli.running import isthmus, made, tree

pytestmark = pytest.mark.slow

# libraries that a command imports once it has found its project
SHADOWED = """sqlite3 duckdb pyarrow pandas numpy yaml boto3 botocore awswrangler moto waitress werkzeug google grpc sqlglot starlette
uvicorn tempfile sitecustomize usercustomize conftest"""


class Planted:
    """Unpickled, it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


class Trap:
    """A process, a port and a folder of this user's, which a hostile project names."""

    def __init__(self, folder):
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.outside = folder / "outside"
        self.outside.mkdir()
        # it looks like a stack: its words are what a stack's process is known by
        words = [sys.executable, "-c", "import time; time.sleep(9000)", "isthmus_stack.aws"]
        self.process = subprocess.Popen(words, start_new_session=True)
        self.port = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.number = self.port.getsockname()[1]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.port.close()

    def assert_nothing_came(self):
        assert sorted(path.name for path in self.marks.iterdir()) == [], "something ran"
        assert self.process.poll() is None, "the process was signalled"
        assert not select.select([self.port], [], [], 0)[0], "the port was talked to"
        assert list(self.outside.iterdir()) == []


@pytest.fixture
def trap(tmp_path):
    trap = Trap(tmp_path)
    yield trap
    trap.close()


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A project that was trained and deployed somewhere, as it lay there meanwhile."""
    folder = made(tmp_path_factory.mktemp("used") / "shop", train=True)
    isthmus(folder, "deploy", "home")
    there = shutil.copytree(
        folder, folder.parent / "there", ignore=shutil.ignore_patterns("*.lock")
    )
    isthmus(folder, "destroy", "--yes")
    return there


def plant(own, trap):
    """Make every record in a `.isthmus` name the trap."""
    (own / "id").write_text("0" * 32)
    (own / "lock").write_text(
        json.dumps({"command": "train", "pid": trap.process.pid, "since": "2026-01-01T00:00:00Z"})
    )
    (own / "starting").mkdir(exist_ok=True)
    (own / "starting" / "r1.x").write_text("")
    record = own / "endpoints" / "home" / "supervisor.json"
    address = decode(record.read_bytes(), SupervisorAddress, what="it")
    began = start_time(trap.process.pid)
    server = {
        "identity": ["v", "ranker", 1, "m", 1],
        "pid": trap.process.pid,
        "started": began,
        "port": trap.number,
    }
    named = {
        "port": trap.number,
        "pid": trap.process.pid,
        "group": trap.process.pid,
        "home": str(own),
        "servers": [server],
    }
    record.write_text(json.dumps(json.loads(record.read_text()) | named))
    assert decode(record.read_bytes(), SupervisorAddress, what="it").servers[0] == RunningServer(
        identity=("v", "ranker", 1, "m", 1), pid=trap.process.pid, started=began, port=trap.number
    )
    assert address.port != trap.number
    with closing(sqlite3.connect(own / "local.db", isolation_level=None)) as database:
        database.execute("UPDATE endpoints SET port = ?", (trap.number,))
        database.execute(
            "UPDATE pipeline_runs SET pid = ?, process_started = ?", (trap.process.pid, began)
        )
    for cloud in ("aws", "gcp"):
        home = own / "stack" / cloud
        ready = {
            "schema": 1,
            "url": f"http://127.0.0.1:{trap.number}",
            "pid": trap.process.pid,
            "clock": "instant",
        }
        home.mkdir(parents=True)
        (own / "stack" / f"{cloud}.json").write_text(json.dumps(ready))
        about = {
            "format": 2,
            "cloud": cloud,
            "versions": {"moto": "5"},
            "moto_answers": False,
            "seal": "00" * 32,
        }
        (home / "home.json").write_text(json.dumps(about))
        (home / "owner.lock").symlink_to(trap.outside / "lock")
        for name in (
            "s3/buckets/123456789012.aws",
            "moto/iam/123456789012.aws",
            "stores/tags.Tags/123456789012.us-east-1",
            "clock/now",
        ):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(pickle.dumps(Planted(trap.marks / "unpickled")))


@pytest.fixture
def archive(used, tmp_path, trap):
    """As it is unpacked from an archive: files of this user, that git does not track."""
    folder = shutil.copytree(used, tmp_path / "archive")
    plant(folder / ".isthmus", trap)
    for file in folder.rglob("*.py"):
        if ".isthmus" not in file.parts:
            file.write_text(f"open({str(trap.marks / file.name)!r}, 'w')\n{file.read_text()}")
    return folder


LOOKING = (
    ["plan"],
    ["status"],
    ["query", "SELECT 1"],
    ["runs", "list"],
    ["models", "list"],
    ["endpoints", "list"],
    ["endpoints", "logs", "home"],
    ["doctor", "--deep"],
    ["stack", "status"],
    ["ui", "--port", "0"],
    ["gateway", "--port", "0"],
    *(
        [verb, "--target", target, "--offline"]
        for verb in ("plan", "status")
        for target in ("sagemaker", "vertex")
    ),
    ["ui", "--port", "0", "--target", "sagemaker", "--offline"],
)
CHANGING = (
    ["stack", "down", "--forget"],
    ["ingest"],
    ["deploy", "home"],
    ["destroy", "--yes"],
    ["destroy", "--yes", "--target", "sagemaker", "--offline"],
)


def test_no_verb_uses_what_came_with_an_archive(archive, trap):
    before = tree(archive)
    for words in (*LOOKING, *CHANGING):
        said = isthmus(archive, *words, ok=False)
        assert (said.code, said.out) == (1, ""), words
        assert f"{archive / '.isthmus'} is not known to" in said.err, words
        assert "isthmus trust" in said.err
    for words in (["validate"], ["doctor"], ["schema"]):
        isthmus(archive, *words)
    assert tree(archive) == before
    trap.assert_nothing_came()


def test_what_git_brings_is_refused_by_name_and_gone_once_it_is_removed(archive, tmp_path, trap):
    for words in (
        ["init", "-q"],
        ["add", "-Af", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "shop"],
    ):
        subprocess.run(["git", *words], cwd=archive, check=True)
    subprocess.run(["git", "clone", "-q", archive, tmp_path / "clone"], check=True)
    clone = tmp_path / "clone"
    for words in (["events", "diff", "HEAD"], *LOOKING):
        said = isthmus(clone, *words, ok=False)
        assert (said.code, said.out) == (1, ""), words
        assert f"git tracks files in {clone / '.isthmus'}: .isthmus/" in said.err, words
    assert isthmus(clone, "trust", "--yes", ok=False).code == 1
    subprocess.run(["git", "rm", "-rq", "--cached", ".isthmus"], cwd=clone, check=True)
    shutil.rmtree(clone / ".isthmus")
    assert isthmus(clone, "status").code == isthmus(clone, "events", "diff", "HEAD").code == 0
    trap.assert_nothing_came()


def test_a_link_in_the_place_of_the_folder_leads_nowhere(archive, used, trap):
    """To this user's own store, and through profiles.yaml."""
    mine = made(archive.parent / "mine") / ".isthmus"
    isthmus(mine.parent, "status")
    before = tree(mine)
    shutil.rmtree(archive / ".isthmus")
    (archive / ".isthmus").symlink_to(mine)
    for words in (["status"], ["query", "SELECT 1"], ["stack", "status"], ["trust", "--yes"]):
        said = isthmus(archive, *words, ok=False)
        assert said.code == 1
        assert "is a symbolic link, to" in said.err
    (archive / ".isthmus").unlink()
    (archive / "profiles.yaml").write_text(f"targets: {{local: {{home: {mine}}}}}\n")
    for words in (["status"], ["query", "SELECT 1"], ["destroy", "--yes"]):
        said = isthmus(archive, *words, ok=False)
        assert said.code == 1
        assert f"{mine} is kept for {mine.parent}" in said.err
    assert tree(mine) == before
    trap.assert_nothing_came()


def test_what_is_trusted_is_used(archive, tmp_path, trap):
    """By whom it is theirs:

    `trust` shows it, asks, and then all that an older release had stored is there.
    """
    shown = isthmus(archive, "trust", ok=False)
    assert shown.code == 1
    assert "local.db" in shown.out
    assert "as nobody here can say yes" in shown.err
    assert isthmus(archive, "status", ok=False).code == 1
    with closing(
        sqlite3.connect(archive / ".isthmus" / "local.db", isolation_level=None)
    ) as database:
        database.execute("DELETE FROM endpoints")
    shutil.rmtree(archive / ".isthmus" / "endpoints")
    shutil.rmtree(archive / ".isthmus" / "stack")
    assert isthmus(archive, "trust", "--yes", "--json").json["folders"] == [
        str(archive / ".isthmus")
    ]
    assert isthmus(archive, "runs", "list").code == 0
    assert (archive / ".isthmus").stat().st_mode & 0o777 == 0o700
    trap.assert_nothing_came()


def test_what_a_repository_says_that_git_is_to_run_is_not_run(tmp_path, trap):
    """An archive may hold `.git`, whose settings name programs: filters of what is read out, a
    watcher of files, a transport.
    """
    folder = made(tmp_path / "shop")
    shutil.rmtree(folder / ".isthmus")
    (folder / ".gitattributes").write_text("* filter=theirs\n*.yaml export-subst diff=theirs\n")
    (folder / "link.csv").symlink_to(trap.outside)
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "shop"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)
    program = f"sh -c 'touch {trap.marks}/$0; cat' "
    for key, name in {
        "core.fsmonitor": "watcher",
        "core.pager": "pager",
        "core.sshCommand": "transport",
        "diff.theirs.textconv": "text",
        "filter.theirs.smudge": "filter",
        "filter.theirs.process": "process",
        "tar.tar.command": "archive",
        "uploadpack.packObjectsHook": "pack",
    }.items():
        subprocess.run(["git", "config", key, program + name], cwd=folder, check=True)
    assert isthmus(folder, "events", "diff", "HEAD").out == "no event changed since HEAD\n"
    isthmus(folder, "plan")
    trap.assert_nothing_came()


@pytest.fixture
def shadowing(tmp_path, trap):
    """A clone without `.isthmus`, in which modules stand where Python might look for libraries."""
    folder = made(tmp_path / "shadowing")
    shutil.rmtree(folder / ".isthmus")
    for name in (*SHADOWED.split(), "isthmus/__init__"):
        file = folder / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(trap.marks)!r} + '/' + __name__, 'w')\n")
    for file in folder.glob("*.py"):
        file.write_text(f"open({str(trap.marks)!r} + '/' + __name__, 'w')\n{file.read_text()}")
    yield folder
    command(folder, "stack", "down", "--forget")


def command(folder, *words):
    """A command as the script `isthmus` starts it: without the working folder among Python's."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "isthmus", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_modules_beside_project_yaml_stand_for_no_library(shadowing, trap):
    for words in (["validate"], ["plan"], ["status"]):
        command(shadowing, *words)
    for target in ("sagemaker", "vertex"):
        command(shadowing, "plan", "--target", target, "--offline")
    ui = subprocess.Popen(
        [sys.executable, "-P", "-m", "isthmus", "ui", "--port", "0", "--json"],
        cwd=shadowing,
        stdout=subprocess.PIPE,
    )
    try:
        text = b""
        while not text.endswith(b"}\n"):
            text += ui.stdout.readline()
        with urlopen(json.loads(text)["url"], timeout=60) as page:
            assert page.status == 200
    finally:
        ui.terminate()
        ui.wait()
        ui.stdout.close()
    trap.assert_nothing_came()
