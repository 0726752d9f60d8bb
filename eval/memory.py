"""Evaluates memory on conversations through the real facade: remember every turn, settle, then recall each question.

Each conversation belongs to one user of a tenant of its own, so the scopes keep them apart as they do for customers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from eval.answers import contains, token_f1
from eval.conversations import Conversation, MemoryQuestion
from indexes.vocabulary import Principal
from rag.lore.items import MemoryItem
from rag.lore.pack import as_prompt, pack

if TYPE_CHECKING:
    from rag.loremill import Loremill

TENANT = "eval-memory"
BUDGETS = (250, 500, 1000, 2000)
BUDGET = 1000
"""Answers are made from what is recalled within so many tokens."""
TURNS = 20
_RANKED = 150
"""Items of a recall that are packed into the budgets; no budget here holds as many."""

Progress = Callable[[str, int, int | None], None]


class Answerer(Protocol):
    """What makes an answer of recalled items; empty text where it abstains."""

    def answer(self, question: str, items: Sequence[MemoryItem]) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question.

    Args:
        found: evidence turns among the provenance, by budget; `text` counts the items' texts alone, `prompt` all that the prompt form prints,
            `turns` takes the first 20 items.
        tokens: of the recalled texts and of the prompt at 1,000: never more.
        told: a gold answer stands in the prompt at 1,000 tokens, word for word.
        answer: the extractive answer; None where none was asked for.
        newest_first: the newest evidence came before what is outdated; None where nothing is.
    """

    conversation: str
    question: MemoryQuestion
    found: Mapping[str, int]
    tokens: tuple[int, int]
    told: bool
    answer: str | None
    newest_first: bool | None
    ms: float

    @property
    def f1(self) -> float:
        return token_f1(self.answer or "", self.question.answers)

    @property
    def contained(self) -> bool:
        return contains(self.answer or "", self.question.answers)


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one conversation: its figures in the report's order."""

    conversation: str
    turns: int
    facts: int
    duplicates: int
    """Facts that say, word for word and case aside, what another says."""
    doubtful: int
    """Facts that look like junk: questions, or fewer than three words. A proxy; the rule is no judge."""
    closed: int
    conflicts: int
    again: int
    """New facts after the whole conversation was remembered a second time; should be 0."""
    remember_ms: float
    recall_ms: float
    embed_ms: float


@dataclass(frozen=True, slots=True)
class MemoryRun:
    """All that was measured, in the order of the file."""

    outcomes: tuple[Outcome, ...]
    stored: tuple[Stored, ...]


def evaluate_memory(
    mill: Loremill,
    conversations: Sequence[Conversation],
    *,
    answerer: Answerer | None = None,
    progress: Progress | None = None,
) -> MemoryRun:
    """Remember the conversations, ask their questions, and measure what comes back.

    Args:
        answerer: makes answers of what is recalled; None measures recall alone, in a fraction of the time.
        progress: called with what is counted, how many are done and how many there are.
    Cost: about 10 ms a turn and, without answers, 30 ms a question.
    """
    outcomes: list[Outcome] = []
    stored = []
    total = sum(len(one.questions) for one in conversations)
    for number, one in enumerate(conversations, start=1):
        user = Principal(tenant=TENANT, subject=f"user:{one.id}")
        kept = _remember(mill, one, user)
        if progress:
            progress("conversations", number, len(conversations))
        asked = []
        for question in one.questions:
            asked.append(_ask(mill, one, question, user, kept.episodes, answerer))
            if progress:
                progress("questions", len(outcomes) + len(asked), total)
        stored.append(_measured(mill, one, user, kept, asked))
        outcomes += asked
    return MemoryRun(tuple(outcomes), tuple(stored))


@dataclass(frozen=True, slots=True)
class _Kept:
    episodes: Mapping[str, str]
    """Turn id -> episode id."""
    ms: float
    """Of one turn, on average."""


def _remember(mill: Loremill, one: Conversation, user: Principal) -> _Kept:
    episodes: dict[str, str] = {}
    started = time.perf_counter()
    for session, turns in one.sessions():
        messages: list[dict[str, Any]] = [
            {"role": turn.role, "content": turn.text, "speaker": turn.speaker}
            | ({"time": turn.time} if turn.time else {})
            for turn in turns
        ]
        told = mill.memory.remember(messages, principal=user, scope="user", session=session)
        episodes |= {turn.id: episode.id for turn, episode in zip(turns, told, strict=True)}
    elapsed = time.perf_counter() - started
    mill.memory.settle()
    return _Kept(episodes, 1000 * elapsed / len(one.turns))


def _ask(
    mill: Loremill,
    one: Conversation,
    question: MemoryQuestion,
    user: Principal,
    episodes: Mapping[str, str],
    answerer: Answerer | None,
) -> Outcome:
    started = time.perf_counter()
    ranked = mill.memory.recall(question.text, principal=user, top_k=_RANKED)
    elapsed = 1000 * (time.perf_counter() - started)
    assert isinstance(ranked, list)
    count = mill.embedder.count_tokens
    evidence = {episodes[turn] for turn in question.evidence}
    found = {"turns": len(evidence & _sources(ranked[:TURNS]))}
    for budget in BUDGETS:
        for name, framed in (("text", False), ("prompt", True)):
            packed = pack(ranked, max_tokens=budget, count_tokens=count, framed=framed)
            found[f"{name}@{budget}"] = len(evidence & _sources(packed))
    items = pack(ranked, max_tokens=BUDGET, count_tokens=count)
    prompt = as_prompt(pack(ranked, max_tokens=BUDGET, count_tokens=count, framed=True))
    return Outcome(
        one.id, question, found, (sum(count([item.text for item in items])), count([prompt])[0]),
        contains(prompt, question.answers), answerer.answer(question.text, items) if answerer else None,
        _newest_first(question, ranked, episodes), elapsed,
    )  # fmt: skip


def _sources(items: Sequence[MemoryItem]) -> set[str]:
    return {episode.id for item in items for episode in item.provenance}


def _newest_first(question: MemoryQuestion, ranked: Sequence[MemoryItem], episodes: Mapping[str, str]) -> bool | None:
    if not question.outdated:
        return None
    new, old = ({episodes[turn] for turn in turns} for turns in (question.evidence, question.outdated))
    for item in ranked:
        told = _sources([item])
        if told & new:
            return True
        if told & old:
            return False
    return False


def _measured(mill: Loremill, one: Conversation, user: Principal, kept: _Kept, asked: Sequence[Outcome]) -> Stored:
    facts = _facts(mill, user)
    texts = [" ".join(fact.text.casefold().split()) for fact in facts]
    now = datetime.now(UTC)
    embed = []
    for outcome in asked[:50]:
        started = time.perf_counter()
        mill.embedder.embed_queries([outcome.question.text])
        embed.append(1000 * (time.perf_counter() - started))
    _remember(mill, one, user)
    return Stored(
        one.id, len(one.turns), len(facts), len(texts) - len(set(texts)),
        sum(text.endswith("?") or len(text.split()) < 3 for text in texts),
        sum(fact.valid_to is not None and fact.valid_to <= now for fact in facts),
        sum(bool(fact.conflicts) for fact in facts), len(_facts(mill, user)) - len(facts), kept.ms,
        _median([outcome.ms for outcome in asked]), _median(embed),
    )  # fmt: skip


def _facts(mill: Loremill, user: Principal) -> list[MemoryItem]:
    """Return all facts that hold, page by page."""
    found: list[MemoryItem] = []
    while True:
        page = mill.memory.list(
            principal=user, kinds=["fact", "profile"], limit=1000, after=found[-1].id if found else None
        )
        found += page
        if len(page) < 1000:
            return found


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0
