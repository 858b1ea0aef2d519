"""The order of steps: circles, and who may start given how the others ended."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet


def cycle(edges: Mapping[str, AbstractSet[str]]) -> list[str]:
    """The names along one circle of the graph, first name repeated at the end; empty when there is none."""
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
