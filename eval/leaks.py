"""The brute-force leak check: every question as every principal.

No text of a document that the principal may not read may stand in any hit, citation or answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from eval.oracle import Oracle
from indexes.errors import AccessDenied, CollectionNotFound
from indexes.vocabulary import Hit, Principal


class Answered(Protocol):
    """An answer as its JSON contract shows it."""

    def to_json(self) -> dict[str, Any]: ...


class Mill(Protocol):
    """The part of the facade that is used here."""

    def search(
        self, query: str, *, collection: str, principal: Principal, top_k: int = ..., mode: str = ...
    ) -> list[Hit]: ...

    def ask(self, question: str, *, collection: str, principal: Principal) -> Answered: ...


@dataclass(frozen=True, slots=True)
class Leak:
    """Something of `document_id` came out by the door `where`: "hit", "citation" or "answer". Its text is left out."""

    question: str
    principal: str
    where: str
    document_id: str


@dataclass(slots=True)
class LeakReport:
    """What was tried and what came out.

    `forbidden` counts (principal, document) pairs without a right: at 0 the check proves nothing.
    `refused` counts pairs turned away whole (another tenant); `errors` are pairs not judged, which count against.
    """

    pairs: int = 0
    forbidden: int = 0
    hits: int = 0
    citations: int = 0
    answers: int = 0
    refused: int = 0
    leaks: list[Leak] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every pair was judged, none leaked, and there was something to leak."""
        return not self.leaks and not self.errors and self.pairs > 0 and self.forbidden > 0

    @property
    def upper_bound(self) -> float | None:
        """95 % upper bound of the share of pairs that leak: 3 / N where none of N did, else None.

        Source: Hanley and Lippman-Hand, JAMA 249(13), 1983.
        """
        return min(3 / self.pairs, 1.0) if self.pairs and not self.leaks and not self.errors else None

    def to_json(self) -> dict[str, Any]:
        """Return every count, the leaks and the errors."""
        return {
            "ok": self.ok,
            "pairs": self.pairs,
            "forbidden_documents": self.forbidden,
            "hits": self.hits,
            "citations": self.citations,
            "answers": self.answers,
            "refused": self.refused,
            "leaks": [
                {
                    "question": leak.question,
                    "principal": leak.principal,
                    "where": leak.where,
                    "document_id": leak.document_id,
                }
                for leak in self.leaks
            ],
            "errors": self.errors,
            "upper_bound_95": self.upper_bound,
        }


def check_leaks(
    mill: Mill,
    oracle: Oracle,
    *,
    collection: str,
    questions: Sequence[str],
    principals: Mapping[str, Principal],
    modes: Sequence[str] = ("hybrid",),
    top_k: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> LeakReport:
    """Search and ask every question as every principal and have `oracle` judge all that comes back.

    Args:
        principals: name -> principal; the names appear in the report.
        modes: search modes to try for each pair, besides the answer.
        progress: called with (done, total) pairs.
    Cost: len(questions) * len(principals) * (len(modes) searches + 1 answer).
    """
    report = LeakReport()
    rights = {name: oracle.readable(principal) for name, principal in principals.items()}
    report.forbidden = sum(len(oracle.rights) - len(readable) for readable in rights.values())
    for question in questions:
        for name, principal in principals.items():
            report.pairs += 1
            try:
                found = [
                    hit
                    for mode in modes
                    for hit in mill.search(question, collection=collection, principal=principal, top_k=top_k, mode=mode)
                ]
                answer = mill.ask(question, collection=collection, principal=principal).to_json()
            except (AccessDenied, CollectionNotFound):
                report.refused += 1
            except Exception as error:  # a pair that breaks is not judged, which counts against
                report.errors.append(f"{name}: {question[:80]}: {type(error).__name__}: {error}")
            else:
                doors = hit_leaks(oracle, rights[name], found, question) | answer_leaks(oracle, rights[name], answer)
                report.leaks += [Leak(question, name, where, document_id) for where, document_id in sorted(doors)]
                report.hits += len(found)
                report.citations += len(answer["citations"])
                report.answers += not answer["abstained"]
            if progress:
                progress(report.pairs, len(questions) * len(principals))
    return report


def hit_leaks(oracle: Oracle, readable: frozenset[str], hits: Sequence[Hit], question: str) -> set[tuple[str, str]]:
    """Return ("hit", document id) for each document outside `readable` that the hits name or quote."""
    names = {hit.document_id for hit in hits} - readable
    for text in (text for hit in hits for text in (hit.text, hit.title)):
        names |= oracle.foreign(text, readable, known=question)
    return {("hit", name) for name in names}


def answer_leaks(oracle: Oracle, readable: frozenset[str], answer: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return (door, document id) for each document outside `readable` that the answer cites, quotes or repeats."""
    cited = {citation["document_id"] for citation in answer["citations"]} - readable
    for citation in answer["citations"]:
        cited |= oracle.foreign(citation["quote"], readable, known=answer["question"])
    repeated: set[str] = set()
    for text in (answer["answer"], *(sentence["text"] for sentence in answer["sentences"])):
        repeated |= oracle.foreign(text, readable, known=answer["question"])
    return {("citation", name) for name in cited} | {("answer", name) for name in repeated}
