"""The spine of every bulk encoder: sort by length, tokenise ahead, batch by tokens, keep several batches in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from indexes.arrays import Float32Matrix, Int32Vector, Int64Vector
from indexes.token_batches import TokenBatch, token_batches

Tokenize = Callable[[Sequence[str]], list[Int32Vector]]
Finish = Callable[[], Float32Matrix]
"""Waits for a batch's rows, unit length, shape (n, dim)."""
Start = Callable[[TokenBatch], Finish]
"""Begins to encode a batch. Batches are finished in the order they were started."""

_STRETCH = 1024
"""Texts tokenised at once while the stretch before them is encoded."""


def encode_texts(
    texts: Sequence[str],
    *,
    tokenize: Tokenize,
    start: Start,
    dim: int,
    budget: int,
    in_flight: int = 1,
    pad: bool = True,
) -> Float32Matrix:
    """Return one row a text, shape (n, dim), in the order given.

    Args:
        start: the encoder; up to `in_flight` batches are started before the first of them is finished.
        budget: tokens of a batch, with padding.
        pad: whether texts of different lengths may share a batch.
    Memory: the rows, the tokens of two stretches and `in_flight` batches.
    """
    vectors = np.empty((len(texts), dim), np.float32)
    started: deque[tuple[Int64Vector, Finish]] = deque()

    def finish_first() -> None:
        rows, finish = started.popleft()
        vectors[rows] = finish()

    for rows, tokens in _tokenized_ahead(texts, tokenize):
        for batch in token_batches(tokens, budget=budget, pad=pad):
            if len(started) == in_flight:
                finish_first()
            started.append((rows[batch.rows], start(batch)))
    while started:
        finish_first()
    return vectors


def _tokenized_ahead(texts: Sequence[str], tokenize: Tokenize) -> Iterator[tuple[Int64Vector, list[Int32Vector]]]:
    """Yield stretches of texts, longest first, with their tokens; the next is tokenised in a thread meanwhile."""
    order = np.argsort(np.fromiter((-len(text) for text in texts), np.int64, len(texts)), kind="stable")
    stretches = [order[at : at + _STRETCH] for at in range(0, len(order), _STRETCH)]
    if len(stretches) < 2:
        yield from ((rows, tokenize([texts[row] for row in rows])) for rows in stretches)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="tokenize") as thread:
        ahead = thread.submit(tokenize, [texts[row] for row in stretches[0]])
        for number, rows in enumerate(stretches):
            tokens = ahead.result()
            if number + 1 < len(stretches):
                ahead = thread.submit(tokenize, [texts[row] for row in stretches[number + 1]])
            yield rows, tokens
