"""What the brute-force world knows of memory: who remembered what where, and who may recall it, by the plainest rules there are.

It shares no code with what it judges: not `rag/lore/scopes.py`, not `indexes/access.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from eval.audit.canaries import sung

if TYPE_CHECKING:
    from eval.audit.world import Person, World


@dataclass(frozen=True)
class Memory:
    """One episode as it was remembered by `owner`, or the copy that a share of `source` made. Its canaries are in all it says."""

    tenant: str
    owner: str
    item_id: str
    scope: str
    session: str
    text: str
    mark: str
    source: str = ""
    kind: str = "episode"
    old: bool = False
    """Said long ago."""
    stored: bool = False
    """A value of a LangGraph store."""
    past: tuple[str, ...] = ()
    """Texts that stood in its place; who may read it may learn them from its history."""

    @cached_property
    def canaries(self) -> frozenset[str]:
        return sung((self.text, self.mark, self.session))


def may_recall(memory: Memory, person: Person, world: World) -> bool:
    """Return whether the person may read it at this moment; what is kept for a session only in that session."""
    if memory.tenant != person.tenant:
        return False
    if memory.scope in {"user", "session"}:
        return memory.owner == person.subject
    return memory.scope == "tenant" or _belongs(memory.scope, person, world)


def may_remember(scope: str, person: Person, world: World) -> bool:
    """Return whether the person may write there; in the tenant's scope nobody may to whom it was not granted."""
    if scope == "tenant":
        return (person.tenant, person.subject) in world.writers
    return scope in {"user", "session"} or _belongs(scope, person, world)


def _belongs(scope: str, person: Person, world: World) -> bool:
    """Return whether the person is the agent, or in the team, that the scope names."""
    kind, _, name = scope.partition(":")
    if kind == "agent":
        return person.subject == scope
    return kind == "team" and f"group:{name}" in world.principal(person).groups
