"""A user's GGUF file, run in this process by llama.cpp (xllamacpp)."""

from __future__ import annotations

import atexit
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexes.errors import ConfigError, DependencyMissing, GeneratorError
from indexes.settings import Settings
from rag.generate import Emit, Usage, pump
from rag.prompts import Prompt

_CONTEXT_TOKENS = 8192  # prompt and answer together; a model's own limit may be far larger and cost gigabytes of cache
_servers: dict[Path, Any] = {}
_lock = threading.Lock()


class GgufGenerator:
    """Chat completion with the model file at `path`; the loaded model is shared by every generator of that file."""

    name = "gguf"

    def __init__(self, path: Path, *, threads: int = 0, timeout_s: float = 60.0) -> None:
        self._path = _checked(path)
        self._threads = threads
        self._timeout_s = timeout_s
        self.model = self._path.stem

    @classmethod
    def from_settings(cls, settings: Settings) -> GgufGenerator:
        if settings.gguf_path is None:
            raise ConfigError("the gguf generator needs a model file: set LOREMILL_GGUF_PATH")
        return cls(settings.gguf_path, threads=settings.threads, timeout_s=settings.generator_timeout_s)

    def stream(self, prompt: Prompt, *, max_tokens: int) -> Iterator[str | Usage]:
        """See `rag.generate.Generator.stream`. Decoding is greedy: one prompt gives one answer."""
        server = _server(self._path, self._threads)
        request = {
            "messages": list(prompt.messages),
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

        def produce(emit: Emit) -> None:
            faults: list[str] = []
            usage = Usage()

            def on_chunk(chunk: dict[str, Any]) -> bool:
                nonlocal usage
                if "error" in chunk:
                    faults.append(str(chunk["error"].get("message", chunk["error"])))
                    return True
                if counts := chunk.get("usage"):
                    usage = Usage(counts.get("prompt_tokens", 0), counts.get("completion_tokens", 0))
                pieces = [choice.get("delta", {}).get("content") for choice in chunk.get("choices", ())]
                return any(list(map(emit, filter(None, pieces))))  # every piece is handed over, also after a True

            server.handle_chat_completions(request, on_chunk)
            if faults:
                raise GeneratorError(f"{self.model}: {faults[0]}")
            emit(usage)

        return pump(produce, timeout_s=self._timeout_s, what=f"the local model {self.model}")


def close_servers() -> None:
    """Unload every model; a later `stream` loads its own again."""
    with _lock:
        _servers.clear()


atexit.register(close_servers)


def _checked(path: Path) -> Path:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"no model file at {path}: set LOREMILL_GGUF_PATH to a .gguf file")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ConfigError(f"{path} is not a GGUF file (LOREMILL_GGUF_PATH)")
    return path


def _server(path: Path, threads: int) -> Any:
    with _lock:
        if path not in _servers:
            _servers[path] = _load(path, threads)
        return _servers[path]


def _load(path: Path, threads: int) -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise DependencyMissing("xllamacpp", extra="local") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = _CONTEXT_TOKENS
    params.verbosity = -1
    params.ui = False
    params.endpoint_slots = False
    params.api_keys = [
        secrets.token_hex(32)
    ]  # the library opens a local port that we do not use: nobody else may either
    if threads:
        params.cpuparams.n_threads = threads
    try:
        return xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise GeneratorError(f"llama.cpp cannot load {path}: {error}") from error
