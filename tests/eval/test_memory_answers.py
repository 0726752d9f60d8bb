"""What the answerer is given of memory: who said it when, with days in place of "yesterday"."""

from __future__ import annotations

from datetime import UTC, datetime

from eval.memory_answers import dated, passages_of
from rag.lore.items import Episode, Kind, MemoryItem

DAY = datetime(2026, 5, 7, 9, tzinfo=UTC)


def item(name: str, text: str, score: float) -> MemoryItem:
    said = Episode(name, text, "Alice", "s", DAY, "user")
    return MemoryItem(name, Kind.EPISODE, text, score, "user", DAY, None, None, 1.0, {}, (said,))


def test_relative_days_are_counted_from_when_it_was_said() -> None:
    assert "6 May 2026" in dated("I sailed yesterday and slept.", DAY)
    assert dated("I sail.", DAY) == "I sail."


def test_passages_are_numbered_titled_and_scored_against_the_best() -> None:
    first, second = passages_of([item("a", "I sailed yesterday.", 2.0), item("b", "I slept.", 1.0)])
    assert (first.number, first.hit.title, first.hit.score) == (1, "Alice, 7 May 2026", 1.0)
    assert (second.hit.document_id, second.hit.score) == ("b", 0.5)
    assert first.text[first.hit.start : first.hit.end] == first.text
