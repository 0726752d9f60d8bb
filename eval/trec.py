"""BEIR queries, qrels and TREC run files: what goes into a retrieval evaluation and what comes out.

    queries.jsonl   {"_id": "q1", "text": "..."}                      BEIR
    qrels.tsv       query-id <tab> corpus-id <tab> score, a header    BEIR
                    q1 0 d7 1                                         TREC, four columns
    run.trec        q1 Q0 d7 1 0.83 loremill                          TREC

Ids are strings; a relevance is an integer, above 0 for relevant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from eval.jsonl import read_lines, read_objects
from indexes.errors import DatasetError

Queries = Mapping[str, str]
Qrels = Mapping[str, Mapping[str, int]]
Ranking = Sequence[tuple[str, float]]
"""Documents of one query with their scores, best first."""


def read_queries(path: str | Path) -> dict[str, str]:
    """Return query id -> text in file order.

    Raises:
        DatasetError: a line is malformed, lacks `_id` or `text`, or repeats an id; or the file has no query.
    """
    queries: dict[str, str] = {}
    for line, row in read_objects(path):
        query_id, text = row.get("_id"), row.get("text")
        if not isinstance(query_id, str) or not query_id:
            raise DatasetError('"_id" must be a string that is not empty', path=str(path), line=line)
        if not isinstance(text, str) or not text.strip():
            raise DatasetError('"text" must be a string that is not empty', path=str(path), line=line)
        if query_id in queries:
            raise DatasetError(f"query {query_id!r} appears twice", path=str(path), line=line)
        queries[query_id] = text
    if not queries:
        raise DatasetError("no queries", path=str(path))
    return queries


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Return query id -> document id -> relevance from BEIR's three columns or TREC's four, also mixed.

    Raises:
        DatasetError: a line has another shape, its relevance is no integer, or it judges a pair again; or no judgement.
    """
    qrels: dict[str, dict[str, int]] = {}
    for line, text in read_lines(path):
        fields = text.split("\t") if "\t" in text else text.split()
        if line == 1 and fields[0].lower() in {"query-id", "query_id", "qid"}:
            continue
        if len(fields) not in {3, 4}:
            raise DatasetError(f"expected 3 or 4 columns, got {len(fields)}", path=str(path), line=line)
        query_id, document_id, score = fields[0].strip(), fields[-2].strip(), fields[-1].strip()
        if not query_id or not document_id:
            raise DatasetError("an id is empty", path=str(path), line=line)
        if document_id in qrels.get(query_id, {}):
            raise DatasetError(f"document {document_id!r} is judged twice for {query_id!r}", path=str(path), line=line)
        try:
            qrels.setdefault(query_id, {})[document_id] = int(score)
        except ValueError:
            raise DatasetError(f"relevance {score!r} is not an integer", path=str(path), line=line) from None
    if not qrels:
        raise DatasetError("no judgements", path=str(path))
    return qrels


def read_run(path: str | Path) -> dict[str, list[tuple[str, float]]]:
    """Return query id -> ranking, by descending score as trec_eval reads it; equal scores by ascending rank.

    Raises:
        DatasetError: a line has not six columns, a rank or score is no number, or a document appears twice for a query.
    """
    rows: dict[str, dict[str, tuple[float, int]]] = {}
    for line, text in read_lines(path):
        fields = text.split()
        if len(fields) != 6:
            raise DatasetError(
                f"expected 6 columns (qid Q0 docid rank score tag), got {len(fields)}", path=str(path), line=line
            )
        query_id, _, document_id, rank, score, _ = fields
        if document_id in rows.get(query_id, {}):
            raise DatasetError(f"document {document_id!r} is ranked twice for {query_id!r}", path=str(path), line=line)
        try:
            place = (-float(score), int(rank))
        except ValueError:
            raise DatasetError(f"rank {rank!r} or score {score!r} is not a number", path=str(path), line=line) from None
        if math.isnan(place[0]):
            raise DatasetError("the score is NaN", path=str(path), line=line)
        rows.setdefault(query_id, {})[document_id] = place
    return {
        query_id: [(document_id, -place[0]) for document_id, place in sorted(found.items(), key=lambda item: item[1])]
        for query_id, found in rows.items()
    }


def write_run(path: str | Path, run: Mapping[str, Ranking], *, tag: str = "loremill") -> None:
    """Write a TREC run file, replacing it; ranks count from 1.

    trec_eval ignores the ranks, reads scores in single precision and orders equal ones by document id. So that it sees
    the order that was served, a score that does not fall below the one above it is lowered to the next smaller float32.

    Raises:
        DatasetError: an id contains white space, which the format cannot carry; or the file cannot be written.
    """
    lines = [
        f"{_token(query_id, path)} Q0 {_token(document_id, path)} {rank} {score!s} {tag}\n"
        for query_id, ranking in run.items()
        for rank, (document_id, score) in enumerate(_strictly_falling(ranking), start=1)
    ]
    try:
        Path(path).write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"cannot be written: {error.strerror or error}", path=str(path)) from error


def _strictly_falling(ranking: Iterable[tuple[str, float]]) -> Iterator[tuple[str, np.float32]]:
    above = np.float32(np.inf)
    for document_id, score in ranking:
        above = min(np.float32(score), np.nextafter(above, np.float32(-np.inf)))
        yield document_id, above


def _token(value: str, path: str | Path) -> str:
    if not value or any(character.isspace() for character in value):
        raise DatasetError(
            f"id {value!r} is empty or contains white space: a TREC run file cannot carry it", path=str(path)
        )
    return value
