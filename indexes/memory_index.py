"""The search of memory: for each ACL class that holds items a partition in memory, kept as fresh as the catalog at each use.

    catalog (truth)  --rows changed since the partition's epoch-->  partition: vectors, postings, times, what is shown
    query  -->  the partitions of the classes that the principal holds, and no other  -->  candidates  -->  confirmed in the catalog

Single writes need no builds: a changed row is read again, a new one stands at the end. Other processes' writes raise the class's epoch too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector
from indexes.arrays import Float32Matrix
from indexes.memory_terms import Digests, Postings

if TYPE_CHECKING:
    from sqlalchemy import Connection

Int64Vector = npt.NDArray[np.int64]
Float32Vector = npt.NDArray[np.float32]

NEVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min

_TIMES = ("time", "recorded", "retired", "valid_from", "valid_to", "closed")
_OPEN = {"retired": NEVER, "valid_from": ALWAYS, "valid_to": NEVER, "closed": NEVER}
_TEXTS = ("id", "kind", "scope", "session", "speaker", "text")
_FACTORS = ("trust", "importance")
_READ = ", ".join(f"i.{name}" for name in (*_TIMES, *_FACTORS, *_TEXTS))
_ROW_BYTES = 400


@dataclass(frozen=True, slots=True)
class MemoryCandidates:
    """Rows that may answer a query, of one or more classes: arrays of one length.

    `position` is the row's place in its session by the order in which it was remembered, -1 where it has no session.
    """

    seqs: Int64Vector
    dense: Float32Vector
    """Cosines in [-1, 1]."""
    lexical: Float32Vector
    """BM25 scores, at least 0."""
    times: Int64Vector
    trust: Float32Vector
    importance: Float32Vector
    position: Int64Vector
    ids: list[str]
    kinds: list[str]
    sessions: list[str]
    speakers: list[str]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.seqs)


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """What is asked of every partition.

    Args:
        vector: shape (dim,), unit length.
        terms: digests of the query's terms.
        now, as_of: as in `indexes.memory_rows.shown`.
        session: its session-scoped items are searched too.
        scopes, kinds: None means all.
        depth: rows wanted from each of both searches.
        around: neighbours in the session that come along with each of the best rows, before and after.
    """

    vector: Float32Vector
    terms: Digests
    now: int
    as_of: int | None = None
    session: str = ""
    scopes: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    depth: int = 100
    around: int = 2
    passing: frozenset[int] | None = None
    """Seqs that pass a metadata filter."""


class Partition:
    """The items of one class. Not safe among threads: `MemoryIndex` holds its lock."""

    def __init__(self, class_id: int, dim: int) -> None:
        self.class_id, self.dim = class_id, dim
        self.epoch = 0
        self.seqs: Int64Vector = np.empty(0, np.int64)
        self.vectors: Float32Matrix = np.empty((0, dim), np.float32)
        self._numbers: dict[str, npt.NDArray[Any]] = {
            **{name: np.empty(0, np.int64) for name in _TIMES},
            **{name: np.empty(0, np.float32) for name in _FACTORS},
        }
        self._texts: dict[str, list[str]] = {name: [] for name in _TEXTS}
        self._postings = Postings()
        self._of_session: dict[str, list[int]] = {}
        self._position: list[int] = []

    def __len__(self) -> int:
        return len(self._texts["id"])

    @property
    def n_bytes(self) -> int:
        return self.vectors.nbytes + _ROW_BYTES * len(self)

    def refresh(self, db: Connection, epoch: int, *, gone: int, model_id: str) -> None:
        """Read what changed since, everything where rows were deleted."""
        if gone > self.epoch:
            self.__init__(self.class_id, self.dim)  # type: ignore[misc]
        query = (
            f"SELECT i.seq, {_READ}, v.vector, v.terms FROM memory_items AS i"
            " JOIN memory_vectors AS v ON v.seq = i.seq AND v.model_id = ?"
            " WHERE i.class_id = ? AND i.changed > ? ORDER BY i.seq"
        )
        rows = db.exec_driver_sql(query, (model_id, self.class_id, self.epoch)).all()
        places = (
            {int(seq): place for place, seq in enumerate(self.seqs[: len(self)])}
            if len(self) and rows and rows[0][0] <= self.seqs[len(self) - 1]
            else {}
        )
        new = []
        for row in rows:
            if (place := places.get(row[0])) is None:
                new.append(row)
            else:
                self._put(place, row)
        if new:
            self._append(new)
        self.epoch = epoch

    def candidates(self, query: MemoryQuery) -> tuple[Int64Vector, Float32Vector, Float32Vector]:
        """Return rows with their cosines and BM25 scores: the best of both searches that are shown, and their neighbours."""
        n = len(self)
        shown = self._shown(query)
        if not shown.any():
            return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32)
        dense = self.vectors[:n] @ query.vector
        lexical = self._postings.scores(query.terms)
        best = _best(np.where(shown, dense, -np.inf), query.depth)
        words = _best(np.where(shown & (lexical > 0), lexical, -np.inf), query.depth)
        rows = np.union1d(best, words)
        if query.around:
            rows = np.union1d(rows, self._neighbours(rows, query.around, shown)).astype(np.int64)
        return rows, dense[rows], lexical[rows]

    def column(self, name: str, rows: Int64Vector) -> Any:
        """Return a column's values of the rows."""
        if name in self._numbers:
            return self._numbers[name][rows]
        if name == "position":
            return np.array([self._position[row] for row in rows.tolist()], np.int64)
        values = self._texts[name]
        return [values[row] for row in rows.tolist()]

    def _shown(self, query: MemoryQuery) -> BoolVector:
        """As `indexes.memory_rows.shown`, for every row, with the query's further conditions."""
        n = len(self)
        recorded, retired, start, end, closed = (self._numbers[name][:n] for name in _TIMES[1:])
        moment = query.now if query.as_of is None else query.as_of
        known = retired == NEVER
        if query.as_of is not None:
            known = (recorded <= moment) & (retired > moment) & (start <= moment)
        holds = (end > moment) | np.where(closed == NEVER, end <= recorded, closed > moment)
        mask: BoolVector = known & holds
        for name, wanted in (("scope", query.scopes), ("kind", query.kinds)):
            if wanted is not None:
                mask &= np.fromiter((one in wanted for one in self._texts[name]), bool, n)
        own = query.session
        scopes, sessions = self._texts["scope"], self._texts["session"]
        mask &= np.fromiter(
            (scope != "session" or one == own for scope, one in zip(scopes, sessions, strict=True)), bool, n
        )
        if query.passing is not None:
            mask &= np.isin(self.seqs[:n], np.fromiter(query.passing, np.int64, len(query.passing)))
        return mask

    def _neighbours(self, rows: Int64Vector, around: int, shown: BoolVector) -> Int64Vector:
        found = []
        for row in rows.tolist():
            place = self._position[row]
            if place >= 0:
                mates = self._of_session[self._texts["session"][row]]
                found += mates[max(place - around, 0) : place + around + 1]
        near = np.unique(np.array(found, np.int64))
        return near[shown[near]]

    def _put(self, place: int, row: Any) -> None:
        """Take over a row's present values; its text and vector never change, a new text is a new row."""
        for name, value in zip((*_TIMES, *_FACTORS), row[1:], strict=False):
            self._numbers[name][place] = _OPEN[name] if value is None else value

    def _append(self, rows: Sequence[Any]) -> None:
        first, n = len(self), len(self) + len(rows)
        if n > len(self.seqs):
            self._grow(max(n, len(self.seqs) * 5 // 4 + 16) if first else n)
        columns = list(zip(*rows, strict=True))
        self.seqs[first:n] = columns[0]
        for name, values in zip((*_TIMES, *_FACTORS), columns[1:], strict=False):
            self._numbers[name][first:n] = [_OPEN[name] if value is None else value for value in values]
        for name, values in zip(_TEXTS, columns[1 + len(_TIMES) + len(_FACTORS) :], strict=False):
            self._texts[name] += values
        self.vectors[first:n] = np.frombuffer(b"".join(columns[-2]), "<f4").reshape(len(rows), self.dim)
        self._postings.extend([np.frombuffer(blob, np.uint32) for blob in columns[-1]])
        for row in range(first, n):
            self._position.append(self._enter(row))

    def _enter(self, row: int) -> int:
        """Put an episode into its session; return its position there."""
        session = self._texts["session"][row]
        if not session or self._texts["kind"][row] != "episode":
            return -1
        mates = self._of_session.setdefault(session, [])
        mates.append(row)
        return len(mates) - 1

    def _grow(self, size: int) -> None:
        def grown(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            larger = np.empty((size, *array.shape[1:]), array.dtype)
            larger[: len(array)] = array
            return larger

        self.seqs, self.vectors = grown(self.seqs), grown(self.vectors)
        self._numbers = {name: grown(array) for name, array in self._numbers.items()}


class MemoryIndex:
    """The partitions of one tenant, those used last up to `max_bytes`. Safe among threads."""

    def __init__(self, *, dim: int, model_id: str, max_bytes: int) -> None:
        self._dim, self._model_id, self._max_bytes = dim, model_id, max_bytes
        self._partitions: OrderedDict[int, Partition] = OrderedDict()
        self._lock = RLock()

    def candidates(self, db: Connection, query: MemoryQuery, *, access: AccessFilter) -> MemoryCandidates:
        """Search the classes that `access` may read, as they are in the view `db` of the catalog."""
        with self._lock:
            found = []
            for class_id, epoch, gone in _epochs(db, access):
                partition = self._partition(db, class_id, epoch, gone)
                rows, dense, lexical = partition.candidates(query)
                if len(rows):
                    found.append((partition, rows, dense, lexical))
            self._evict()
            return _gathered(found)

    def _partition(self, db: Connection, class_id: int, epoch: int, gone: int) -> Partition:
        partition = self._partitions.setdefault(class_id, Partition(class_id, self._dim))
        self._partitions.move_to_end(class_id)
        if partition.epoch < epoch:
            partition.refresh(db, epoch, gone=gone, model_id=self._model_id)
        return partition

    def _evict(self) -> None:
        total = sum(partition.n_bytes for partition in self._partitions.values())
        while total > self._max_bytes and len(self._partitions) > 1:
            total -= self._partitions.popitem(last=False)[1].n_bytes


def _epochs(db: Connection, access: AccessFilter) -> list[Any]:
    """Return class, epoch and epoch of the last deletion of the readable classes that hold memory, by class."""
    every = db.exec_driver_sql("SELECT class_id, epoch, gone FROM memory_classes ORDER BY class_id")
    return [row for row in every if row[0] in access.classes]


def _gathered(found: list[tuple[Partition, Int64Vector, Float32Vector, Float32Vector]]) -> MemoryCandidates:
    def numbers(name: str, kind: Any) -> Any:
        parts = [partition.column(name, rows) for partition, rows, _, _ in found]
        return np.concatenate(parts) if parts else np.empty(0, kind)

    def texts(name: str) -> list[str]:
        return [value for partition, rows, _, _ in found for value in partition.column(name, rows)]

    empty = np.empty(0, np.float32)
    return MemoryCandidates(
        seqs=np.concatenate([partition.seqs[rows] for partition, rows, _, _ in found])
        if found
        else np.empty(0, np.int64),
        dense=np.concatenate([part[2] for part in found]) if found else empty,
        lexical=np.concatenate([part[3] for part in found]) if found else empty,
        times=numbers("time", np.int64),
        trust=numbers("trust", np.float32),
        importance=numbers("importance", np.float32),
        position=numbers("position", np.int64),
        ids=texts("id"),
        kinds=texts("kind"),
        sessions=texts("session"),
        speakers=texts("speaker"),
        texts=texts("text"),
    )


def _best(scores: Float32Vector, wanted: int) -> Int64Vector:
    """Return the rows of the greatest finite scores, at most `wanted`, in any order."""
    rows = np.arange(len(scores))
    if len(scores) > wanted:
        rows = np.argpartition(-scores, wanted)[:wanted]
    return rows[np.isfinite(scores[rows])]
