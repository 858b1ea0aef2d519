"""..."""

from __future__ import annotations

KINDS = ()


def run(here, meaning, running): ...
