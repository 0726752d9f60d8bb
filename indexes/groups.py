"""Groups within groups: who is in what, directly or through other groups. Cycles are allowed and add nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

Edges = Mapping[str, Sequence[str]]
"""From a subject or group to the groups that it is directly in."""

_ABOVE = """
WITH RECURSIVE above (member, "group") AS (
    SELECT member, "group" FROM memberships
    WHERE tenant = :tenant AND member IN (SELECT value FROM json_each(:names))
  UNION
    SELECT next.member, next."group" FROM above JOIN memberships AS next ON next.member = above."group"
    WHERE next.tenant = :tenant
)
SELECT member, "group" FROM above ORDER BY member, "group"
"""  # UNION drops what is already there, so a cycle ends


def edges_above(db: Connection, *, tenant: str, names: Iterable[str]) -> Edges:
    """Return the memberships of `names`, of the groups that these are in, and so on to any depth.

    Cost: one look-up by index for each group found, whatever the number of members.
    """
    found = db.exec_driver_sql(_ABOVE, {"tenant": tenant, "names": json.dumps(list(names))})
    return gather((member, group) for member, group in found)


def gather(memberships: Iterable[tuple[str, str]]) -> Edges:
    """Turn pairs of member and group into edges, in their order."""
    edges: defaultdict[str, list[str]] = defaultdict(list)
    for member, group in memberships:
        edges[member].append(group)
    return edges


def containing(edges: Edges, start: str) -> tuple[str, ...]:
    """Return every group that `start` is in, directly or not, sorted."""
    return tuple(sorted(_parents(edges, start).keys() - {start}))


def shortest_chain(edges: Edges, start: str, group: str) -> tuple[str, ...]:
    """Return the shortest chain from `start` to `group`, both included; of equals the first by the edges' order; empty if none."""
    parents = _parents(edges, start)
    if group not in parents or group == start:
        return ()
    chain = [group]
    while chain[-1] != start:
        chain.append(parents[chain[-1]])
    return tuple(reversed(chain))


def _parents(edges: Edges, start: str) -> dict[str, str]:
    """Search breadth first; return what is reached from `start`, each with the node before it on a shortest way."""
    parents = {start: start}
    queue = [start]
    for node in queue:  # grows while it is read
        for group in edges.get(node, ()):
            if group not in parents:
                parents[group] = node
                queue.append(group)
    return parents
