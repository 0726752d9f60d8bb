"""Reranking: a model reads the first hits together with the query. Optional: it costs some 20 ms a hit.

off         nothing is read
packaged    ms-marco-MiniLM-L-12-v2, 8 bits, English; see `indexes.cross_encoder`
NAME        any sentence-transformers CrossEncoder, by name or folder
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexes.errors import DependencyMissing, EmbedderError

OFF, PACKAGED = "off", "packaged"
READ_SHARE = 0.5
"""Of a hit's score what was read, the rest what found it; either alone ranks worse, see eval/LOG.md."""

FloatVector = npt.NDArray[np.float32]


class Reranker(Protocol):
    """Reads texts with a question."""

    def scores(self, question: str, texts: Sequence[str], *, readers: str = "") -> FloatVector:
        """Return one logit a text, in the order given; `readers` as in `indexes.cross_encoder`."""


class SentenceTransformersReranker:
    """A CrossEncoder of the sentence-transformers package."""

    def __init__(self, name: str) -> None:
        """Load the model.

        Raises:
            DependencyMissing: the package is not installed.
            EmbedderError: there is no such model.
        """
        try:
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise DependencyMissing(error.name or "sentence-transformers", extra="embed") from error
        try:
            self._model = CrossEncoder(name)
        except (OSError, ValueError) as error:
            raise EmbedderError(f"reranker {name!r} cannot be loaded: {error}") from error

    def scores(self, question: str, texts: Sequence[str], *, readers: str = "") -> FloatVector:
        from torch import nn

        pairs = [(question, text) for text in texts]
        found = self._model.predict(pairs, activation_fn=nn.Identity(), show_progress_bar=False)
        return np.asarray(found, dtype=np.float32).reshape(len(texts), -1)[:, -1]


@cache
def make_reranker(name: str) -> Reranker:
    """Return the model called `name`, loaded once a process; errors as `SentenceTransformersReranker`."""
    if name == PACKAGED:
        from indexes.cross_encoder import CrossEncoder

        return CrossEncoder()
    return SentenceTransformersReranker(name)


def reranked(found: FloatVector, logits: FloatVector) -> tuple[npt.NDArray[np.int64], FloatVector]:
    """Order hits by what found them and what was read, and return their positions and scores, descending.

    Args:
        found: the search's scores, descending; the first `len(logits)` hits were read, the others stay behind them.
        logits: of the hits read.
    Returns:
        Positions, and scores in [0, 1]: of those read (1 - READ_SHARE) * found' + READ_SHARE * read', both scaled to [0, 1] among them.
        Ties by the search's order.
    """
    n = len(logits)
    blended = (1.0 - READ_SHARE) * _unit(found[:n]) + READ_SHARE * _unit(logits)
    order = np.argsort(-blended, kind="stable")
    # What was not read comes below the least of what was: by halves, so that the order stays.
    behind = blended.min(initial=1.0) * 0.5 ** np.arange(1, len(found) - n + 1)
    scores = np.concatenate([blended[order], behind]).astype(np.float32)
    return np.concatenate([order, np.arange(n, len(found))]).astype(np.int64), scores


def _unit(scores: FloatVector) -> npt.NDArray[np.float64]:
    """Scale to [0, 1]; all 1 where none is better than another."""
    values = scores.astype(np.float64)
    if not len(values) or (spread := values.max() - values.min()) <= 0.0:
        return np.ones(len(values))
    return np.asarray((values - values.min()) / spread)
