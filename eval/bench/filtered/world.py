"""Rows, rights and questions for the filtered search benchmark: clustered vectors whose rights do or do not follow their topics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.vocabulary import Principal

SHARES = (0.001, 0.01, 0.05, 0.1, 0.3, 1.0)
CLASSES = 1000
WHERE_SHARE = 0.3
_SUBTOPICS = 10
_BLOCK = 50_000


class Rights(StrEnum):
    """How what one may read lies to what one asks about."""

    UNCORRELATED = "uncorrelated"
    POSITIVE = "positive"
    NEGATIVE = "negative"


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries, shape (n, dim), of one person who may read the rows of `access`."""

    access: AccessFilter
    queries: Float32Matrix
    where: BoolVector | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Rows of unit length, two ways of giving rights to them, and queries drawn as the rows are.

    `scattered` are classes that know nothing of topics; classes in `by_topic` are neighbouring subtopics, as departments are.
    """

    rows: Float32Matrix
    scattered: Int32Vector
    by_topic: Int32Vector
    queries: Float32Matrix
    query_classes: Int32Vector
    """The topic class that each query would belong to."""
    class_centres: Float32Matrix
    where: BoolVector
    """A metadata filter that three rows in ten pass, whatever their topic and rights."""

    def classes(self, rights: Rights) -> Int32Vector:
        return self.scattered if rights is Rights.UNCORRELATED else self.by_topic

    def asked(self, rights: Rights, share: float, *, people: int, each: int, filtered: bool = False) -> Iterator[Asked]:
        """Yield `people` with that share of the classes, and `each` queries of everyone.

        Positive: the classes nearest to a home class and queries about them. Negative: the same classes, and queries from the tenth of
        the classes that lies farthest away. `filtered` adds the metadata filter.
        """
        random = np.random.default_rng(int(share * 1e6) + len(rights))
        n_classes = max(1, round(share * len(self.class_centres)))
        for _ in range(people):
            if rights is Rights.UNCORRELATED:
                readable = random.choice(len(self.class_centres), n_classes, replace=False)
                candidates = np.arange(len(self.queries))
            else:
                home = self.class_centres[random.integers(len(self.class_centres))]
                order = np.argsort(-(self.class_centres @ home), kind="stable")
                readable = order[:n_classes]
                about = readable if rights is Rights.POSITIVE else order[-max(1, len(order) // 10) :]
                candidates = np.flatnonzero(np.isin(self.query_classes, about))
                if len(candidates) < each:  # few queries were drawn from so small a part: take the nearest ones
                    towards = self.class_centres[about].mean(axis=0)
                    candidates = np.argsort(-(self.queries @ towards), kind="stable")[: each * 2]
            chosen = random.choice(candidates, min(each, len(candidates)), replace=False)
            where = self.where if filtered else None
            yield Asked(access(readable.tolist()), np.ascontiguousarray(self.queries[chosen]), where)


def access(classes: list[int]) -> AccessFilter:
    return AccessFilter("bench", Principal("bench", "user:bench"), frozenset(classes))


def clustered_world(n_rows: int, *, dim: int = 384, n_queries: int = 4000, seed: int = 1) -> World:
    """Make topics of ten subtopics each, in a space whose dimensions matter less and less, as those of real embeddings do."""
    random = np.random.default_rng(seed)
    weight = (np.arange(1, dim + 1) ** -0.35).astype(np.float32)
    n_topics = CLASSES // _SUBTOPICS * 2
    topics = random.standard_normal((n_topics, dim), dtype=np.float32) * weight
    of_topic = np.repeat(np.arange(n_topics), _SUBTOPICS)
    centres = topics[of_topic] + 0.8 * random.standard_normal((len(of_topic), dim), dtype=np.float32) * weight
    subtopic = random.integers(0, len(of_topic), n_rows + n_queries)
    vectors = np.empty((n_rows + n_queries, dim), np.float32)
    for first in range(0, len(vectors), _BLOCK):
        part = slice(first, first + _BLOCK)
        noise = random.standard_normal((len(vectors[part]), dim), dtype=np.float32)
        vectors[part] = centres[subtopic[part]] + 0.9 * noise * weight
        vectors[part] /= np.linalg.norm(vectors[part], axis=1, keepdims=True)
    by_topic = (subtopic * CLASSES // len(of_topic)).astype(np.int32)
    class_centres = centres.reshape(CLASSES, -1, dim).mean(axis=1)
    class_centres /= np.linalg.norm(class_centres, axis=1, keepdims=True)
    scattered = random.integers(0, CLASSES, n_rows).astype(np.int32)
    where = random.random(n_rows) < WHERE_SHARE
    return World(
        vectors[:n_rows], scattered, by_topic[:n_rows], vectors[n_rows:], by_topic[n_rows:], class_centres, where
    )
