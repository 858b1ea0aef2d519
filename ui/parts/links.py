"""The addresses of the pages of runs, versions and configurations: each names the others."""

from __future__ import annotations

from urllib.parse import quote

from ...reports import page as kit


def run_path(run: str) -> str:
    """Return the URL path of a training run's page."""
    return f"/runs/{quote(run, safe='')}"


def run_link(run: str) -> kit.Drawn:
    """Return an HTML link to a training run's page."""
    return kit.link(run, run_path(run))


def version_link(version: str) -> kit.Drawn:
    """Return an HTML link to a model version's page."""
    return kit.link(version, f"/models/{quote(version, safe='@')}")


def graph_link(config: str) -> kit.Drawn:
    """Return an HTML link to the page of a model configuration's graph."""
    return kit.link(config, f"/models/graph/{quote(config, safe='')}")
