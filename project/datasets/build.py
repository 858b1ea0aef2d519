"""Values of the section `datasets:` -> structs."""

from __future__ import annotations

from ..sections.values import YamlValues
from ..specs.datasets import Dataset


def build_dataset(name: str, values: YamlValues) -> Dataset:
    """Build the Dataset struct."""
    return Dataset(name=name, **values)
