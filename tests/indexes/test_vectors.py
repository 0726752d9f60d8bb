"""Every backend keeps the contract, and broken ones are caught by it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from indexes.errors import ConfigError
from indexes.vectors import BACKENDS, VectorIndex, VectorOptions, resolved, vector_backend
from tests.indexes.broken_indexes import BROKEN
from tests.indexes.vector_contract import CLAUSES, Bench, Clause

QDRANT_URL = os.environ.get("LOREMILL_TEST_QDRANT_URL", "")
SLOW = {"qdrant"}
"""Its local mode filters in Python, row by row."""
UNDER_TEST = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
    for name in [*sorted(BACKENDS), "cuda-device", "qdrant-server"]
]


@pytest.fixture(scope="module", params=UNDER_TEST)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Builds and opens indexes with the backend under test; `qdrant` is its local mode, `qdrant-server` a real server; `cuda` runs on the CPU."""
    name, options = request.param, VectorOptions(device="cpu" if request.param == "cuda" else "auto")
    if name == "qdrant-server":
        if not QDRANT_URL:
            pytest.skip("LOREMILL_TEST_QDRANT_URL is not set: no Qdrant server to test against")
        key = os.environ.get("LOREMILL_TEST_QDRANT_API_KEY", "")
        name, options = "qdrant", VectorOptions(qdrant_url=QDRANT_URL, qdrant_api_key=key)
    if name == "cuda-device":
        name, options = "cuda", VectorOptions(device="cuda")
    backend = vector_backend(name, options)
    if reason := backend.unavailable():
        pytest.skip(f"{name}: {reason}")
    return Bench(backend, tmp_path_factory.mktemp(name))


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_every_backend_keeps_the_contract(bench: Bench, clause: Clause) -> None:
    clause(bench)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(vector_backend("faiss"), tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize(
    ("broken", "clause"), BROKEN, ids=[f"{broken.__name__}-{clause.__name__}" for broken, clause in BROKEN]
)
def test_the_contract_catches_a_broken_backend(
    sound: Bench, broken: Callable[[VectorIndex], VectorIndex], clause: Clause
) -> None:
    clause(sound)
    broken_bench = Bench(sound.backend, sound.folder / broken.__name__ / clause.__name__, wrap=broken)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        clause(broken_bench)


def test_the_contract_has_forty_clauses_each_of_which_is_named_once() -> None:
    names = [clause.__name__ for clause in CLAUSES]
    assert len(names) == len(set(names)) >= 40


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="faiss"):
        vector_backend("annoy")


@pytest.mark.parametrize(
    ("memory", "fault", "chosen"),
    [(0, "", "faiss"), (4 * 1000 * 384, "", "cuda"), (4 * 1000 * 384 - 1, "", "faiss"), (1 << 40, "no torch", "faiss")],
)
def test_auto_is_cuda_where_a_device_has_room_else_faiss(
    monkeypatch: pytest.MonkeyPatch, memory: int, fault: str, chosen: str
) -> None:
    monkeypatch.setattr("indexes.device.cuda_memory", lambda: memory)
    monkeypatch.setattr("indexes.cuda.CudaBackend.unavailable", lambda self: fault)
    assert resolved("auto", vectors=range(1000), dim=384, options=VectorOptions()) == chosen
    assert resolved("auto", vectors=range(1000), dim=384, options=VectorOptions(device="cpu")) == "faiss"
    assert resolved("qdrant", vectors=range(1000), dim=384, options=VectorOptions()) == "qdrant"


def test_the_key_of_a_server_is_not_printed() -> None:
    assert "hunter2" not in repr(VectorOptions(qdrant_api_key="hunter2"))
