"""One ACL class's items as they are searched: vectors, words, times, and their places in sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexes.access import BoolVector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.dialects import Sql
from indexes.fusion import FloatVector
from indexes.memory_kernels import with_neighbours
from indexes.memory_terms import Digests, Postings
from indexes.memory_vectors import Vectors
from indexes.plain_views import fetch

if TYPE_CHECKING:
    from indexes.plain_views import View

NEVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min

_TIMES = ("time", "recorded", "retired", "valid_from", "valid_to", "closed")
_OPEN = {"retired": NEVER, "valid_from": ALWAYS, "valid_to": NEVER, "closed": NEVER}
_FACTORS = ("trust", "importance")
_CODED = ("kind", "scope", "session", "speaker")
_COLUMNS = (*_TIMES, *_FACTORS, *_CODED)
_CHANGED = Sql(
    f"SELECT i.seq, {', '.join(f'i.{name}' for name in _COLUMNS)}, i.text, v.vector, v.terms FROM memory_items AS i"
    " JOIN memory_vectors AS v ON v.seq = i.seq AND v.model_id = ?"
    " WHERE i.class_id = ? AND i.changed > ?"
)
_ROW_BYTES = 150
"""Of a row besides its vector, words and text."""


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
    """Rows of one partition, ascending; see `indexes.memory_index.MemoryCandidates`."""

    seqs: Int64Vector
    dense: FloatVector
    term_scores: Float32Matrix
    times: Int64Vector
    trust: FloatVector
    importance: FloatVector
    positions: Int64Vector
    sessions: Int64Vector
    """Numbers; -1 where a row has none."""
    speakers: Int64Vector
    """Places in `names`."""
    names: Sequence[str]
    asks: BoolVector
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.seqs)


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

    def of_all(self, texts: Sequence[str]) -> list[int]:
        for text in dict.fromkeys(texts):
            self.of(text)
        return list(map(self._number.__getitem__, texts))

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
        kinds = {**dict.fromkeys(_TIMES, np.int64), **dict.fromkeys(_FACTORS, np.float32), "asks": np.bool_}
        kinds |= dict.fromkeys((*_CODED, "position", "before", "after"), np.int32)
        self._numbers: dict[str, npt.NDArray[Any]] = {name: np.empty(0, kind) for name, kind in kinds.items()}
        self._codes = {name: Codes() for name in _CODED}
        for name in ("session", "speaker"):
            self._codes[name].of("")  # is number 0
        self._texts: list[str] = []
        self._text_bytes = 0
        self._postings = Postings()
        self._last: dict[int, int] = {}
        self._now: BoolVector = np.empty(0, bool)
        self._ending: Int64Vector = np.empty(0, np.int64)

    def __len__(self) -> int:
        return self._n

    @property
    def n_bytes(self) -> int:
        return self._vectors.n_bytes + self._postings.n_bytes + self._text_bytes + _ROW_BYTES * len(self._seqs)

    # -- kept fresh --------------------------------------------------------------------------------------------------

    def refresh(self, db: View, epoch: int, *, gone: int, model_id: str) -> None:
        """Read what changed since the last time; all of it where rows were deleted. Cost: some 5 us a row."""
        if epoch <= self.epoch:  # or another thread has seen more already
            return
        if gone > self.epoch:
            self._clear()
        rows = fetch(db, _CHANGED, (model_id, self.class_id, self.epoch))
        self._take(sorted(rows, key=itemgetter(0)))  # SQLite would copy the vectors to sort
        self.epoch = epoch

    def _take(self, rows: Sequence[Any]) -> None:
        """Take over rows as `_CHANGED` gives them, by ascending seq: new ones, and others that stand here as they were."""
        places = np.searchsorted(self._seqs[: self._n], [row[0] for row in rows]).tolist()
        new = []
        for place, row in zip(places, rows, strict=True):
            if place < self._n and self._seqs[place] == row[0]:
                self._put(place, row)
            else:
                new.append(row)
        if new:
            self._append(new)
        self._now = self._numbers["retired"][: self._n] == NEVER
        self._ending = np.flatnonzero(self._numbers["valid_to"][: self._n] != NEVER)

    def _put(self, place: int, row: Any) -> None:
        """Take over what may change of a row; its text and vector never do, another text is another row."""
        for name, value in zip((*_TIMES, *_FACTORS), row[1:], strict=False):
            self._numbers[name][place] = _OPEN[name] if value is None else value

    def _append(self, rows: Sequence[Any]) -> None:
        first, n = self._n, self._n + len(rows)
        if n > len(self._seqs):
            self._grow(n if not first else n + n // 4 + 16)
        seqs, *columns, texts, vectors, terms = zip(*rows, strict=True)
        self._seqs[first:n] = seqs
        for name, values in zip(_COLUMNS, columns, strict=True):
            if name in _CODED:
                self._numbers[name][first:n] = self._codes[name].of_all(values)
            elif name in _OPEN:
                self._numbers[name][first:n] = [_OPEN[name] if value is None else value for value in values]
            else:
                self._numbers[name][first:n] = values
        self._numbers["asks"][first:n] = [text.endswith("?") for text in texts]
        spoken = self._numbers["speaker"][first:n].tolist()
        self._texts += ["" if speaker else text for speaker, text in zip(spoken, texts, strict=True)]
        self._text_bytes += sum(map(len, self._texts[first:]))
        self._vectors.extend(np.frombuffer(b"".join(vectors), "<f4").reshape(len(rows), self.dim))
        self._postings.extend(np.frombuffer(b"".join(terms), np.uint32), [len(blob) // 4 for blob in terms])
        self._n = n
        self._seat(first)

    def _seat(self, first: int) -> None:
        """Give each new episode its place in its session."""
        position, before, after = (self._numbers[name] for name in ("position", "before", "after"))
        for column in (position, before, after):
            column[first : self._n] = -1
        sessions, kinds = (self._numbers[name][first : self._n] for name in ("session", "kind"))
        rows = first + np.flatnonzero((sessions != 0) & (kinds == self._codes["kind"].of("episode")))
        if not len(rows):
            return
        rows = rows[np.argsort(sessions[rows - first], kind="stable")]
        codes = sessions[rows - first]
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        last = np.array([self._last.get(code, -1) for code in codes[starts].tolist()], np.int32)
        before[rows[1:]] = rows[:-1]
        before[rows[starts]] = last
        begin = np.where(last >= 0, position[last] + 1, 0)
        lengths = np.diff(starts, append=len(rows))
        position[rows] = np.arange(len(rows)) + np.repeat(begin - starts, lengths)
        held = rows[before[rows] >= 0]
        after[before[held]] = held
        self._last.update(zip(codes[starts].tolist(), rows[starts + lengths - 1].tolist(), strict=True))

    def _grow(self, size: int) -> None:
        def grown(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            larger = np.empty(size, array.dtype)
            larger[: self._n] = array[: self._n]
            return larger

        self._seqs = grown(self._seqs)
        self._numbers = {name: grown(array) for name, array in self._numbers.items()}

    # -- searched ----------------------------------------------------------------------------------------------------

    def search(self, query: MemoryQuery) -> Found:
        """Return the best rows of both searches that are shown, with their neighbours, by ascending row."""
        shown = self._shown(query)
        best, held = self._postings.search(query.terms, shown, query.depth)
        near = self._vectors.nearest(query.vector, shown, query.depth)
        numbers = self._numbers
        before, after = numbers["before"][: self._n], numbers["after"][: self._n]
        rows = with_neighbours(np.concatenate([best, near]), before, after, shown, query.around)
        sessions, speakers = numbers["session"][rows].astype(np.int64), numbers["speaker"][rows].astype(np.int64)
        unspoken = not speakers.all()
        return Found(
            seqs=self._seqs[rows],
            dense=self._vectors.scores(query.vector, rows),
            term_scores=self._postings.scores_of(held, rows),
            times=numbers["time"][rows],
            trust=numbers["trust"][rows],
            importance=numbers["importance"][rows],
            positions=numbers["position"][rows].astype(np.int64),
            sessions=sessions - 1,
            speakers=speakers,
            names=self._codes["speaker"].texts,
            asks=numbers["asks"][rows],
            texts=[self._texts[row] for row in rows.tolist()] if unspoken else [""] * len(rows),
        )

    def _shown(self, query: MemoryQuery) -> BoolVector:
        """As `indexes.memory_rows.shown`, for every row, with what else was asked for."""
        n = self._n
        recorded, retired, start, end, closed = (self._numbers[name][:n] for name in _TIMES[1:])
        moment = query.now if query.as_of is None else query.as_of
        mask = (
            self._now.copy() if query.as_of is None else (recorded <= moment) & (retired > moment) & (start <= moment)
        )
        if len(self._ending):
            ended = self._ending[end[self._ending] <= moment]
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
