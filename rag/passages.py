"""Passages: the hits that fit the prompt, numbered as the answer will cite them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from indexes.vocabulary import Hit


@dataclass(frozen=True, slots=True)
class Passage:
    """A hit as packed into a prompt; `number` counts from 1 and is what `[n]` in an answer means."""

    number: int
    hit: Hit

    @property
    def text(self) -> str:
        return self.hit.text


def pack(hits: Sequence[Hit], *, max_tokens: int, count_tokens: Callable[[list[str]], list[int]]) -> list[Passage]:
    """Return the best hits that together stay within `max_tokens`, in rank order.

    Args:
        hits: best first.
        max_tokens: budget for all texts together, at least 1.
        count_tokens: texts -> their lengths in the generator's or the embedder's tokens.
    Returns:
        Passages numbered from 1. Exact repetitions of a text are dropped, the first stays. A passage is never torn:
        packing stops before the first that does not fit. The first hit is always packed, also when it alone is over
        the budget.
    """
    unique: dict[str, Hit] = {}
    for hit in hits:
        unique.setdefault(hit.text, hit)
    lengths = count_tokens(list(unique)) if unique else []
    passages: list[Passage] = []
    total = 0
    for hit, tokens in zip(unique.values(), lengths, strict=True):
        total += tokens
        if passages and total > max_tokens:
            break
        passages.append(Passage(len(passages) + 1, hit))
    return passages
