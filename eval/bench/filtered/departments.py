"""Rights as in an organisation: departments of teams, people who read their own and the next ones, and ask about them or about something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.bench.filtered.real import Passages, cut, read_questions, read_texts
from eval.bench.filtered.world import Asked, Rights, World, access
from eval.bench.vectors import KeptVectors
from indexes.access import Int32Vector
from indexes.arrays import Float32Matrix
from indexes.embedder import Embedder
from indexes.product_codes import faiss_module

TEAMS = 1000
_DEPARTMENT_ROWS = 800
"""Aimed at where documents lie in no folder."""
_QUERIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Organisation(World):
    """Real chunks whose classes are teams of about equal size; both ways of giving rights are the same."""

    department_of: Int32Vector
    """The department of each team."""

    def asked(self, rights: Rights, share: float, *, people: int, each: int, filtered: bool = False) -> Iterator[Asked]:
        """Yield people who read whole departments, but for the last, and some questions of everyone.

        Positive: the home department of one question and the nearest others, and questions about what they hold. Negative: the same
        rights, and questions about the tenth that lies farthest away. Uncorrelated: any departments, any questions.
        """
        random = np.random.default_rng(int(share * 1e6) + len(rights))
        for _ in range(people):
            home = int(self.query_classes[random.integers(len(self.queries))])
            order = self._order(home, random if rights is Rights.UNCORRELATED else None)
            read_rows = np.cumsum(np.bincount(self.by_topic)[order])
            readable = order[: 1 + int(np.searchsorted(read_rows, share * len(self.rows)))]
            about = {
                Rights.UNCORRELATED: order,
                Rights.POSITIVE: readable,
                Rights.NEGATIVE: order[-max(1, len(order) // 10) :],
            }[rights]
            candidates = np.flatnonzero(np.isin(self.query_classes, about))
            if len(candidates) < each:  # few ask about so small a part: take the questions that are nearest to it
                towards = self.class_centres[about].mean(axis=0)
                candidates = np.argsort(-(self.queries @ towards), kind="stable")[: each * 2]
            chosen = random.choice(candidates, min(each, len(candidates)), replace=False)
            yield Asked(access(readable.tolist()), self.queries[chosen], self.where if filtered else None)

    def _order(self, home: int, random: np.random.Generator | None) -> npt.NDArray[np.intp]:
        """Return all teams, department by department: by nearness to the home team, or at random."""
        near = self.class_centres @ self.class_centres[home]
        n_departments = int(self.department_of.max()) + 1
        if random is not None:
            rank = random.permutation(n_departments)
        else:
            sums = np.bincount(self.department_of, near, n_departments) / np.bincount(self.department_of)
            sums[self.department_of[home]] = np.inf
            rank = np.empty(n_departments, np.int64)
            rank[np.argsort(-sums, kind="stable")] = np.arange(n_departments)
        return np.lexsort((-near, rank[self.department_of]))


def organisation(data: Path, embedder: Embedder, kept: Path) -> Organisation:
    """Make one of the sets in `data`; vectors are kept in the folder `kept`."""
    passages = cut(list(read_texts(data)), embedder)
    vectors = KeptVectors(embedder, kept)
    return organise(passages, vectors.passages(passages.embedded), vectors.queries(read_questions(data)))


def organise(passages: Passages, rows: Float32Matrix, queries: Float32Matrix) -> Organisation:
    """Give the chunks to departments and teams, and each question to the team of its nearest chunk."""
    departments = _departments(passages, rows)
    teams = _teams(passages, departments)
    centres = _means(rows, teams)
    blocks = (queries[first : first + _QUERIES_AT_ONCE] for first in range(0, len(queries), _QUERIES_AT_ONCE))
    nearest = np.concatenate([np.argmax(block @ rows.T, axis=1) for block in blocks])
    department_of = np.zeros(len(centres), np.int32)
    department_of[teams] = departments
    longer = _longer_documents(passages, departments)
    return Organisation(rows, teams, teams, queries, teams[nearest], centres, longer, department_of)


def _departments(passages: Passages, rows: Float32Matrix) -> Int32Vector:
    """Number each chunk's department: its folder; without one, the group of its document, documents grouped by nearness."""
    names = np.array(passages.departments)
    loose = np.flatnonzero(names == "")
    documents = _numbers([passages.chunks[row].document_id for row in loose])
    means = _means(rows[loose], documents)
    groups = max(1, len(loose) // _DEPARTMENT_ROWS)
    kmeans = faiss_module().Kmeans(rows.shape[1], groups, niter=20, seed=1, spherical=True)
    kmeans.train(means)
    group_of = np.argmax(means @ kmeans.centroids.T, axis=1)[documents]
    names[loose] = np.char.add("group ", group_of.astype(str))
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


def _teams(passages: Passages, departments: Int32Vector) -> Int32Vector:
    """Number each chunk's team: chunks of one department in reading order, cut between documents, and within one only where it is long."""
    wanted = max(1, len(departments) // TEAMS)
    teams = np.empty(len(departments), np.int32)
    team, filled, last = -1, 0, (-1, "")
    for row in np.argsort(departments, kind="stable").tolist():
        place = (int(departments[row]), passages.chunks[row].document_id)
        full = filled >= (wanted // 2 if place != last else 3 * wanted // 2)
        if place[0] != last[0] or full:
            team, filled = team + 1, 0
        teams[row] = team
        filled, last = filled + 1, place
    return teams


def _longer_documents(passages: Passages, departments: Int32Vector) -> npt.NDArray[np.bool_]:
    """Metadata to filter by: is a chunk's document longer than the median of its department's?"""
    documents = _numbers([piece.document_id for piece in passages.chunks])
    length = np.bincount(documents)
    longer = np.zeros(len(documents), dtype=bool)
    for department in range(int(departments.max()) + 1):
        inside = np.flatnonzero(departments == department)
        longer[inside] = length[documents[inside]] > np.median(length[np.unique(documents[inside])])
    return longer


def _numbers(names: Sequence[str]) -> Int32Vector:
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


def _means(rows: Float32Matrix, numbers: Int32Vector) -> Float32Matrix:
    """Return the unit mean of the rows of each number."""
    sums = np.zeros((int(numbers.max()) + 1, rows.shape[1]), np.float32)
    np.add.at(sums, numbers, rows)
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), dtype=np.float32)
