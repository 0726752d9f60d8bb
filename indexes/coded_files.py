"""What `CodedRows` is made of, as arrays in files; and how one index takes over what another has learned and coded.

codes.npy           position -> code of the row                            class_list_of.npy   position -> class list
topic_codes.npy     position -> code of what it differs from its topic by  topic_of.npy        position -> topic list
codebook.npy, topic_codebook.npy, centroids.npy, spread.npy, tail.npy      learned from a sample of the rows
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import Int32Vector
from indexes.arrays import Float32Matrix
from indexes.coded_rows import CodedRows
from indexes.misses import Tail
from indexes.product_codes import Codebook, CodeLists, Codes, Positions, sample
from indexes.stored_rows import StoredRows
from indexes.topics import Topics, train_topics, training_rows

_CLASS_LIST_ROWS = 512
_BLOCK_ROWS = 16_384
_ARRAYS = (
    "codes", "topic_codes", "codebook", "topic_codebook", "class_list_of", "topic_of", "centroids", "spread", "tail",
)  # fmt: skip
_PER_ROW = {"codes", "topic_codes", "class_list_of", "topic_of"}


@dataclass(frozen=True, slots=True)
class Learning:
    """What codebook and topics were learned from: how many rows there were, and how many have come since."""

    rows: int
    added: int = 0

    def holds_for(self, rows: int, added: int) -> bool:
        """Is an index of so many rows, of which so many are new, still like the one that was learned from?"""
        return self.added + added <= self.rows <= 2 * rows


@dataclass(frozen=True, slots=True)
class CodedBase:
    """Another index's arrays, and where the rows of the new one lie in it."""

    arrays: Mapping[str, npt.NDArray[Any]]
    rows: StoredRows
    learning: Learning
    positions: Positions
    """For each position of the new index, that of the same row in the other one, -1 where it may be new."""


def write_coded(rows: Float32Matrix, classes: Int32Vector, path: Path, base: CodedBase | None = None) -> Learning:
    """Code all rows and write the arrays into the folder `path`.

    Args:
        rows: shape (n, dim), by ascending class.
        base: what it has coded is taken over, and what it has learned, unless too much has changed since.
    Cost: O(n * sqrt(n) * dim) products for what is learned; what is taken over is compared and copied.
    """
    if base is not None and not base.learning.holds_for(len(rows), int(np.count_nonzero(base.positions < 0))):
        base = None
    if base is None:
        learned = np.asarray(rows[sample(len(rows), training_rows(len(rows)))])
        topics, learning = train_topics(learned, len(rows)), Learning(len(rows))
        codebook, topic_codebook = Codebook.train(learned), Codebook.train(topics.residuals(learned)[0])
    else:
        topics, learning = _topics(base.arrays), base.learning
        codebook, topic_codebook = Codebook(base.arrays["codebook"]), Codebook(base.arrays["topic_codebook"])
    codes = np.empty((len(rows), codebook.code_bytes), np.uint8)
    topic_codes = np.empty_like(codes)
    topic_of = np.empty(len(rows), np.int32)
    for block in _blocks(len(rows)):
        new = np.arange(block.start, block.stop)
        if base is not None:
            same, there = _same_rows(rows[block], base, base.positions[block])
            for array, name in ((codes, "codes"), (topic_codes, "topic_codes"), (topic_of, "topic_of")):
                array[new[same]] = base.arrays[name][there]
            new = new[~same]
            learning = Learning(learning.rows, learning.added + len(new))
        if len(new):
            residuals, topic_of[new] = topics.residuals(rows[new])
            codes[new], topic_codes[new] = codebook.encode(rows[new]), topic_codebook.encode(residuals)
    arrays: dict[str, npt.NDArray[Any]] = {
        "codes": codes, "codebook": codebook.centroids, "class_list_of": _class_lists(classes), "topic_of": topic_of,
        "topic_codes": topic_codes, "topic_codebook": topic_codebook.centroids,
        "centroids": topics.centroids, "spread": topics.spread, "tail": topics.tail.share,
    }  # fmt: skip
    for name in _ARRAYS:
        np.save(path / f"{name}.npy", arrays[name])
    return learning


def load_array(path: Path, name: str, length: int | None = None) -> npt.NDArray[Any]:
    """Map `name`.npy of the folder `path` into memory; ValueError if it has another length."""
    array = np.asarray(np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False))
    if length is not None and len(array) != length:
        raise ValueError(f"{name}.npy has {len(array)} rows instead of {length}")
    return array


def load_arrays(path: Path, n_rows: int) -> dict[str, npt.NDArray[Any]]:
    """Map all arrays of an index of `n_rows` rows; OSError or ValueError where one is missing or damaged."""
    return {name: load_array(path, name, n_rows if name in _PER_ROW else None) for name in _ARRAYS}


def open_coded(rows: StoredRows, row_of: Int32Vector, path: Path) -> CodedRows:
    """Open what `write_coded` wrote beside the rows, whose numbers are `row_of`."""
    arrays = load_arrays(path, len(row_of))
    topics = _topics(arrays)
    codes: Codes = arrays["codes"]
    topic_codes: Codes = arrays["topic_codes"]
    class_list_of, topic_of = arrays["class_list_of"], arrays["topic_of"]
    by_class = CodeLists(Codebook(arrays["codebook"]), codes, class_list_of, int(class_list_of.max()) + 1)
    by_topic = CodeLists(
        Codebook(arrays["topic_codebook"]), topic_codes, topic_of, len(topics.centroids), residual=True
    )
    return CodedRows(
        rows, by_class, by_topic, class_list_of=class_list_of, topic_of=topic_of, topics=topics, row_of=row_of
    )


def _topics(arrays: Mapping[str, npt.NDArray[Any]]) -> Topics:
    return Topics(np.ascontiguousarray(arrays["centroids"]), arrays["spread"], Tail(arrays["tail"]))


def _same_rows(rows: Float32Matrix, base: CodedBase, there: Positions) -> tuple[npt.NDArray[np.bool_], Positions]:
    """Return which of the rows the base holds, bit for bit, at the positions named, and those positions."""
    same = there >= 0
    there = there[same]
    equal = (rows[same] == base.rows.take(there)).all(axis=1)
    same[same] = equal
    return same, there[equal]


def _class_lists(classes: Int32Vector) -> Int32Vector:
    """Return each position's list: neighbouring classes share one until it has some hundred rows. `classes` ascend."""
    _, counts = np.unique(classes, return_counts=True)
    numbers, number, filled = [], 0, 0
    for count in counts.tolist():
        if filled and filled + count > _CLASS_LIST_ROWS:
            number, filled = number + 1, 0
        numbers.append(number)
        filled += count
    return np.repeat(np.array(numbers, np.int32), counts)


def _blocks(n_rows: int) -> Iterator[slice]:
    return (slice(first, min(first + _BLOCK_ROWS, n_rows)) for first in range(0, n_rows, _BLOCK_ROWS))
