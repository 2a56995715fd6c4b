"""Cycles in a graph of dependencies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def find_cycle(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """One cycle of a graph, its first name again at the end; empty when there is none.

    Names that are no key of the graph are left out. Iterative, so that a long chain is no danger.

    Args:
        graph: name -> the names it depends on.
    """
    done: set[str] = set()
    for start in graph:
        path: list[str] = []
        waiting = {start: iter(graph[start])} if start not in done else {}
        path.extend(waiting)
        while path:
            here = path[-1]
            onward = next((name for name in waiting[here] if name in graph and name not in done), None)
            if onward is None:
                done.add(here)
                del waiting[path.pop()]
            elif onward in waiting:
                return [*path[path.index(onward) :], onward]
            else:
                waiting[onward] = iter(graph[onward])
                path.append(onward)
    return []
