"""Marks of the conformance suite, some of whose tests judge the scripted world too; a person at a
rollout's console.
"""

import pytest


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(row): the capability that this test asserts")
    config.addinivalue_line(
        "markers",
        "ports(judged, *needed): the port that this file judges, and those without which it cannot",
    )


@pytest.fixture
def desk(monkeypatch, tmp_path):
    from .desk import Desk

    return Desk(monkeypatch, tmp_path)
