"""The real embedder for tests that ingest the same documents again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.minilm import MiniLM


class EachTextOnce:
    """Embeds each passage once, and returns the same vector from then on; all else is the real embedder's."""

    def __init__(self, real: MiniLM) -> None:
        self._real = real
        self._kept: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if new:
            self._kept.update(zip(new, self._real.embed_passages(new), strict=True))
        return np.array([self._kept[text] for text in texts], np.float32).reshape(len(texts), self._real.dim)
