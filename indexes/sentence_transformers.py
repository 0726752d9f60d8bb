"""Any sentence-transformers model, by name (users have a hub) or folder; on CUDA where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.device import cuda_devices
from indexes.errors import DependencyMissing, EmbedderError


class SentenceTransformerEmbedder:
    """Loads the model at once, so that a wrong name fails before any work."""

    def __init__(self, name: str, *, device: Literal["auto", "cpu", "cuda"] = "auto", threads: int = 0) -> None:
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise DependencyMissing("sentence-transformers", extra="embed") from error
        if device == "auto":
            device = "cuda" if cuda_devices() and torch.cuda.is_available() else "cpu"
        if threads and device == "cpu":
            torch.set_num_threads(threads)
        try:
            self._model: Any = SentenceTransformer(name, device=device)
        except Exception as error:  # a hub, a file or CUDA may fail in many ways; all mean the same to the user
            raise EmbedderError(f"embedder {name!r} cannot be loaded on {device}: {error}") from error
        self.dim = int(self._model.get_embedding_dimension())
        self.max_tokens = int(self._model.max_seq_length or 512) - 2
        self.model_id = f"{name}/fp32"

    def embed_queries(self, texts: Sequence[str]) -> Float32Matrix:
        return self._encode(self._model.encode_query, texts)

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        return self._encode(self._model.encode_document, texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        encoded = self._model.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def _encode(self, encode: Any, texts: Sequence[str]) -> Float32Matrix:
        if not texts:
            return np.empty((0, self.dim), np.float32)
        vectors = encode(list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)
