"""A full disk: said plainly, and after some space was freed the same command goes on; nothing is
lost or doubled.
"""

import errno
import itertools
import os
import subprocess

import pytest

import isthmus as im
from isthmus.tests.cli.running import create, isthmus
from isthmus.tests.faults.flow import RELATIONS, digest

pytestmark = [pytest.mark.soak, pytest.mark.slow]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    from isthmus.tests.cli.running import made

    return seen(made(tmp_path_factory.mktemp("wanted") / "shop"))


def seen(folder):
    with im.open(folder / "project.yaml") as project:
        return {
            name: digest(project.target.warehouse.query(f"SELECT * FROM {name}", {}))
            for name in RELATIONS
        }


@pytest.mark.parametrize("after", [1, 2, 4, 7, 11])
def test_a_disk_that_fills_while_a_command_writes(tmp_path, wanted, monkeypatch, after):
    shop = create(tmp_path / "shop")
    whole = os.fsync
    for command in ("apply", "ingest", "materialize"):
        left = [after]

        def full(descriptor, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            whole(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            said = isthmus(shop, command, ok=False)
        if left[0] < 0:
            assert said.code == 1
            assert "disk is full" in said.err or "No space left" in said.err
        isthmus(shop, command)
    assert seen(shop) == wanted


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB, where the machine lets us mount one."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root; the test above fills the disk without")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk, wanted):
    shop = create(small_disk / "shop")
    isthmus(shop, "apply")
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(itertools.repeat(b"\0" * 4096))
    for command in ("ingest", "materialize"):
        said = isthmus(shop, command, ok=False)
        assert said.code == 1
        assert "full" in said.err or "No space left" in said.err
    ballast.unlink()
    isthmus(shop, "ingest")
    isthmus(shop, "materialize")
    assert seen(shop) == wanted
