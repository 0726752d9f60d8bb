"""Answers out of recalled items by the extractive answerer, as documents' answers are made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from indexes.vocabulary import Hit
from rag.extractive import Quote, Readers, extract
from rag.lore.dates import find_dates
from rag.lore.items import Kind, MemoryItem
from rag.passages import Passage

if TYPE_CHECKING:
    from indexes.cross_encoder import CrossEncoder
    from indexes.embedder import Embedder
    from indexes.late_interaction import LateInteraction


_WHEN = re.compile(r"\b(?:when|what (?:date|day|month|year)|which (?:date|day|month|year))\b", re.IGNORECASE)


class MemoryAnswerer:
    """Answers a question from recalled items, or abstains."""

    def __init__(self, embedder: Embedder) -> None:
        cross_encoder, late_interaction = _models()
        self._readers = Readers(embedder.embed_passages, cross_encoder.scores, late_interaction.coverage)

    def answer(self, question: str, items: Sequence[MemoryItem]) -> str:
        """Return the best sentence of the items; empty where they do not answer.

        Cost: about half a second, most of it in the cross-encoder.
        """
        by_id = {item.id: item for item in items}
        told = []
        for quote in self._quotes(question, items):
            item = by_id[quote.passage.hit.document_id]
            undated = _WHEN.search(question) and not find_dates(quote.text, item.time)
            told.append(f"{quote.text} ({_day(item)})" if undated else quote.text)
        return " ".join(told)

    def _quotes(self, question: str, items: Sequence[MemoryItem]) -> list[Quote]:
        return extract(question, passages_of(items), readers=self._readers, today=datetime.now(UTC).date(), limit=1)


def dated(text: str, at: datetime) -> str:
    """Return a text with days in place of "yesterday" and its like, counted from when it was said."""
    for mention in sorted(find_dates(text, at), key=lambda one: -one.start):
        text = text[: mention.start] + mention.reads + text[mention.end :]
    return text


def passages_of(items: Sequence[MemoryItem]) -> list[Passage]:
    """Return the items as passages with their days resolved, titled with who said it when; the best has score 1."""
    texts = [dated(item.text, item.time) for item in items]
    best = max((item.score for item in items), default=0.0)
    return [
        Passage(
            number,
            Hit(
                number, item.score / best if best > 0 else 0.0, item.id, item.id, f"memory/{item.id}", _title(item),
                text, 0, len(text), {},
            ),
        )
        for number, (item, text) in enumerate(zip(items, texts, strict=True), start=1)
    ]  # fmt: skip


def _title(item: MemoryItem) -> str:
    day = _day(item)
    who = item.provenance[0].speaker if item.kind == Kind.EPISODE and item.provenance else ""
    return f"{who}, {day}" if who else day


def _day(item: MemoryItem) -> str:
    return f"{item.time.day} {item.time:%B %Y}"


@cache
def _models() -> tuple[CrossEncoder, LateInteraction]:
    from indexes.cross_encoder import CrossEncoder
    from indexes.late_interaction import LateInteraction

    return CrossEncoder(), LateInteraction()
