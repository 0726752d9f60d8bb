"""Any sentence-transformers model, by name (users have a hub) or folder; on CUDA where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.device import cuda_devices
from indexes.device_workers import DeviceWorkers, Embed
from indexes.errors import DependencyMissing, EmbedderError
from indexes.torch_encoder import TorchEncoder

_MANY = 8192
"""From this many texts on, a process for each of several GPUs pays."""


class SentenceTransformerEmbedder:
    """Loads the model at once, so that a wrong name fails before any work.

    On CUDA passages are encoded in half precision (`indexes/torch_encoder.py`), by all GPUs if there are several and texts enough.
    """

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
        self._name = name
        self._encoder = TorchEncoder(self._model) if self._model.device.type == "cuda" else None
        self._workers: DeviceWorkers | None = None
        self.dim = int(self._model.get_embedding_dimension())
        self.max_tokens = int(self._model.max_seq_length or 512) - 2
        self.model_id = f"{name}/fp32"

    def embed_queries(self, texts: Sequence[str]) -> Float32Matrix:
        return self._encode(self._model.encode_query, texts)

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        if self._encoder is None or not texts:
            return self._encode(self._model.encode_document, texts)
        prompted = [document_prompt(self._model) + text for text in texts]
        if len(texts) < _MANY or cuda_devices() < 2:
            return self._encoder.embed(prompted)
        if self._workers is None or not self._workers.alive:
            devices = [f"cuda:{number}" for number in range(cuda_devices())]
            self._workers = DeviceWorkers(partial(load_on, self._name), devices)
        return self._workers.embed(prompted, dim=self.dim)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        encoded = self._model.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def _encode(self, encode: Any, texts: Sequence[str]) -> Float32Matrix:
        if not texts:
            return np.empty((0, self.dim), np.float32)
        vectors = encode(list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


def document_prompt(model: Any) -> str:
    """Return what the model wants before each passage, as sentence-transformers' `encode_document` chooses it."""
    names = ("document", "passage", "corpus", model.default_prompt_name)
    return next((model.prompts[name] for name in names if name in model.prompts), None) or ""


def load_on(name: str, device: str) -> Embed:
    """Load the model on one device, in a worker's process."""
    from sentence_transformers import SentenceTransformer

    return TorchEncoder(SentenceTransformer(name, device=device)).embed
