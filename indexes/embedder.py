"""Embedders behind one protocol, and the factory that chooses one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from indexes.arrays import Float32Matrix
from indexes.settings import Settings


class Embedder(Protocol):
    """Text -> unit-length float32 rows. Equal texts give equal rows, whatever batch they come in, within 1e-5."""

    model_id: str
    """Names the embedding space: vectors of different ids are never compared."""
    dim: int
    max_tokens: int
    """Longer texts are cut by the model; chunks are made shorter than this."""

    def embed_queries(self, texts: Sequence[str]) -> Float32Matrix:
        """Return one row a text, shape (n, dim)."""

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        """Return one row a text, shape (n, dim), in the order given."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens without the special ones."""


def make_embedder(settings: Settings, *, home: Path) -> Embedder:
    """Return the embedder that the settings name: `minilm` or `minilm-fast` from their package, else a sentence-transformers model by name or folder.

    Raises:
        DependencyMissing: its packages are not installed.
        EmbedderError: the model cannot be loaded.
    """
    if settings.embedder in ("minilm", "minilm-fast"):
        from indexes.minilm import MiniLM

        fast = settings.embedder == "minilm-fast"
        return MiniLM(cache=home / "models", threads=settings.threads, device=settings.device, fast=fast)
    from indexes.sentence_transformers import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder(settings.embedder, device=settings.device, threads=settings.threads)
