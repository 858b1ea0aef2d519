"""How often each rule of an endpoint had a say: counted in the answers that its gateways logged."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

import msgspec

from ...core.runtime.project import Project
from ...errors import NotFound
from ...project.specs.rules import Pin, Rule
from ..gateway.decide.rulebook import name_of
from ..gateway.log.streams import RANKINGS


class RuleHits(msgspec.Struct, frozen=True, kw_only=True):
    """The number of answers that each rule of an endpoint changed."""

    since: date
    answers: int
    hits: dict[str, int]  # answers that a rule changed, by its name (gateway/rulebook.py)


def rule_hits(project: Project, endpoint: str, *, days: int) -> RuleHits:
    """Return how many answers each rule changed on the last `days` dates.

    The dates are of the project's clock. It takes one query of `rankings`.

    Raises:
        NotFound: No gateway has logged an answer yet.
    """
    if project.target.warehouse.observe(RANKINGS.name) is None:
        raise NotFound(
            f"{project.target.name} has no {RANKINGS.name} yet: no gateway has logged an answer",
            remedy="isthmus apply",
        )
    rules = {name_of(rule): rule for rule in project.spec.endpoints[endpoint].rules}
    since = project.now().date() - timedelta(days=days - 1)
    (row,) = project.target.warehouse.query(
        hits_sql(rules.values()), {"endpoint": endpoint, "since": since.isoformat()}
    ).to_pylist()
    hits = {name: row[f"rule{number}"] for number, name in enumerate(rules)}
    return RuleHits(since=since, answers=row["answers"], hits=hits)


def hits_sql(rules: Collection[Rule]) -> str:
    """Return SQL that counts an endpoint's logged answers, and how many each rule changed.

    Parameters: $endpoint and $since. Columns: answers, and rule0, rule1, ... in the order of
    `rules`. It is in the SQL that all targets share. Each answer counts once, even if its row was
    stored twice.
    """
    hit = "count(DISTINCT CASE WHEN rules LIKE '{}' THEN event_id END) AS rule{}"
    counted = [
        "count(DISTINCT event_id) AS answers",
        *(hit.format(_pattern(rule), number) for number, rule in enumerate(rules)),
    ]
    return (
        f"SELECT {', '.join(counted)} FROM {RANKINGS.name} WHERE endpoint = $endpoint AND dt >= "
        "$since"
    )


def _pattern(rule: Rule) -> str:
    """Return the SQL LIKE pattern for logged answers that a rule changed.

    It matches the rule's name in the column `rules`, a JSON list. Characters that are special in
    LIKE become `_`, which matches any one character.
    """
    begins = (
        msgspec.json.encode(f"{name_of(rule)}{' ' if isinstance(rule, Pin) else ': '}")
        .decode()
        .removesuffix('"')
    )
    return f"%{begins.replace('%', '_').replace(chr(92), '_')}%".replace("'", "''")
