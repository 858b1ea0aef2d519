"""The order of steps: circles, and which may start once others have ended."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal


def cycle(edges: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Return the names along one cycle of a graph, the first name repeated at the end.

    `edges` has the names to which each name leads. Empty: there is no cycle.
    """
    done: set[str] = set()
    for start in edges:
        stack: list[tuple[str, list[str]]] = [(start, sorted(edges[start]))]
        path = [start]
        while stack:
            name, rest = stack[-1]
            if not rest:
                done.add(name)
                stack.pop()
                path.pop()
                continue
            following = rest.pop()
            if following in path:
                return [*path[path.index(following) :], following]
            if following not in done and following in edges:
                stack.append((following, sorted(edges[following])))
                path.append(following)
    return []


Readiness = Literal["run", "wait", "never"]
ENDED = ("Succeeded", "Failed", "Stopped", "never")
_WANTS = {
    "Completed": ("Succeeded",),
    "Failed": ("Failed",),
    "Stopped": ("Stopped",),
    "Any": ("Succeeded", "Failed", "Stopped"),
}


def readiness(
    depends: Iterable[tuple[str, str]],
    branch: tuple[str, bool] | None,
    states: Mapping[str, str],
    outcomes: Mapping[str, bool],
) -> Readiness:
    """Return whether a pipeline step may start now, later or never.

    Args:
        depends: The steps that it depends on, each with the trigger.
        branch: The Condition that it is a branch of, and the outcome that it needs.
        states: The steps that have started, or that never will ("never").
        outcomes: The Conditions that were decided.
    """
    answer: Readiness = "run"
    if branch is not None:
        condition, expected_outcome = branch
        state = states.get(condition)
        if state == "Succeeded":
            if outcomes.get(condition) is not expected_outcome:
                return "never"
        elif state in ENDED:
            return "never"
        else:
            answer = "wait"
    for step, trigger in depends:
        state = states.get(step)
        if state not in ENDED:
            answer = "wait"
        elif state not in _WANTS[trigger]:
            return "never"
    return answer
