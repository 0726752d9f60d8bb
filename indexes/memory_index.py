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

from indexes.access import AccessFilter
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.memory_partition import Found, MemoryQuery, Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from indexes.fusion import FloatVector


@dataclass(frozen=True, slots=True)
class MemoryCandidates:
    """Rows that may answer a query, of all classes that were searched: n of each, and `term_scores` of shape (terms, n).

    `sessions` are empty where a row has none, and differ where equal names are of different classes; `positions` are the row's place
    in its session as it was remembered, -1 where it has none.
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
    sessions: Sequence[str]
    speakers: Sequence[str]
    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.seqs)


class MemoryIndex:
    """The partitions of one tenant, those used last up to `max_bytes`. Safe among threads."""

    def __init__(self, *, dim: int, model_id: str, max_bytes: int) -> None:
        self._dim, self._model_id, self._max_bytes = dim, model_id, max_bytes
        self._partitions: OrderedDict[int, Partition] = OrderedDict()
        self._lock = RLock()

    def candidates(self, db: Connection, query: MemoryQuery, *, access: AccessFilter) -> MemoryCandidates:
        """Search the classes that `access` may read, as they are in the view `db` of the catalog."""
        found = []
        for class_id, epoch, gone in _epochs(db, access):
            with self._lock:
                partition = self._partitions.setdefault(class_id, Partition(class_id, self._dim))
                self._partitions.move_to_end(class_id)
            with partition.lock:
                partition.refresh(db, epoch, gone=gone, model_id=self._model_id)
                found.append(partition.search(query))
        self._evict()
        return _joined([one for one in found if len(one.rows)], len(query.terms))

    def _evict(self) -> None:
        with self._lock:
            total = sum(partition.n_bytes for partition in self._partitions.values())
            while total > self._max_bytes and len(self._partitions) > 1:
                total -= self._partitions.popitem(last=False)[1].n_bytes


def _epochs(db: Connection, access: AccessFilter) -> list[Any]:
    """Return class, epoch and epoch of the last deletion of the readable classes that hold memory, by class."""
    if not access.classes:
        return []
    ids = ",".join(map(str, sorted(access.classes)))
    query = f"SELECT class_id, epoch, gone FROM memory_classes WHERE class_id IN ({ids}) ORDER BY class_id"
    return list(db.exec_driver_sql(query))


def _joined(found: Sequence[Found], n_terms: int) -> MemoryCandidates:
    def numbers(name: str, kind: Any) -> Any:
        return np.concatenate([getattr(one, name) for one in found]) if found else np.empty(0, kind)

    def texts(name: str) -> list[str]:
        return [text for one in found for text in getattr(one, name)]

    scores = [one.term_scores for one in found] or [np.empty((n_terms, 0), np.float32)]
    return MemoryCandidates(
        seqs=numbers("seqs", np.int64),
        dense=numbers("dense", np.float32),
        term_scores=np.concatenate(scores, axis=1),
        times=numbers("times", np.int64),
        trust=numbers("trust", np.float32),
        importance=numbers("importance", np.float32),
        positions=numbers("positions", np.int64),
        sessions=texts("sessions"),
        speakers=texts("speakers"),
        texts=texts("texts"),
    )
