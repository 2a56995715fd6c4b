"""Find cycles in a dependency graph. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter


def find_cycle(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one cycle of a graph, with its first name repeated at the end; empty if the graph is acyclic.

    Dependencies that are not keys of the graph are ignored. Iterative, so that chains may be long.

    Args:
        graph: name -> the names it depends on.
    """
    finished: set[str] = set()
    for start in graph:
        path: list[str] = []
        waiting = {start: iter(graph[start])} if start not in finished else {}
        path.extend(waiting)
        while path:
            node = path[-1]
            successor = next((name for name in waiting[node] if name in graph and name not in finished), None)
            if successor is None:
                finished.add(node)
                del waiting[path.pop()]
            elif successor in waiting:
                return [*path[path.index(successor) :], successor]
            else:
                waiting[successor] = iter(graph[successor])
                path.append(successor)
    return []


def dependency_order(graph: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of an acyclic graph, each after those it depends on, otherwise in the given order.

    Args:
        graph: name -> the names it depends on; those that are no keys are ignored.

    Raises:
        graphlib.CycleError: the graph has a cycle.
    """
    place = {name: number for number, name in enumerate(graph)}
    sorter = TopologicalSorter({name: [other for other in graph[name] if other in graph] for name in graph})
    sorter.prepare()
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        ordered += ready
        sorter.done(*ready)
    return ordered
