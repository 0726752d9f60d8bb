"""The ways into memory: what each can be asked, and those that need no server. `service.audit_memory` adds the wire.

A way in is used as one person at a time and has methods of `rag.memory.Memory`; what it lacks is not asked of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from eval.audit.memory_doors import Library, WayIn
from eval.audit.trial import Trial

MOST = 1000


@dataclass(frozen=True, slots=True)
class Way:
    """One way into memory.

    Args:
        methods: those of `Memory` that it has; None means all. `put` and `search` are a LangGraph store's;
            `as of`, `prompt`, `where` are options of `recall`; `here`: the trial's own mills are asked.
        weight: how often it is taken, against the others.
        most: items that one recall can bring.
    """

    enter: WayIn
    weight: float
    methods: frozenset[str] | None = None
    most: int = MOST

    def has(self, needed: frozenset[str]) -> bool:
        """Return whether all these can be asked."""
        return needed.isdisjoint({"put", "search"}) if self.methods is None else needed <= self.methods


class Recaller:
    """LangChain's retriever over memory, in the place of `recall`."""

    def __init__(self, trial: Trial) -> None:
        self._mill, self._principal = trial.history.hand, trial.principal

    def recall(self, query: str, *, top_k: int, **given: Any) -> list[Any]:
        from rag.langchain import MemoryRetriever
        from rag.lore.items import MemoryItem
        from rag.lore.wire import from_json

        retriever = MemoryRetriever(mill=self._mill, principal=self._principal, top_k=top_k, **given)
        return [
            from_json(MemoryItem, {**one.metadata, "id": one.id, "text": one.page_content})
            for one in retriever.invoke(query)
        ]


def over_a_store(trial: Trial) -> Any:
    """LangGraph's store over memory."""
    from rag.langgraph import LoremillStore

    return LoremillStore(trial.history.hand, principal=trial.principal)


def library_ways() -> Mapping[str, Way]:
    """Return the ways in Python, those through packages that are installed."""
    ways = {"library": Way(Library, 8)}
    if find_spec("langchain_core"):
        ways["langchain"] = Way(Recaller, 1, frozenset({"recall", "where"}))
    if find_spec("langgraph"):
        ways["langgraph"] = Way(over_a_store, 1, frozenset({"put", "search"}))
    return ways
