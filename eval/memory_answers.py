"""Answers out of recalled items by the extractive answerer, as documents' answers are made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from indexes.vocabulary import Hit
from rag.extractive import Quote, Readers, extract
from rag.lore.items import Kind, MemoryItem
from rag.passages import Passage

if TYPE_CHECKING:
    from indexes.embedder import Embedder


class MemoryAnswerer:
    """Answers a question from recalled items, or abstains."""

    def __init__(self, embedder: Embedder) -> None:
        cross_encoder, late_interaction = _models()
        self._readers = Readers(embedder.embed_passages, cross_encoder.scores, late_interaction.coverage)

    def answer(self, question: str, items: Sequence[MemoryItem]) -> str:
        """Return the best sentence of the items; empty where they do not answer.

        Cost: about half a second, most of it in the cross-encoder.
        """
        return " ".join(quote.text for quote in self._quotes(question, items))

    def _quotes(self, question: str, items: Sequence[MemoryItem]) -> list[Quote]:
        return extract(question, passages_of(items), readers=self._readers, today=datetime.now(UTC).date(), limit=1)


def passages_of(items: Sequence[MemoryItem]) -> list[Passage]:
    """Return the items as passages, titled with who said it when; the best has score 1."""
    best = max((item.score for item in items), default=0.0)
    return [
        Passage(
            number,
            Hit(
                number, item.score / best if best > 0 else 0.0, item.id, item.id, f"memory/{item.id}", _title(item),
                item.text, 0, len(item.text), {},
            ),
        )
        for number, item in enumerate(items, start=1)
    ]  # fmt: skip


def _title(item: MemoryItem) -> str:
    day = f"{item.time.day} {item.time:%B %Y}"
    who = item.provenance[0].speaker if item.kind == Kind.EPISODE and item.provenance else ""
    return f"{who}, {day}" if who else day


@cache
def _models():  # type: ignore[no-untyped-def]
    from indexes.cross_encoder import CrossEncoder
    from indexes.late_interaction import LateInteraction

    return CrossEncoder(), LateInteraction()
