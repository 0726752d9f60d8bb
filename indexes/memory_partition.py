"""One ACL class's items as they are searched: vectors, words, times, and their places in sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexes.access import BoolVector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.dialects import Sql
from indexes.fusion import FloatVector
from indexes.memory_terms import Digests, Postings
from indexes.memory_vectors import Vectors

if TYPE_CHECKING:
    from sqlalchemy import Connection

NEVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min

_TIMES = ("time", "recorded", "retired", "valid_from", "valid_to", "closed")
_OPEN = {"retired": NEVER, "valid_from": ALWAYS, "valid_to": NEVER, "closed": NEVER}
_FACTORS = ("trust", "importance")
_CODED = ("kind", "scope", "session")
_TEXTS = ("speaker", "text")
_COLUMNS = (*_TIMES, *_FACTORS, *_CODED, *_TEXTS)
_CHANGED = Sql(
    f"SELECT i.seq, {', '.join(f'i.{name}' for name in _COLUMNS)}, v.vector, v.terms FROM memory_items AS i"
    " JOIN memory_vectors AS v ON v.seq = i.seq AND v.model_id = ?"
    " WHERE i.class_id = ? AND i.changed > ? ORDER BY i.seq"
)
_ROW_BYTES = 600


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """What is asked of every partition.

    Args:
        vector: shape (dim,), unit length.
        terms: digests of the query's terms, each once.
        now, as_of: as in `indexes.memory_rows.shown`.
        session: its session-scoped items are searched too.
        scopes, kinds: None means all.
        passing: seqs that pass a metadata filter; None means all.
        depth: rows wanted of each of both searches.
        around: neighbours in the session that come along with each of the best rows, before and after.
    """

    vector: FloatVector
    terms: Digests
    now: int
    as_of: int | None = None
    session: str = ""
    scopes: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    passing: frozenset[int] | None = None
    depth: int = 64
    around: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of one partition; see `indexes.memory_index.MemoryCandidates`."""

    rows: Int64Vector
    seqs: Int64Vector
    dense: FloatVector
    term_scores: Float32Matrix
    times: Int64Vector
    trust: FloatVector
    importance: FloatVector
    positions: Int64Vector
    sessions: Sequence[str]
    speakers: Sequence[str]
    texts: Sequence[str]


class Codes:
    """Numbers in place of the few different texts of a column."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self.texts: list[str] = []

    def of(self, text: str) -> int:
        if (number := self._number.get(text)) is None:
            number = self._number[text] = len(self.texts)
            self.texts.append(text)
        return number

    def any_of(self, texts: frozenset[str]) -> list[int]:
        """Return the numbers of those texts that stand in the column."""
        return [self._number[text] for text in texts if text in self._number]


class Partition:
    """The items of one class. Not safe among threads: hold `lock`."""

    def __init__(self, class_id: int, dim: int) -> None:
        self.class_id, self.dim = class_id, dim
        self.lock = RLock()
        self._clear()

    def _clear(self) -> None:
        self.epoch = self._n = 0
        self._seqs: Int64Vector = np.empty(0, np.int64)
        self._vectors = Vectors(self.dim)
        kinds = {**dict.fromkeys(_TIMES, np.int64), **dict.fromkeys(_FACTORS, np.float32)}
        kinds |= {**dict.fromkeys(_CODED, np.int32), **dict.fromkeys(("position", "before", "after"), np.int64)}
        self._numbers: dict[str, npt.NDArray[Any]] = {name: np.empty(0, kind) for name, kind in kinds.items()}
        self._codes = {name: Codes() for name in _CODED}
        self._texts: dict[str, list[str]] = {name: [] for name in _TEXTS}
        self._postings = Postings()
        self._last: dict[int, int] = {}
        self._now: BoolVector = np.empty(0, bool)

    def __len__(self) -> int:
        return self._n

    @property
    def n_bytes(self) -> int:
        return self._vectors.n_bytes + _ROW_BYTES * self._n

    # -- kept fresh --------------------------------------------------------------------------------------------------

    def refresh(self, db: Connection, epoch: int, *, gone: int, model_id: str) -> None:
        """Read what changed since the last time; all of it where rows were deleted."""
        if epoch <= self.epoch:  # or another thread has seen more already
            return
        if gone > self.epoch:
            self._clear()
        rows = db.exec_driver_sql(_CHANGED.on(db), (model_id, self.class_id, self.epoch)).all()
        new = []
        for row in rows:
            place = int(np.searchsorted(self._seqs[: self._n], row[0]))
            if place < self._n and self._seqs[place] == row[0]:
                self._put(place, row)
            else:
                new.append(row)
        if new:
            self._append(new)
        self._now = self._numbers["retired"][: self._n] == NEVER
        self.epoch = epoch

    def _put(self, place: int, row: Any) -> None:
        """Take over what may change of a row; its text and vector never do, another text is another row."""
        for name, value in zip((*_TIMES, *_FACTORS), row[1:], strict=False):
            self._numbers[name][place] = _OPEN[name] if value is None else value

    def _append(self, rows: Sequence[Any]) -> None:
        first, n = self._n, self._n + len(rows)
        if n > len(self._seqs):
            self._grow(n if not first else n + n // 4 + 16)
        seqs, *columns, vectors, terms = zip(*rows, strict=True)
        self._seqs[first:n] = seqs
        for name, values in zip(_COLUMNS, columns, strict=True):
            if name in _TEXTS:
                self._texts[name] += values
            elif name in _CODED:
                self._numbers[name][first:n] = [self._codes[name].of(value) for value in values]
            elif name in _OPEN:
                self._numbers[name][first:n] = [_OPEN[name] if value is None else value for value in values]
            else:
                self._numbers[name][first:n] = values
        self._vectors.extend(np.frombuffer(b"".join(vectors), "<f4").reshape(len(rows), self.dim))
        self._postings.extend([np.frombuffer(blob, np.uint32) for blob in terms])
        self._n = n
        self._seat(first)

    def _seat(self, first: int) -> None:
        """Give each new episode its place in its session."""
        none, episode = self._codes["session"].of(""), self._codes["kind"].of("episode")
        for name in ("before", "after", "position"):
            self._numbers[name][first : self._n] = -1
        for row in range(first, self._n):
            session = int(self._numbers["session"][row])
            if session == none or self._numbers["kind"][row] != episode:
                continue
            last = self._last.get(session, -1)
            self._numbers["before"][row] = last
            if last >= 0:
                self._numbers["after"][last] = row
                self._numbers["position"][row] = self._numbers["position"][last] + 1
            else:
                self._numbers["position"][row] = 0
            self._last[session] = row

    def _grow(self, size: int) -> None:
        def grown(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            larger = np.empty((size, *array.shape[1:]), array.dtype)
            larger[: self._n] = array[: self._n]
            return larger

        self._seqs = grown(self._seqs)
        self._numbers = {name: grown(array) for name, array in self._numbers.items()}

    # -- searched ----------------------------------------------------------------------------------------------------

    def search(self, query: MemoryQuery) -> Found:
        """Return the best rows of both searches that are shown, with their neighbours, by ascending row."""
        shown = self._shown(query)
        best, weights = self._postings.search(query.terms, shown, query.depth)
        rows = np.union1d(best, self._vectors.nearest(query.vector, shown, query.depth)).astype(np.int64)
        if query.around:
            rows = self._with_neighbours(rows, query.around, shown)
        sessions = self._codes["session"].texts
        return Found(
            rows=rows,
            seqs=self._seqs[rows],
            dense=self._vectors.scores(query.vector, rows),
            term_scores=self._postings.scores_of(weights, rows),
            times=self._numbers["time"][rows],
            trust=self._numbers["trust"][rows],
            importance=self._numbers["importance"][rows],
            positions=self._numbers["position"][rows],
            sessions=[
                f"{self.class_id} {sessions[code]}" if sessions[code] else ""
                for code in self._numbers["session"][rows].tolist()
            ],
            speakers=[self._texts["speaker"][row] for row in rows.tolist()],
            texts=[self._texts["text"][row] for row in rows.tolist()],
        )

    def _shown(self, query: MemoryQuery) -> BoolVector:
        """As `indexes.memory_rows.shown`, for every row, with what else was asked for."""
        n = self._n
        recorded, retired, start, end, closed = (self._numbers[name][:n] for name in _TIMES[1:])
        moment = query.now if query.as_of is None else query.as_of
        mask = (
            self._now.copy() if query.as_of is None else (recorded <= moment) & (retired > moment) & (start <= moment)
        )
        ended = np.flatnonzero(end <= moment)
        history = np.where(closed[ended] == NEVER, end[ended] <= recorded[ended], closed[ended] > moment)
        mask[ended[~history]] = False
        for name, wanted in (("scope", query.scopes), ("kind", query.kinds)):
            if wanted is not None:
                mask &= np.isin(self._numbers[name][:n], self._codes[name].any_of(wanted))
        if own := self._codes["scope"].any_of(frozenset({"session"})):
            present = self._codes["session"].any_of(frozenset({query.session}))
            mask &= (self._numbers["scope"][:n] != own[0]) | np.isin(self._numbers["session"][:n], present)
        if query.passing is not None:
            mask &= np.isin(self._seqs[:n], np.fromiter(query.passing, np.int64, len(query.passing)))
        return mask

    def _with_neighbours(self, rows: Int64Vector, around: int, shown: BoolVector) -> Int64Vector:
        found = [rows]
        for name in ("before", "after"):
            near = rows
            for _ in range(around):
                near = self._numbers[name][near]
                near = near[near >= 0]
                found.append(near)
        near = np.unique(np.concatenate(found))
        return near[shown[near]]
