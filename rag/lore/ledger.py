"""Facts kept in memory alone: derivation and reconciliation as a store applies them, for measuring and testing the rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from rag.lore.derive import derive
from rag.lore.items import Action, Decision, Episode, FactDraft, Known
from rag.lore.reconcile import holds, reconcile

Derive = Callable[[Sequence[Episode]], list[FactDraft]]


@dataclass
class Ledger:
    """The facts of one scope, by id, and which of them contradict each other undecided."""

    known: dict[str, Known] = field(default_factory=dict)
    conflicts: dict[str, set[str]] = field(default_factory=dict)

    def add(self, episodes: Sequence[Episode], *, derive: Derive = derive) -> list[Decision]:
        """Take in what episodes state; return what was decided about each draft, in order."""
        return [self.take(draft) for draft in derive(episodes)]

    def take(self, draft: FactDraft) -> Decision:
        """Reconcile one draft with what is known, and do as decided."""
        assert draft.told is not None
        decision = reconcile(draft, list(self.known.values()), now=draft.told)
        settled = decision.draft
        if decision.action is Action.REINFORCE:
            (again,) = decision.about
            one = self.known[again]
            sources = (*one.draft.sources, *(id for id in settled.sources if id not in one.draft.sources))
            self.known[again] = replace(
                one,
                draft=replace(one.draft, sources=sources),
                time=max(one.time, draft.told),
                trust=max(one.trust, draft.trust),
            )
            return decision
        if decision.action in {Action.CLOSE, Action.RETRACT}:
            for about in decision.about:
                one = self.known[about]
                self.known[about] = replace(one, draft=replace(one.draft, valid_to=decision.ends))
        if decision.action in {Action.ADD, Action.CLOSE, Action.CONFLICT}:
            id = f"fact-{len(self.known) + 1}"
            self.known[id] = Known(id, settled, draft.told, draft.trust)
            if decision.action is Action.CONFLICT:
                for about in decision.about:
                    self.conflicts.setdefault(id, set()).add(about)
                    self.conflicts.setdefault(about, set()).add(id)
        return decision

    def holding(self, at: datetime) -> list[Known]:
        """Return the facts that hold at a moment, in the order in which they came."""
        return [one for one in self.known.values() if holds(one.draft, at)]
