"""Lexical search with tantivy: BM25 over title, headings and text, with the access filter inside the query.

How rare a term is, is counted among the rows that the principal may read: a score must not tell what stands in the others.
What is left of them is one number, the mean length of all rows.
tantivy's own analysis: Unicode words, lower case, accents folded, Snowball stems of English. No stop words: their idf makes them
light enough, "not" and "no" say something, and "die" or "in" are words of other languages too.
tantivy finds; the forward index beside its files (indexes/forward.py) scores what was found, term by term.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from indexes.access import UNREADABLE, AccessFilter, BoolVector, Int32Vector
from indexes.errors import BuildCorrupt, ConfigError, DependencyMissing, UnsupportedFilter
from indexes.forward import K1, B, ForwardIndex, ForwardWriter
from indexes.vectors import RowScores, VectorOptions

ANALYSIS = "words-lower-fold-snowball-en/2"
_WITH_STOP_WORDS = "words-lower-fold-stop-snowball-en/1"
TITLE_WEIGHT = 0.5
"""Weight of the title and heading field beside the text; chosen on SciFact train, see eval/LOG.md."""
FIELDS = (("title", TITLE_WEIGHT), ("text", 1.0))

_TERMS = "terms"
_WRITER_BYTES = 256_000_000
MAX_QUERY_TERMS = 256
_RARITIES_KEPT = 100_000
_READERS_KEPT = 1000
_BEHIND = 8  # candidates behind the last wanted one, which may tie with it
_SIFTED_FROM = 100  # where a hundredth passes, sifting costs what a clause of their documents does


@dataclass(frozen=True, slots=True)
class LexicalRow:
    """What one chunk contributes: `document` is the ordinal of its document in the build, `acl_class` its class at build time."""

    document: int
    acl_class: int
    title: str
    text: str


def analyzer(analysis: str = ANALYSIS) -> Any:
    """Return what turns text into terms, for postings and queries of every backend."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(60)).filter(Filter.lowercase())
    builder = builder.filter(Filter.ascii_fold())
    if analysis == _WITH_STOP_WORDS:
        builder = builder.filter(Filter.stopword("english"))
    return builder.filter(Filter.stemmer("english")).build()


def _schema() -> Any:
    from tantivy import SchemaBuilder

    builder = SchemaBuilder()
    for name in ("title", "text"):
        builder.add_text_field(name, tokenizer_name="loremill", index_option="freq")
    for name in ("row", "document", "acl"):
        builder.add_unsigned_field(name, indexed=True, fast=True)
    return builder.build()


def build_lexical(rows: Iterable[LexicalRow], path: Path) -> None:
    """Write the index of `rows` (row numbers count from 0) into the folder `path`, created if missing.

    Cost: about 0.1 ms a row; one thread, so that equal input gives equal order.
    """
    from tantivy import Document, Index

    analyse = analyzer()
    forward = ForwardWriter(analyse.analyze)

    path.mkdir(parents=True, exist_ok=True)
    index = Index(_schema(), path=str(path))
    index.register_tokenizer("loremill", analyse)
    writer = index.writer(heap_size=_WRITER_BYTES, num_threads=1)
    for number, row in enumerate(rows):
        document = Document()
        document.add_text("title", row.title)
        document.add_text("text", row.text)
        document.add_unsigned("row", number)
        document.add_unsigned("document", row.document)
        document.add_unsigned("acl", row.acl_class)
        writer.add_document(document)
        forward.add(row.title, row.text)
    writer.commit()
    writer.wait_merging_threads()
    forward.save(path / _TERMS)


@dataclass(frozen=True, slots=True)
class _Policy:
    """Who may read what now, told from what the postings say, and the idf factors counted under it.

    `became` maps a class at build time to the one that most of its documents have now; `others` are the documents that have
    another one, with the class at build time and now of each. Moving a whole folder leaves `others` empty.
    """

    row_classes: Int32Vector
    became: dict[int, int]
    others: Int32Vector
    others_were: Int32Vector
    others_are: Int32Vector
    rarity: dict[tuple[frozenset[int], str, str], tuple[float, float]] = field(default_factory=dict)
    """By readable classes, field and term: its idf among the readable rows, and that over tantivy's, which counts all."""
    readable: dict[frozenset[int], tuple[int, Any]] = field(default_factory=dict)
    """By readable classes: how many rows that are, and the clause that admits them."""

    @classmethod
    def compare(cls, row_classes: Int32Vector, built_classes: Int32Vector, row_documents: Int32Vector) -> _Policy:
        """Cost: O(rows)."""
        documents, first_rows = np.unique(row_documents, return_index=True)
        were, are = built_classes[first_rows], row_classes[first_rows]
        became: dict[int, int] = {}
        for class_id in np.unique(were).tolist():
            now, counts = np.unique(are[were == class_id], return_counts=True)
            became[class_id] = int(now[np.argmax(counts)])
        expected = np.array([became[class_id] for class_id in were.tolist()], dtype=np.int32)
        moved = are != expected
        return cls(row_classes, became, documents[moved], were[moved], are[moved])


class TantivyBackend:
    """Builds and opens tantivy's folders; see `indexes.lexical_backends`."""

    def __init__(self, options: VectorOptions) -> None:
        pass

    def unavailable(self) -> str:
        try:
            import tantivy  # noqa: F401
        except ImportError:
            return str(DependencyMissing("tantivy"))
        return ""

    def build(self, rows: Iterable[LexicalRow], path: Path) -> None:
        build_lexical(rows, path)

    def open(
        self, path: Path, *, row_documents: Int32Vector, built_classes: Int32Vector, analysis: str = ANALYSIS
    ) -> LexicalIndex:
        return LexicalIndex(path, row_documents=row_documents, built_classes=built_classes, analysis=analysis)


class LexicalIndex:
    """One build's postings, opened for reading."""

    def __init__(
        self, path: Path, *, row_documents: Int32Vector, built_classes: Int32Vector, analysis: str = ANALYSIS
    ) -> None:
        """Open the folder.

        Args:
            row_documents: document ordinal of each row.
            built_classes: ACL class of each row when the build was made.
            analysis: the one that it was made with; the first one had no forward index, and stop words.
        """
        from tantivy import Index

        try:
            index = Index.open(str(path))
        except ValueError as error:
            raise BuildCorrupt(f"lexical index cannot be read: {error}; ingest again with --full") from error
        self._analyzer = analyzer(analysis)
        self._forward = None if analysis == _WITH_STOP_WORDS else ForwardIndex(path / _TERMS)
        index.register_tokenizer("loremill", self._analyzer)
        self._schema = index.schema
        self._searcher = index.searcher()
        self._row_documents = row_documents
        self._built_classes = built_classes
        self._policy: _Policy | None = None

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def assign_classes(self, classes: Int32Vector) -> None:
        """Tell each row's ACL class now. Postings keep the class they were built with; `_Policy` bridges the difference."""
        if len(classes) != len(self):
            raise BuildCorrupt(f"{len(classes)} ACL classes for {len(self)} postings")
        self._policy = _Policy.compare(classes, self._built_classes, self._row_documents)

    def search(self, query: str, *, top_k: int, access: AccessFilter, where: BoolVector | None = None) -> RowScores:
        """Return the `top_k` best readable rows that share a term with `query`, best first.

        Args:
            query: free text; no operators.
            top_k: rows wanted, at least 1.
            access: what the principal may read; a clause of the query itself.
            where: rows that pass a metadata filter, ANDed with `access`; None means all.
        Returns:
            Rows and BM25 scores > 0, descending; ties by ascending row.
        Raises:
            UnsupportedFilter: classes were never assigned.
        Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework (k1 = 1.2, b = 0.75, tantivy's constants).
        """
        self._assigned()
        words = self._text_query(query, access)
        if words is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        sifted = None if where is None else self._sifted(words, top_k + _BEHIND, access, where)
        rows, scores = sifted or self._best(words, self._access_query(access, where), top_k + _BEHIND)
        order = np.lexsort((rows, -scores))[:top_k]
        return rows[order], scores[order]

    def _sifted(self, words: Any, wanted: int, access: AccessFilter, where: BoolVector) -> RowScores | None:
        """Return the best rows that pass `where`, sifted out of more readable ones than are wanted.

        None where few rows pass or not enough were among those: then a clause that names the documents is cheaper, or needed. One that
        names many costs far more than the hits that it spares.
        """
        n_readable, readable = self._readable(access)
        passing = int(np.count_nonzero(access.mask(self._assigned().row_classes) & where))
        if passing * _SIFTED_FROM < n_readable or not passing:
            return None
        limit = 2 * wanted * n_readable // passing
        rows, scores = self._best(words, readable, limit)
        passed = where[rows]
        if np.count_nonzero(passed) < wanted and len(rows) == limit:
            return None
        return rows[passed], scores[passed]

    def _best(self, words: Any, readable: Any | None, limit: int) -> RowScores:
        """Return up to `limit` of the best rows that the clause `readable` admits."""
        from tantivy import Occur, Query

        if readable is None or not len(self):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        full = Query.boolean_query([(Occur.Must, words), (Occur.Must, Query.const_score_query(readable, 0.0))])
        found = self._searcher.search(full, min(limit, len(self)), count=False).hits
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores = np.array([score for score, _ in found], dtype=np.float32)
        rows = np.array(self._searcher.fast_field_values("row", [address for _, address in found]), dtype=np.int64)
        return rows, scores

    def scores(
        self, query: str, rows: np.ndarray[Any, np.dtype[np.int64]], *, access: AccessFilter
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the BM25 scores of the given rows, 0 where no term is shared, as `search` gives them. `access` must cover the rows."""
        from tantivy import Occur, Query

        scores = np.zeros(len(rows), np.float32)
        words = self._text_query(query, access)
        if words is None or not len(rows):
            return scores
        only = Query.const_score_query(Query.term_set_query(self._schema, "row", rows.tolist()), 0.0)
        found = self._searcher.search(
            Query.boolean_query([(Occur.Must, words), (Occur.Must, only)]), len(rows), count=False
        ).hits
        place = {int(row): at for at, row in enumerate(rows)}
        numbers = self._searcher.fast_field_values("row", [address for _, address in found]) if found else []
        for (score, _), row in zip(found, numbers, strict=True):
            scores[place[int(row)]] = score
        return scores

    def term_scores(
        self,
        query: str,
        rows: np.ndarray[Any, np.dtype[np.int64]],
        *,
        access: AccessFilter,
        k1: float = K1,
        b: float = B,
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return what each term of the query adds to the score of each row, shape (terms, rows). `access` must cover the rows.

        A build of before the forward index has one line, `scores`.
        """
        if self._forward is None:
            return self.scores(query, rows, access=access)[None]
        terms = self.terms(query)[:MAX_QUERY_TERMS]
        idfs = [[weight * self._rarity(name, term, access)[0] for name, weight in FIELDS] for term in terms]
        return self._forward.term_scores(
            terms, rows, weights=np.array(idfs).reshape(len(terms), len(FIELDS)), k1=k1, b=b
        )

    def similarity(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return how alike the words of the rows are, shape (rows, rows), in [0, 1]; see `ForwardIndex.similarity`.

        Raises:
            ConfigError: the build is of before the forward index.
        """
        if self._forward is None:
            raise ConfigError("this build knows no words of its chunks: ingest again, or set diversity to 0")
        return self._forward.similarity(rows)

    def holds(self, row: int, terms: Iterable[str]) -> bool:
        """Has the row a posting, and an entry, for each of the terms in its text? For `verify`: no rights are asked."""
        from tantivy import Occur, Query

        terms = list(terms)
        if self._forward is not None:
            in_text = np.tile([0.0, 1.0], (len(terms), 1))
            if not self._forward.term_scores(terms, np.array([row]), weights=in_text).all():
                return False
        clauses = [Query.term_query(self._schema, "text", term, "basic") for term in terms]
        clauses.append(Query.term_query(self._schema, "row", row))
        every = Query.boolean_query([(Occur.Must, clause) for clause in clauses])
        return bool(self._searcher.search(every, 1, count=True).count == 1)

    def terms(self, text: str) -> list[str]:
        """Return the analysed terms of `text` in order, each once."""
        return list(dict.fromkeys(self._analyzer.analyze(text)))

    def _text_query(self, query: str, access: AccessFilter) -> Any | None:
        from tantivy import Occur, Query

        clauses = []
        for term in self.terms(query)[:MAX_QUERY_TERMS]:
            for name, weight in FIELDS:
                boost = weight * self._rarity(name, term, access)[1]
                clause = Query.term_query(self._schema, name, term, "freq")
                clauses.append((Occur.Should, clause if boost == 1.0 else Query.boost_query(clause, boost)))
        return Query.boolean_query(clauses) if clauses else None

    def _rarity(self, name: str, term: str, access: AccessFilter) -> tuple[float, float]:
        """Return the term's idf among the readable rows, and that over its idf among all; kept until rights change."""
        key = (access.classes, name, term)
        known = self._assigned().rarity
        if (rarity := known.get(key)) is None:
            if len(known) >= _RARITIES_KEPT:
                known.clear()
            rarity = known[key] = self._count_rarity(name, term, access)
        return rarity

    def _count_rarity(self, name: str, term: str, access: AccessFilter) -> tuple[float, float]:
        from tantivy import Occur, Query

        n_readable, readable = self._readable(access)
        among_all = idf(len(self), self._searcher.doc_freq(name, term))
        if n_readable == len(self) or readable is None:
            return among_all, 1.0
        both = Query.boolean_query(
            [(Occur.Must, Query.term_query(self._schema, name, term, "basic")), (Occur.Must, readable)]
        )
        holding_readable = self._searcher.search(both, 1, count=True).count
        # Also for a term that no row holds: to skip it would show in the time which terms others' documents hold.
        among_readable = idf(n_readable, holding_readable)
        return among_readable, among_readable / among_all

    def _access_query(self, access: AccessFilter, where: BoolVector | None) -> Any | None:
        """Return the clause that admits exactly the readable rows, or None where there are none."""
        if where is None:
            return self._readable(access)[1]
        mask = access.mask(self._assigned().row_classes) & where
        return self._set_query("document", np.unique(self._row_documents[mask]).tolist())

    def _readable(self, access: AccessFilter) -> tuple[int, Any | None]:
        """Return how many rows may be read and the clause that admits them, kept until rights change."""
        policy = self._assigned()
        if (known := policy.readable.get(access.classes)) is None:
            if len(policy.readable) >= _READERS_KEPT:
                policy.readable.clear()
            count = int(np.count_nonzero(access.mask(policy.row_classes)))
            known = policy.readable[access.classes] = count, self._class_query(policy, access)
        return known

    def _class_query(self, policy: _Policy, access: AccessFilter) -> Any | None:
        from tantivy import Occur, Query

        admitted = access.classes - {UNREADABLE}
        built = [class_id for class_id, now in policy.became.items() if now in admitted]
        may = np.isin(policy.others_are, list(admitted))
        through_class = np.isin(policy.others_were, built)
        by_class = self._set_query("acl", sorted(built))
        blocked = self._set_query("document", policy.others[through_class & ~may].tolist())
        if by_class is not None and blocked is not None:
            by_class = Query.boolean_query([(Occur.Must, by_class), (Occur.MustNot, blocked)])
        by_document = self._set_query("document", policy.others[may & ~through_class].tolist())
        either = [(Occur.Should, query) for query in (by_class, by_document) if query is not None]
        return Query.boolean_query(either) if len(either) > 1 else (either[0][1] if either else None)

    def _set_query(self, name: str, values: list[int]) -> Any | None:
        from tantivy import Query

        return Query.term_set_query(self._schema, name, values) if values else None

    def _assigned(self) -> _Policy:
        if self._policy is None:
            raise UnsupportedFilter("this index was given no ACL classes, so it cannot tell what may be read")
        return self._policy


def idf(rows: int, holding: int) -> float:
    """tantivy's BM25 idf, ln(1 + (N - n + 0.5) / (n + 0.5)), of a term that n of N rows hold."""
    return math.log(1 + (rows - holding + 0.5) / (holding + 0.5))
