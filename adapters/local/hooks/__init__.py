"""The laptop's optional protocols: options, its place, its upkeep, each imported when asked.

They stand above all other folders of the adapter; `ADAPTER` names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....project.reading.shapes import RecordKey
    from ....target import Examination, Target


class Options:
    """See target.Configured."""

    def keys(self) -> Mapping[str, RecordKey]:
        """Return the options that a target of this adapter takes in profiles.yaml, by name."""
        from ..options import KEYS

        return KEYS


class Place:
    """See target.Located."""

    def place(self, target: Target) -> str:
        """Return the folder with all of a target's data, as text for a command's first line."""
        home = Path(target.profile.options["home"])
        return f"{home.name if home.name.startswith('.') else home}/"


class Upkeep:
    """See target.Maintained."""

    def sweep(self, target: Target) -> None:
        """Remove temporary files of killed writers; the caller holds the project's lock."""
        from ..warehouse.upkeep import sweep

        sweep(target)

    def examine(self, target: Target) -> Examination:
        """Verify the checksums of all stored table files, and return what is missing or damaged."""
        from ..warehouse.upkeep import examine

        return examine(target)
