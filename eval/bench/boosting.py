"""Gradient boosting of symmetric trees in NumPy: small, deterministic, and read by `rag/trees.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rag.trees import Trees

Floats = npt.NDArray[np.float64]
_BINS = 64


def boost(
    rows: Floats,
    labels: npt.NDArray[np.bool_],
    *,
    trees: int,
    depth: int,
    rate: float = 0.1,
    ridge: float = 20.0,
    share: float = 0.4,
    seed: int = 0,
) -> Trees:
    """Fit P(label | row) by Newton boosting of log loss; every tree asks the same question on a level.

    Args:
        rows: shape (n, features), finite.
        rate: step of a tree. ridge: L2 penalty of a leaf's value, in units of curvature: a lone row moves little.
        share: of the features, drawn anew for each tree.
        seed: of those draws; equal input and seed give equal trees.
    Cost: O(trees * depth * n * features * share).
    Source: Friedman 2001; Prokhorenkova et al. 2018, CatBoost, arXiv:1706.09516, for symmetric trees.
    """
    random = np.random.default_rng(seed)
    edges = [_edges(column) for column in rows.T]
    bins = np.stack([np.searchsorted(cuts, column) for cuts, column in zip(edges, rows.T, strict=True)])
    chance = labels.mean()
    bias = float(np.log(chance / (1 - chance)))
    margin = np.full(len(rows), bias)
    asked, cuts, values = [], [], []
    for _ in range(trees):
        p = 1 / (1 + np.exp(-margin))
        slope, curve = labels - p, p * (1 - p)
        drawn = np.sort(random.choice(len(edges), max(1, round(share * len(edges))), replace=False))
        leaf, features, thresholds = np.zeros(len(rows), dtype=np.int64), [], []
        for level in range(depth):
            feature, cut = _best(bins, drawn, edges, leaf, 1 << level, slope, curve, ridge)
            leaf = 2 * leaf + (bins[feature] > cut)
            features.append(feature)
            thresholds.append(float(edges[feature][cut]) if len(edges[feature]) else 0.0)
        size = 1 << depth
        value = rate * np.bincount(leaf, slope, size) / (np.bincount(leaf, curve, size) + ridge)
        margin += value[leaf]
        asked.append(features)
        cuts.append(thresholds)
        values.append(value)
    return Trees(bias, np.array(asked, dtype=np.int64), np.array(cuts), np.array(values))


def _edges(column: Floats) -> Floats:
    """Thresholds between distinct values, at quantiles where there are many; a row above an edge goes right."""
    values = np.unique(column)
    if len(values) > _BINS:
        values = np.unique(np.quantile(column, np.linspace(0, 1, _BINS + 1), method="nearest"))
    return np.asarray((values[:-1] + values[1:]) / 2)


def _best(
    bins: npt.NDArray[np.int64],
    drawn: npt.NDArray[np.int64],
    edges: Sequence[Floats],
    leaf: npt.NDArray[np.int64],
    leaves: int,
    slope: Floats,
    curve: Floats,
    ridge: float,
) -> tuple[int, int]:
    """Return the feature and edge whose question, asked in all leaves, lowers the loss most; the first of equals."""
    best, found = -np.inf, (int(drawn[0]), 0)
    for feature in drawn:
        width = len(edges[feature]) + 1
        if width < 2:
            continue
        cell = leaf * width + bins[feature]
        slopes, curves = (
            np.bincount(cell, part, leaves * width).reshape(leaves, width).cumsum(axis=1) for part in (slope, curve)
        )
        left = slopes[:, :-1] ** 2 / (curves[:, :-1] + ridge)
        right = (slopes[:, -1:] - slopes[:, :-1]) ** 2 / (curves[:, -1:] - curves[:, :-1] + ridge)
        gains = (left + right).sum(axis=0)
        if gains.max() > best:
            best, found = float(gains.max()), (int(feature), int(gains.argmax()))
    return found
