"""Lexical search in Qdrant: BM25 as sparse vectors, with the access filter inside the query and the analysis of `indexes.lexical`.

A row's vector holds, for each of its terms, what the term's frequency and the field's length make of it; the query's holds the field's
weight times the idf, counted among the rows that may be read: a score must not tell what stands in the others. So their inner product is
the BM25 score of `indexes.lexical`, but for tantivy's rounding of field lengths to one byte.

    text, title --> terms --> numbers (terms.json) --> weights --> sparse vector, and a payload of numbers to count by
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Int64Vector
from indexes.errors import BuildCorrupt, ConfigError, DependencyMissing, UnsupportedFilter
from indexes.forward import K1, B
from indexes.lexical import ANALYSIS, MAX_QUERY_TERMS, TITLE_WEIGHT, LexicalRow, analyzer, idf
from indexes.qdrant_engine import ClientEngine
from indexes.qdrant_filter import Layout, Rights
from indexes.qdrant_search import Float32Vector, SparseQuery, candidates
from indexes.qdrant_store import open_collection, unavailable, write_collection
from indexes.vectors import RowScores, VectorOptions, check_classes

if TYPE_CHECKING:
    from qdrant_client.models import Batch

_K1, _B = 1.2, 0.75
_FIELDS = {"text": 1.0, "title": TITLE_WEIGHT}
_VECTOR = "words"
_BATCH = 256
_NO_TERM = 2**32 - 1
_RARITIES_KEPT = 100_000


class SparseBackend:
    """Builds and opens collections of sparse vectors."""

    def __init__(self, options: VectorOptions) -> None:
        self._options = options

    def unavailable(self) -> str:
        return unavailable(self._options)

    def build(self, rows: Iterable[LexicalRow], path: Path) -> None:
        """See `LexicalBackend.build`. Cost: the postings pass through a temporary file, since weights need the mean length."""
        path.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path) as file:
            spool = _Spool(file)
            for row in rows:
                spool.add(row)
            (path / "terms.json").write_text(json.dumps(list(spool.numbers), ensure_ascii=False), "utf-8")
            classes = np.array(spool.classes, np.int32)
            write_collection(path / "pointer.json", self._options, 0, spool.batches(), classes, **_schema())

    def open(
        self, path: Path, *, row_documents: Int32Vector, built_classes: Int32Vector, analysis: str = ANALYSIS
    ) -> SparseIndex:
        """See `LexicalBackend.open`; classes at build time are those that were written with the postings."""
        store, classes = open_collection(path / "pointer.json", self._options, **_schema())
        try:
            terms: list[str] = json.loads((path / "terms.json").read_text("utf-8"))
            numbers = {term: number for number, term in enumerate(terms)}
        except (OSError, ValueError, TypeError) as error:
            raise BuildCorrupt(f"lexical index cannot be read: {error}; ingest again with --full") from error
        return SparseIndex(ClientEngine(store, using=_VECTOR), numbers, classes, analysis)


@dataclass(slots=True)
class _Spool:
    """The rows' terms and frequencies on their way from text to weights."""

    file: IO[bytes]
    numbers: dict[str, int] = field(default_factory=dict)
    classes: list[int] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FIELDS, 0))
    _analyzer: Any = field(default_factory=analyzer)

    def add(self, row: LexicalRow) -> None:
        self.classes.append(row.acl_class)
        for name, text in zip(_FIELDS, (row.text, row.title), strict=True):
            counts = Counter(self._analyzer.analyze(text))
            numbers = [self.numbers.setdefault(_key(name, term), len(self.numbers)) for term in counts]
            self.lengths[name] += counts.total()
            self.file.write(np.array([len(counts), *numbers, *counts.values()], "<u4").tobytes())

    def batches(self) -> Iterator[Batch]:
        from qdrant_client.models import Batch, SparseVector

        self.file.seek(0)
        for start in range(0, len(self.classes), _BATCH):
            ids = range(start, min(start + _BATCH, len(self.classes)))
            rows = [self._read() for _ in ids]
            vectors: list[Any] = [SparseVector(indices=terms, values=weights) for terms, weights in rows]
            payloads = [{"acl": self.classes[row], "terms": terms} for row, (terms, _) in zip(ids, rows, strict=True)]
            yield Batch(ids=list(ids), vectors={_VECTOR: vectors}, payloads=payloads)

    def _read(self) -> tuple[list[int], list[float]]:
        terms, weights = [], []
        for name in _FIELDS:
            (count,) = np.frombuffer(self.file.read(4), "<u4")
            numbers, frequencies = np.frombuffer(self.file.read(8 * int(count)), "<u4").reshape(2, -1)
            mean = self.lengths[name] / len(self.classes)
            terms.append(numbers)
            weights.append(_weights(frequencies.astype(np.float64), mean))
        order = np.argsort(np.concatenate(terms))
        return np.concatenate(terms)[order].tolist(), np.concatenate(weights)[order].astype(np.float32).tolist()


def _weights(frequencies: Any, mean: float) -> Any:
    """BM25 without its idf: a term's weight in a field of that many words, where fields hold `mean` on average."""
    if not len(frequencies):
        return frequencies
    return frequencies * (_K1 + 1) / (frequencies + _K1 * (1 - _B + _B * frequencies.sum() / mean))


class SparseIndex:
    """One build's postings as sparse vectors. The surface of `LexicalIndex`."""

    def __init__(
        self, engine: ClientEngine, numbers: dict[str, int], built_classes: Int32Vector, analysis: str = ANALYSIS
    ) -> None:
        self._engine = engine
        self._numbers = numbers
        self._layout = Layout(built_classes)
        self._rows = len(built_classes)
        self._analyzer = analyzer(analysis)
        self._state: tuple[Rights, dict[tuple[frozenset[int], str], float]] | None = None

    def __len__(self) -> int:
        return self._rows

    def assign_classes(self, classes: Int32Vector) -> None:
        check_classes(classes, len(self))
        self._state = Rights(classes, self._layout), {}

    def search(self, query: str, *, top_k: int, access: AccessFilter, where: BoolVector | None = None) -> RowScores:
        """See `LexicalIndex.search`."""
        rights, rarity = self._assigned()
        wanted = rights.wanted(access, where)
        asked = self._query(query, access, rights, rarity)
        if not wanted.count or not len(asked.terms):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        (rows,) = candidates(self._engine, [asked], min(top_k, wanted.count), wanted, self._layout, scan=True)
        scores = self._score(asked, rows)
        order = np.lexsort((rows, -scores))[:top_k]
        return rows[order], scores[order]

    def scores(self, query: str, rows: Int64Vector, *, access: AccessFilter) -> Float32Vector:
        """See `LexicalIndex.scores`."""
        rights, rarity = self._assigned()
        return self._score(self._query(query, access, rights, rarity), rows)

    def term_scores(
        self, query: str, rows: Int64Vector, *, access: AccessFilter, k1: float = K1, b: float = B
    ) -> Float32Vector:
        """See `LexicalSearch.term_scores`: all terms in one line, by the constants that the weights were written with."""
        return self.scores(query, rows, access=access)[None]

    def similarity(self, rows: Int64Vector) -> Float32Vector:
        """See `LexicalSearch.similarity`."""
        raise ConfigError(
            "lexical_index = qdrant does not tell how alike chunks are: set diversity to 0, or use tantivy"
        )

    def holds(self, row: int, terms: Iterable[str]) -> bool:
        """See `LexicalIndex.holds`."""
        ((held, _),) = self._engine.sparse_vectors(np.array([row]))
        wanted = [self._numbers.get(_key("text", term), _NO_TERM) for term in terms]
        return bool(np.isin(wanted, held).all())

    def terms(self, text: str) -> list[str]:
        """See `LexicalIndex.terms`."""
        return list(dict.fromkeys(self._analyzer.analyze(text)))

    def _score(self, query: SparseQuery, rows: Int64Vector) -> Float32Vector:
        """The inner products, each row's by itself and in one order of its terms, so that equal rows tie."""
        scores = np.zeros(len(rows), np.float32)
        if len(rows) and len(query.terms):
            for at, (terms, weights) in enumerate(self._engine.sparse_vectors(rows)):
                _, ours, theirs = np.intersect1d(query.terms, terms, assume_unique=True, return_indices=True)
                scores[at] = np.dot(query.weights[ours].astype(np.float64), weights[theirs].astype(np.float64))
        return scores

    def _query(
        self, query: str, access: AccessFilter, rights: Rights, rarity: dict[tuple[frozenset[int], str], float]
    ) -> SparseQuery:
        weights: dict[int, float] = {}
        for term in self.terms(query)[:MAX_QUERY_TERMS]:
            for name, weight in _FIELDS.items():
                key = _key(name, term)
                known = rarity.get((access.classes, key))
                if known is None:
                    if len(rarity) >= _RARITIES_KEPT:
                        rarity.clear()
                    known = rarity[access.classes, key] = self._readable_idf(key, access, rights)
                if key in self._numbers:
                    weights[self._numbers[key]] = weight * known
        numbers = np.array(sorted(weights), np.int64)
        return SparseQuery(numbers, np.array([weights[number] for number in numbers.tolist()], np.float32))

    def _readable_idf(self, key: str, access: AccessFilter, rights: Rights) -> float:
        """Count the term among the readable rows. Also one that no row holds: to skip it would show in the time what others hold."""
        mask = access.mask(rights.classes)
        readable = int(np.count_nonzero(mask))
        if not readable:
            return 0.0
        admitted = self._layout.admit(mask, named=None)
        return idf(readable, self._engine.count(admitted, term=self._numbers.get(key, _NO_TERM)))

    def _assigned(self) -> tuple[Rights, dict[tuple[frozenset[int], str], float]]:
        if self._state is None:
            raise UnsupportedFilter("this index was given no ACL classes, so it cannot tell what may be read")
        return self._state


def _key(name: str, term: str) -> str:
    """A term of a field, as terms.json names it."""
    return f"{name}:{term}"


def _schema() -> dict[str, Any]:
    try:
        from qdrant_client.models import SparseVectorParams
    except ImportError as error:
        raise DependencyMissing("qdrant-client", extra="qdrant") from error
    return {"vectors_config": {}, "sparse_vectors_config": {_VECTOR: SparseVectorParams()}}
