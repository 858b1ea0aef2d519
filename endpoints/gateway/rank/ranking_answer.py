"""The gateway's answers to requests that rank, or that ask for arms alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ....reports.results import Shown


class Ranking(Shown, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    items: tuple[int | str, ...]
    scores: tuple[float, ...]
    propensities: tuple[float, ...]
    variant: str
    version: str  # model@version
    rules: tuple[str, ...]
    request_id: str
    stale_features: tuple[str, ...]
    assignments: dict[str, str] = {}  # the unit's arm by run; absent when it is in none
    parameters: dict[
        str, Any
    ] = {}  # that the model was asked with; absent where the endpoint has none
    exposures: tuple[
        str, ...
    ] = ()  # ids that events refer to as exposure_id; absent where none do and nothing is tested
    positions: tuple[
        int, ...
    ] = ()  # of the items; absent where they are 1, 2, 3, ... without a gap
    problems: tuple[
        str, ...
    ] = ()  # undelivered exposures, of this answer or of earlier ones; absent when all is well

    def __str__(self) -> str:
        short = msgspec.structs.replace(
            self,
            scores=tuple(float(f"{score:.3g}") for score in self.scores),
            propensities=tuple(float(f"{share:.6g}") for share in self.propensities),
        )
        return json.dumps(msgspec.to_builtins(short))


class Assigned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`variant` and `explore` are among the parameters where an arm sets them."""

    assignments: dict[str, str]  # the unit's arm by run
    parameters: dict[str, Any]
    config: int | None  # the version of what is known of experiments; null: nothing is
    problems: tuple[str, ...] = ()  # as a ranking's

    def __str__(self) -> str:
        return json.dumps(msgspec.to_builtins(self))
