"""Symmetric trees: a classifier of a few thousand numbers, evaluated in NumPy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexes.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Trees:
    """A sum of trees. All nodes of a level ask one question: is feature `asked[tree, level]` above `cuts[tree, level]`?

    The answers, first level first, are the bits of the leaf's number; `values[tree, leaf]` are log odds.
    """

    bias: float
    asked: npt.NDArray[np.int64]
    cuts: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    def probability(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return one probability, in (0, 1), for each row of features, shape (n, features)."""
        bits = rows[:, self.asked] > self.cuts
        leaves = bits @ (1 << np.arange(self.asked.shape[1])[::-1])
        margin = self.bias + self.values[np.arange(len(self.values)), leaves].sum(axis=1)
        return np.asarray(1 / (1 + np.exp(-margin)))

    def to_json(self, features: Sequence[str]) -> str:
        """Return the trees as JSON, a tree a line, numbers rounded to six digits."""
        lines = [
            json.dumps([questions.tolist(), [float(f"{cut:.6g}") for cut in cuts], [float(f"{v:.4g}") for v in values]])
            for questions, cuts, values in zip(self.asked, self.cuts, self.values, strict=True)
        ]
        head = json.dumps({"features": list(features), "bias": float(f"{self.bias:.6g}")})[:-1]
        return f'{head}, "trees": [\n' + ",\n".join(lines) + "\n]}\n"

    @classmethod
    def read(cls, path: Path, *, sha256: str, features: Sequence[str]) -> Trees:
        """Return the trees in `path`.

        Raises:
            ConfigError: the file cannot be read, has another digest, or was fitted to other `features`.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}; reinstall loremill") from error
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise ConfigError(f"{path} has sha256 {found}, not {sha256}: reinstall loremill")
        content = json.loads(data)
        if content["features"] != list(features):
            raise ConfigError(f"{path} was fitted to other features: run python -m eval.bench.groundedness DATA --fit")
        asked, cuts, values = zip(*content["trees"], strict=True)
        return cls(content["bias"], np.array(asked, dtype=np.int64), np.array(cuts), np.array(values))
