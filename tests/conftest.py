"""What every folder's tests share: the real embedder, compiled once a session, and homes that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from indexes.minilm import MiniLM

if TYPE_CHECKING:
    from rag.loremill import Loremill

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
