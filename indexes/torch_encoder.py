"""A sentence-transformers model fed without a pause: half precision on CUDA, pinned copies, several batches in flight."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from indexes.arrays import Float32Matrix, Int32Vector
from indexes.encoding import Finish, encode_texts
from indexes.token_batches import TokenBatch

_CUDA_TOKENS = 1 << 16
_CPU_TOKENS = 1 << 11
_SAME = 0.9999
"""Least cosine between two vectors of a text in one embedding space."""
_PROBES = ("", "parental leave", "The quick brown fox jumps over the lazy dog. " * 20, "§ 5 (2) Überweisung 休暇")
_IN_FLIGHT = 3
"""One batch on its way in, one computed, one on its way out."""


class TorchEncoder:
    """Encodes passages with `model` on the device it lies on; the same steps on CUDA and on the CPU, which only waits where CUDA need not.

    Args:
        model: a SentenceTransformer, left as it is. On CUDA a copy in half precision encodes, if its vectors are the same.
        budget: tokens of a batch with padding; 0 takes what suits the device.
    """

    def __init__(self, model: Any, *, budget: int = 0) -> None:
        model.eval()
        self._on_cuda = model.device.type == "cuda"
        self._model = halved(model) if self._on_cuda else model
        self._budget = budget or (_CUDA_TOKENS if self._on_cuda else _CPU_TOKENS)
        self._dim = int(model.get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> Float32Matrix:
        """Return one unit row a text, shape (n, dim), in the order given."""
        return encode_texts(
            texts, tokenize=self.tokenize, start=self.start, dim=self._dim, budget=self._budget, in_flight=_IN_FLIGHT
        )

    def tokenize(self, texts: Sequence[str]) -> list[Int32Vector]:
        """Return each text's token ids, with the special ones, cut to the model's length."""
        limit = self._model.max_seq_length
        encoded = self._model.tokenizer(list(texts), truncation=limit is not None, max_length=limit, verbose=False)
        return [np.array(ids, np.int32) for ids in encoded["input_ids"]]

    def start(self, batch: TokenBatch) -> Finish:
        """Queue a batch on the device; nothing waits before the rows are asked for."""
        import torch

        ids = self._sent(batch.ids).long()
        features = {"input_ids": ids, "attention_mask": self._sent(batch.mask).long()}
        with torch.inference_mode():
            rows = self._model(features)["sentence_embedding"]
            rows = torch.nn.functional.normalize(rows.float(), dim=1)
        if not self._on_cuda:
            return partial(np.asarray, rows)
        host = torch.empty(rows.shape, pin_memory=True)
        host.copy_(rows, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()

        def finish() -> Float32Matrix:
            copied.synchronize()
            return np.asarray(host)

        return finish

    def _sent(self, array: Any) -> Any:
        import torch

        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self._model.device, non_blocking=True) if self._on_cuda else tensor


def halved(model: Any) -> Any:
    """Return a copy in half precision, or `model` itself where the copy would make another embedding space (some overflow)."""
    half = copy.deepcopy(model).half()
    rows = [np.asarray(one.encode(list(_PROBES), show_progress_bar=False), np.float32) for one in (model, half)]
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in rows]
    cosines = (rows[0] * rows[1]).sum(axis=1) / (lengths[0] * lengths[1])
    return half if bool((cosines >= _SAME).all()) else model  # NaN is no cosine, and keeps full precision
