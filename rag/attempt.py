"""One attempt at an answer: retrieve, write, and hand on each event only while all that was shown for it may be read."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from typing import Any

from indexes.embedder import Embedder
from indexes.errors import ProviderError
from indexes.vocabulary import Hit, Principal
from rag.answer import Answer, AnswerEvent
from rag.cache import Key, Scope
from rag.guard import Guard
from rag.history import History, readable_history
from rag.passages import Passage, pack
from rag.prompts import PromptTemplate
from rag.reply import Reply
from rag.retrieve import Retriever, SearchResult
from rag.writing import drafted, extracted, load_models_ahead

PROMPT_TOKENS = 2400
"""Budget of the passages in a model's prompt, by the embedder's tokenizer."""

log = logging.getLogger("loremill.ask")


class Lost(Exception):
    """A passage that was shown may not be read any more."""


class Moved(Exception):
    """Other documents went live before the first passage was shown."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An extractive answer, and how many passages it was chosen from."""

    answer: Answer
    passages: int


@dataclass(frozen=True, slots=True)
class Writer:
    """A model with what it is asked; `name` is its backend's."""

    name: str
    model: Any
    template: PromptTemplate
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One question with all that its answer depends on; `parts` are what is searched for.

    All of it is of one `release`, whatever goes live while the answer is made: passages, how many of them, embedder, model and prompt.
    """

    question: str
    parts: tuple[str, ...]
    retriever: Retriever
    collection: str
    principal: Principal
    release: str
    passages: int
    embedder: Embedder
    writer: Writer | None
    history: Sequence[Mapping[str, str]]
    today: date

    @property
    def generator(self) -> str:
        return "extractive" if self.writer is None else self.writer.name

    def key(self, scope: Scope) -> Key[_Kept]:
        """Name the extractive answer: history enters it through the parts alone, settings do not, but the day does."""
        return Key.of(scope, "extractive answer", self.question, self.parts, self.today.isoformat())


def attempt(asked: Asked, guard: Guard, reply: Reply) -> Iterator[AnswerEvent]:
    """Make the answer, or take the one that is kept.

    Only extractive answers are kept: they follow from their key. A model need not write the same twice, and what stands in for one that
    failed must not stay when it works again.

    Raises:
        Lost: what the events rest on may not be read any more.
        Moved: nothing was shown yet, and what is live now has other documents.
    """
    key, model = asked.key(guard.scope), asked.writer
    kept = _kept(asked, key) if model is None else None
    if kept is not None:
        yield AnswerEvent("passages", {"count": kept.passages})
        yield from _watched(_replayed(kept.answer, reply), guard, _cited(kept.answer))
        return
    if model is None:
        load_models_ahead()
    found = _found(asked, reply)
    if guard.moved():
        raise Moved
    hits = _merged(found)
    budget = PROMPT_TOKENS if model is not None else 10**9
    passages = pack(hits, max_tokens=budget, count_tokens=asked.embedder.count_tokens)
    history = _history(asked) if model is not None and passages else History()
    shown = {hit.chunk_id for hit in hits} | history.chunk_ids
    yield AnswerEvent("passages", {"count": len(passages)}, () if model is None else tuple(sorted(shown)))
    events = _written(asked, found, passages, history, guard.scope, reply)
    yield from _watched(events, guard, shown)
    if model is None and asked.key(guard.scope) == key:  # else it was made from more than one state
        entry = _Kept(reply.answer(asked.question, total_s=0.0), len(passages))
        asked.retriever.cache.put(key, entry, chars=len(repr(entry)))


def _kept(asked: Asked, key: Key[_Kept]) -> _Kept | None:
    """Return the answer that is kept, if each chunk that it cites may still be read."""
    kept = asked.retriever.cache.get(key)
    if kept is not None:
        cited = _cited(kept.answer)
        if cited == asked.retriever.confirm(asked.collection, cited, principal=asked.principal).keys():
            return kept
        asked.retriever.cache.drop(key)
    return None


def _cited(answer: Answer) -> set[str]:
    return {citation.chunk_id for citation in answer.citations}


def _replayed(answer: Answer, reply: Reply) -> Generator[AnswerEvent]:
    reply.release, reply.notice, reply.citations = answer.release, answer.notice, list(answer.citations)
    for sentence in answer.sentences:
        yield reply.add_cited(sentence)


def _watched(events: Generator[AnswerEvent], guard: Guard, shown: Collection[str]) -> Iterator[AnswerEvent]:
    """Hand the events on, each only while all that was shown may be read; then close them, which stops a model that writes."""
    with closing(events):
        for event in events:
            if guard.lost(shown):
                raise Lost
            yield event
    if guard.lost(shown):
        raise Lost


def _found(asked: Asked, reply: Reply) -> dict[str, SearchResult]:
    """Search for each part."""
    started = time.perf_counter()
    found = {
        part: asked.retriever.search(
            part,
            collection=asked.collection,
            principal=asked.principal,
            top_k=asked.passages,
            release=asked.release,
        )
        for part in asked.parts
    }
    reply.release = asked.release
    reply.retrieve_s = time.perf_counter() - started
    return found


def _merged(found: Mapping[str, SearchResult]) -> list[Hit]:
    """Return the hits of all parts of a question, the best of each first."""
    rows = zip_longest(*(result.hits for result in found.values()))
    return list({hit.chunk_id: hit for row in rows for hit in row if hit is not None}.values())


def _history(asked: Asked) -> History:
    return readable_history(
        asked.history,
        retriever=asked.retriever,
        collection=asked.collection,
        principal=asked.principal,
        release=asked.release,
    )


def _written(
    asked: Asked,
    found: Mapping[str, SearchResult],
    passages: Sequence[Passage],
    history: History,
    scope: Scope,
    reply: Reply,
) -> Generator[AnswerEvent]:
    """Let the model write, if there is one; extract where there is none, or where it fails."""
    writer = asked.writer
    if writer is not None and passages:
        try:
            yield from drafted(
                asked.question, passages, reply, model=writer.model, template=writer.template,
                max_tokens=writer.max_tokens, history=history.turns,
            )  # fmt: skip
            reply.generator = asked.generator
            return
        except ProviderError as error:
            log.warning("generator %s failed, answering extractively: %s", asked.generator, error)
            reply.note(
                f"The generator {asked.generator} failed ({error}); this answer was extracted from the documents instead."
            )
    hits = {part: result.hits for part, result in found.items()}
    yield from extracted(hits, reply, embedder=asked.embedder, readers=scope.readers, today=asked.today)
