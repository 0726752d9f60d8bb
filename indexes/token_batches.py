"""Batches of token rows of like length, by a budget of tokens: little padding, steady memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from indexes.arrays import BoolMatrix, Int32Matrix, Int32Vector, Int64Vector

_MULTIPLE = 8


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Some of the texts, as the encoder takes them."""

    rows: Int64Vector
    """Which of the texts given, shape (n,)."""
    ids: Int32Matrix
    """Token ids, shape (n, longest), zero where a text has ended."""
    mask: BoolMatrix
    """True where there is a token, shape (n, longest)."""


def token_batches(tokens: Sequence[Int32Vector], *, budget: int, pad: bool = True) -> Iterator[TokenBatch]:
    """Cut texts into batches, longest first, each of at most `budget` tokens with the padding, but of at least one text.

    Args:
        tokens: token ids of each text; none is empty.
        budget: n * longest of a batch stays within it.
        pad: fill shorter texts up to the longest, itself rounded up to a multiple of 8 as tensor cores want it; else only
            texts of one length share a batch.
    Cost: O(texts log texts + tokens), in numpy.
    """
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    order = np.argsort(-lengths, kind="stable")
    falling = -lengths[order]
    at = 0
    while at < len(order):
        longest = int(lengths[order[at]])
        width = -(-longest // _MULTIPLE) * _MULTIPLE if pad else longest
        end = len(order) if pad else int(np.searchsorted(falling, -longest, side="right"))
        rows = order[at : min(end, at + max(1, budget // width))]
        filled = np.arange(width) < lengths[rows, None]
        ids = np.zeros(filled.shape, np.int32)
        ids[filled] = np.concatenate([tokens[row] for row in rows])
        yield TokenBatch(rows, ids, filled)
        at += len(rows)
