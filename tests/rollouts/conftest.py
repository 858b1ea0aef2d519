"""Marks of the conformance suite, some of whose tests judge the scripted world too."""


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(row): the capability that this test asserts")
    config.addinivalue_line("markers", "ports(judged, *needed): the port that this file judges, and those without which it cannot")
