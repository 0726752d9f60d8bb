from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import ConfigError
from rag.counted import FEATURES
from rag.support import SHA256, WEIGHTS
from rag.trees import Trees

TREES = Trees(
    0.5,
    np.array([[0, 1], [1, 1]]),
    np.array([[0.0, 2.0], [1.0, 3.0]]),
    np.array([[0.1, 0.2, 0.4, 0.8], [-1.0, -2.0, -4.0, -8.0]]),
)


def write(tmp_path: Path, text: str) -> tuple[Path, str]:
    path = tmp_path / "trees.json"
    path.write_text(text)
    return path, hashlib.sha256(text.encode()).hexdigest()


def test_a_rows_answers_first_level_first_are_the_bits_of_its_leaf() -> None:
    found = TREES.probability(np.array([[1.0, 1.5], [0.0, 4.0]]))
    margins = np.array([0.5 + 0.4 - 4.0, 0.5 + 0.2 - 8.0])
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-margins)))


def test_trees_that_were_written_are_read_back(tmp_path: Path) -> None:
    path, digest = write(tmp_path, TREES.to_json(["a", "b"]))
    read = Trees.read(path, sha256=digest, features=["a", "b"])
    rows = np.random.default_rng(0).normal(size=(50, 2)) * 3
    np.testing.assert_array_equal(read.probability(rows), TREES.probability(rows))


def test_trees_with_another_digest_or_for_other_features_are_refused(tmp_path: Path) -> None:
    path, digest = write(tmp_path, TREES.to_json(["a", "b"]))
    with pytest.raises(ConfigError, match=r"trees\.json has sha256 .*: reinstall"):
        Trees.read(path, sha256="0" * 64, features=["a", "b"])
    with pytest.raises(ConfigError, match="fitted to other features"):
        Trees.read(path, sha256=digest, features=["a", "c"])
    with pytest.raises(ConfigError, match="cannot be read"):
        Trees.read(tmp_path / "none.json", sha256=digest, features=["a", "b"])


def test_the_packaged_trees_are_those_that_the_code_was_measured_with() -> None:
    trees = Trees.read(WEIGHTS, sha256=SHA256, features=FEATURES)
    assert trees.values.shape == (len(trees.asked), 2 ** trees.asked.shape[1])
    assert WEIGHTS.stat().st_size < 300_000
