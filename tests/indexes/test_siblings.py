"""A chunk's siblings are the other chunks of its document."""

from __future__ import annotations

import numpy as np

from indexes.siblings import MAX_CHUNKS, Siblings


def test_every_other_row_of_the_documents_comes_along_and_is_told_apart() -> None:
    siblings = Siblings(np.array([2, 0, 2, 1, 0, 2], dtype=np.int32))
    rows, groups = siblings.around(np.array([0, 3]))
    assert rows.tolist() == [0, 2, 3, 5]
    assert groups.tolist() == [1, 1, 0, 1]


def test_the_rows_of_a_book_stand_alone() -> None:
    documents = np.array([0] * (MAX_CHUNKS + 1) + [1] * MAX_CHUNKS, dtype=np.int32)
    rows, groups = Siblings(documents).around(np.array([0, 7, MAX_CHUNKS + 1]))
    assert rows.tolist() == [0, 7, *range(MAX_CHUNKS + 1, 2 * MAX_CHUNKS + 1)]
    assert len(set(groups[:2].tolist())) == 2
    assert len(set(groups[2:].tolist())) == 1
    assert set(groups.tolist()) == {0, 1, 2}


def test_no_rows_have_no_siblings() -> None:
    for documents in ([], [0, 0]):
        rows, groups = Siblings(np.array(documents, dtype=np.int32)).around(np.empty(0, np.int64))
        assert len(rows) == len(groups) == 0
