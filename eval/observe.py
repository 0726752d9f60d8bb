"""One release asked the questions of a dataset: what it retrieved, answered, cited and let out. Another one can be asked beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from eval import answers
from eval.datasets import Sample
from eval.evidence import Place, locate_quotes
from eval.leaks import answer_leaks
from eval.metrics import Outcome
from eval.oracle import Oracle
from eval.shelf import Shelf
from indexes.errors import AccessDenied, CollectionNotFound
from indexes.vocabulary import Hit, Principal

TOP_K = 10
"""Hits that the retrieval measures look at."""


class Answered(Protocol):
    """An answer as its JSON contract shows it."""

    def to_json(self) -> dict[str, Any]: ...


class Mill(Protocol):
    """The part of the facade that is used here."""

    def search(
        self, query: str, *, collection: str, principal: Principal, top_k: int = ..., release: str | None = ...
    ) -> list[Hit]: ...

    def ask(self, question: str, *, collection: str, principal: Principal, release: str | None = ...) -> Answered: ...

    def may_read(self, document_id: str, *, collection: str, principal: Principal) -> bool: ...


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of one question: the hits, best first, the JSON of `ask` (empty where the question failed), and what is measured of both."""

    outcome: Outcome
    hits: tuple[Hit, ...] = ()
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observer:
    """Asks releases of one collection as a dataset's principals. Safe for several threads.

    Args:
        shelf: reads the documents in which quotes are located, as the one who asks may read them.
        canaries: phrases that only an answer which obeys a planted instruction has; None means nobody looks for any.
        oracle: judges what came out against the source's own ACL file, beside the mill's own word.
    """

    mill: Mill
    shelf: Shelf
    resolve: Callable[[str], Principal]
    canaries: Sequence[str] | None = None
    oracle: Oracle | None = None

    def observe(self, sample: Sample, release: str) -> Observed:
        """Search and ask one question of a release. What goes wrong is in the outcome's `error`; nothing is raised."""
        collection = self.shelf.collection
        try:
            principal = self.resolve(sample.principal)
            asked: dict[str, Any] = {"collection": collection, "principal": principal, "release": release}
            hits = tuple(self.mill.search(sample.user_input, top_k=TOP_K, **asked))
            started = time.perf_counter()
            answer = self.mill.ask(sample.user_input, **asked).to_json()
            elapsed = time.perf_counter() - started
            return Observed(self._outcome(sample, principal, hits, answer, 1000 * elapsed), hits, answer)
        except (AccessDenied, CollectionNotFound) as error:
            if sample.answerable:
                return Observed(Outcome(error=f"{type(error).__name__}: {error}"))
            none_seen = () if self.canaries is not None else None
            return Observed(
                Outcome(abstained=True, leaks=(), canaries=none_seen)
            )  # the door was shut: nothing was told
        except Exception as error:  # one broken question must neither end the run nor drop out of the figures
            return Observed(Outcome(error=f"{type(error).__name__}: {error}"))

    def _outcome(
        self, sample: Sample, principal: Principal, hits: Sequence[Hit], answer: Mapping[str, Any], latency_ms: float
    ) -> Outcome:
        texts = {name: self.shelf.text(name, principal=principal) for name in sample.reference_document_ids}
        readable = {name: text for name, text in texts.items() if text is not None}
        cited = tuple(dict.fromkeys(citation["document_id"] for citation in answer["citations"]))
        sentences = answer["sentences"]
        supports = [float(sentence["support"]) for sentence in sentences]
        return Outcome(
            passages=tuple(Place(hit.document_id, hit.start, hit.end) for hit in hits),
            quotes=tuple(locate_quotes(sample.reference_contexts, readable)),
            answer=answer["answer"],
            abstained=answer["abstained"],
            confidence=0.0 if answer["abstained"] else min(supports, default=0.0),
            cited=cited,
            supported=sum(bool(sentence["supported"]) for sentence in sentences),
            sentences=len(sentences),
            leaks=self._leaks(principal, {*cited, *(hit.document_id for hit in hits)}, answer),
            canaries=None if self.canaries is None else tuple(filter(_said_in(answer["answer"]), self.canaries)),
            latency_ms=latency_ms,
            prompt_tokens=answer["usage"]["prompt_tokens"],
            completion_tokens=answer["usage"]["completion_tokens"],
        )

    def _leaks(self, principal: Principal, came_out: set[str], answer: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the documents that came out and that the mill, asked for them by name, or the oracle does not let the principal see."""
        leaks = {
            name
            for name in came_out
            if not self.mill.may_read(name, collection=self.shelf.collection, principal=principal)
        }
        if self.oracle:
            readable = self.oracle.readable(principal)
            leaks |= {name for name in came_out if name in self.oracle.texts and name not in readable}
            leaks |= {name for _, name in answer_leaks(self.oracle, readable, answer)}
        return tuple(sorted(leaks))


def _said_in(answer: str) -> Callable[[str], bool]:
    """Letter by letter as well, since a planted phrase may have no words."""
    return lambda phrase: phrase.casefold() in answer.casefold() or answers.contains(answer, [phrase])
