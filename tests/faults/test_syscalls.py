"""A verb that is disturbed at any of the system's calls: run it again, and the world is the one of
an undisturbed verb.

A few places each, drawn with a fixed seed; `make bench-faults` takes all of them.
"""

import random
import re
import shutil
import subprocess
import sys

import pytest

from isthmus.tests.cli.running import CHILD, create, isthmus
from isthmus.tests.faults.preloaded.commands import COMPILER
from isthmus.tests.faults.preloaded.syscalls import Commands, Kind, Verb

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or COMPILER is None,
        reason="builds a library for LD_PRELOAD: needs Linux and cc",
    ),
]

KINDS = (Kind.KILL, Kind.TEAR, Kind.FULL, Kind.BROKEN)
TRACED = "write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,ftruncate,truncate,fallocate,fsync,fdatasync,sync_file_range,"
TRACED += "open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat"


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    with Commands(tmp_path_factory.mktemp("library")) as running:
        yield running


@pytest.mark.parametrize("name", ["apply", "ingest", "materialize", "destroy"])
def test_a_verb_that_a_system_call_stops_ends_like_one_that_is_not_once_it_is_run_again(
    commands, tmp_path, name
):
    """Each kind at a place of its own: a try is two commands and two looks at the world, about half
    a second.
    """
    verb = Verb(name, commands, tmp_path)
    chance = random.Random(name)
    for kind in KINDS:
        assert verb.disturbed(kind, chance.randint(1, verb.calls - 5)), "nothing was disturbed"


@pytest.mark.skipif(shutil.which("strace") is None, reason="the kernel's own count needs strace")
def test_the_library_counts_what_the_kernel_sees(commands, tmp_path):
    """Of one and the same ingest, so that threads which take turns differently do not matter."""
    shop, log = create(tmp_path / "shop"), tmp_path / "strace.txt"
    isthmus(shop, "apply")
    commands.plan.arm(shop)
    traced = [
        "strace",
        "-f",
        "-y",
        "-s",
        "0",
        "-e",
        f"trace={TRACED}",
        "-o",
        log,
        sys.executable,
        "-c",
        CHILD,
        "ingest",
    ]
    done = subprocess.run(
        traced, cwd=shop, env=commands.environment, capture_output=True, text=True, check=False
    )
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    calls = [call for call in log.read_text().splitlines() if changes(call, str(shop.resolve()))]
    assert len(calls) == commands.plan.seen
    assert len(calls) > 500


def changes(line, root):
    """Whether a line of strace is a call that changes something below a folder."""
    match = re.match(r"\d+ +(\w+)\((.*)", line)
    if match is None:  # the second half of a call, a signal, an end
        return False
    operation, arguments = match.groups()
    if operation.startswith(("open", "creat")) and not re.search("O_CREAT|O_TRUNC", arguments):
        return False
    named = re.sub(
        r'(AT_FDCWD|\d+)<[^>]*>, (?="/)', "", arguments
    )  # where the name is absolute, the folder before it means nothing
    return bool(re.search(rf"{re.escape(root)}[/>\"]", named))
