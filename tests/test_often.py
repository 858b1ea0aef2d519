"""`make test-often` on a small suite: what fails is counted over the rounds, and what is done is
not done again.
"""

import contextlib
import subprocess

import pytest

from . import often

pytestmark = pytest.mark.slow
SUITE = """
import pytest
def test_holds(): pass
def test_breaks(): assert False
@pytest.mark.slow
def test_breaks_slowly(): assert False
"""


def test_a_core_is_loaded_as_long_as_the_rounds_last(monkeypatch):
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words: started.append(popen(*words)) or started[0]
    )
    with often._loaded_core():
        assert started[0].poll() is None
    assert started[0].returncode is not None


def test_failures_are_counted_and_rounds_that_ended_are_kept(tmp_path, monkeypatch, capfd):
    (tmp_path / "test_some.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(
        "from hypothesis import settings\nsettings.register_profile('often')\n"
    )
    (tmp_path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nmarkers = ["slow: slow"]\n'
    )
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "A suite"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(often, "ROOT", tmp_path)
    monkeypatch.setattr(
        often, "_loaded_core", contextlib.nullcontext
    )  # it took as much of a core as all the rest
    monkeypatch.setattr(often, "WORKERS", "0")  # so did the workers, two a round
    monkeypatch.setattr(often, "ROUNDS", (("quick", "not slow", 2), ("slow", "slow", 1)))

    assert often.main([]) == 1
    first = capfd.readouterr().out
    assert often.main([]) == 1
    again = capfd.readouterr().out
    assert (first.count(" round "), again.count(" round ")) == (3, 0)
    rows = [line.split()[:2] for line in again.splitlines()[2:]]
    assert rows == [["2", "test_some::test_breaks"], ["1", "test_some::test_breaks_slowly"]]
    assert again in first
