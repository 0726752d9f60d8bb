"""The search of memory: for each ACL class that holds items a partition in memory, kept as fresh as the catalog at each use.

    catalog (truth)  --rows changed since the partition's epoch-->  partition: vectors, postings, times
    query  -->  the partitions of the classes that the principal holds, and no other  -->  candidates  -->  confirmed in the catalog

Single writes need no builds: a new row stands at the end, a changed one is read again. Other processes' writes raise the class's epoch too.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.access import AccessFilter, BoolVector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.memory_partition import Found, MemoryQuery, Partition
from indexes.plain_views import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexes.fusion import FloatVector
    from indexes.plain_views import View


@dataclass(frozen=True, slots=True)
class MemoryCandidates:
    """Rows that may answer a query, of all classes that were searched: n of each, and `term_scores` of shape (terms, n).

    `positions` are a row's place in its session as it was remembered, -1 where it has none.
    """

    seqs: Int64Vector
    dense: FloatVector
    """Cosines in [-1, 1]."""
    term_scores: Float32Matrix
    """What each term of the query adds to the BM25 score, at least 0."""
    times: Int64Vector
    trust: FloatVector
    importance: FloatVector
    positions: Int64Vector
    sessions: Int64Vector
    """Equal where two rows are of one session of one class; -1 where a row has none."""
    speakers: Int64Vector
    """Places in `names`, 0 where nobody is said to speak."""
    names: Sequence[str]
    asks: BoolVector
    """Whether the text ends in a question mark."""
    texts: Sequence[str]
    """Of what nobody is said to speak; empty of the rest."""

    def __len__(self) -> int:
        return len(self.seqs)


class MemoryIndex:
    """The partitions of one tenant, those used last up to `max_bytes`. Safe among threads."""

    def __init__(self, *, dim: int, model_id: str, max_bytes: int) -> None:
        self._dim, self._model_id, self._max_bytes = dim, model_id, max_bytes
        self._partitions: OrderedDict[int, Partition] = OrderedDict()
        self._bytes: dict[int, int] = {}
        self._total = 0
        self._lock = RLock()

    def candidates(self, db: View, query: MemoryQuery, *, access: AccessFilter) -> MemoryCandidates:
        """Search the classes that `access` may read, as they are in the view `db` of the catalog."""
        found = []
        for class_id, epoch, gone in _epochs(db, access):
            partition = self._partition(class_id)
            with partition.lock:
                partition.refresh(db, epoch, gone=gone, model_id=self._model_id)
                found.append(partition.search(query))
            self._keep(partition)
        return _joined([one for one in found if len(one)], len(query.terms))

    def _partition(self, class_id: int) -> Partition:
        with self._lock:
            if (partition := self._partitions.get(class_id)) is None:
                partition = self._partitions[class_id] = Partition(class_id, self._dim)
            self._partitions.move_to_end(class_id)
            return partition

    def _keep(self, used: Partition) -> None:
        """Count what the partition takes by now, and let those go that were not used for longest, while all take too much."""
        with self._lock:
            if self._partitions.get(used.class_id) is not used:
                return  # gone meanwhile
            self._total += used.n_bytes - self._bytes.get(used.class_id, 0)
            self._bytes[used.class_id] = used.n_bytes
            while self._total > self._max_bytes and len(self._partitions) > 1:
                self._total -= self._bytes.pop(self._partitions.popitem(last=False)[0], 0)


def _epochs(db: View, access: AccessFilter) -> list[Any]:
    """Return class, epoch and epoch of the last deletion of the readable classes that hold memory, by class."""
    if not access.classes:
        return []
    ids = ",".join(map(str, sorted(access.classes)))
    return fetch(db, f"SELECT class_id, epoch, gone FROM memory_classes WHERE class_id IN ({ids}) ORDER BY class_id")


def _joined(found: Sequence[Found], n_terms: int) -> MemoryCandidates:
    if len(found) == 1:
        return MemoryCandidates(**{name: getattr(found[0], name) for name in MemoryCandidates.__slots__})
    sessions, speakers, names = _renumbered(found)

    def all_of(name: str, kind: Any) -> Any:
        return np.concatenate([getattr(one, name) for one in found]) if found else np.empty(0, kind)

    return MemoryCandidates(
        seqs=all_of("seqs", np.int64),
        dense=all_of("dense", np.float32),
        term_scores=np.concatenate([np.empty((n_terms, 0), np.float32), *(one.term_scores for one in found)], axis=1),
        times=all_of("times", np.int64),
        trust=all_of("trust", np.float32),
        importance=all_of("importance", np.float32),
        positions=all_of("positions", np.int64),
        sessions=np.concatenate([np.empty(0, np.int64), *sessions]),
        speakers=np.concatenate([np.empty(0, np.int64), *speakers]),
        names=names,
        asks=all_of("asks", np.bool_),
        texts=[text for one in found for text in one.texts],
    )


def _renumbered(found: Sequence[Found]) -> tuple[list[Int64Vector], list[Int64Vector], list[str]]:
    """Return each partition's sessions and speakers in numbers that hold among all: sessions are apart, equal names one; and the names."""
    sessions, speakers, names, above = [], [], {"": 0}, 0
    for one in found:
        sessions.append(np.where(one.sessions < 0, -1, one.sessions + above))
        above += int(one.sessions.max()) + 1
        present, place = np.unique(one.speakers, return_inverse=True)
        numbers = [names.setdefault(one.names[number], len(names)) for number in present.tolist()]
        speakers.append(np.array(numbers, np.int64)[place])
    return sessions, speakers, list(names)
