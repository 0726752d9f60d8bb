"""What `ask` returns: sentences, each with the spans it rests on, or an abstention. Both are results, neither is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rag.generate import Usage


@dataclass(frozen=True, slots=True)
class Citation:
    """A span of a shown passage: `quote` is `document.text[start:end]`."""

    marker: int
    document_id: str
    chunk_id: str
    uri: str
    quote: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """One sentence with the markers of the citations that support it; `support` in [0, 1]."""

    text: str
    citations: tuple[int, ...]
    supported: bool
    support: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A grounded answer or an abstention.

    `notice` says what the reader must know of how it was made, such as a fallback to another generator; None if nothing.
    """

    question: str
    answer: str
    abstained: bool
    release: str
    generator: str
    sentences: tuple[AnswerSentence, ...] = ()
    citations: tuple[Citation, ...] = ()
    usage: Usage = field(default_factory=Usage)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    notice: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the contract's JSON."""
        data = asdict(self)
        for sentence in data["sentences"]:
            sentence["citations"] = list(sentence["citations"])
            sentence["support"] = round(sentence["support"], 4)
        data["sentences"], data["citations"] = list(data["sentences"]), list(data["citations"])
        data["timings_ms"] = {name: round(value, 2) for name, value in self.timings_ms.items()}
        return data


@dataclass(frozen=True, slots=True)
class AnswerEvent:
    """One step of a streamed answer; the last is `answer` with the full JSON.

    `token` events carry a model's draft while it is written, without links and images; only `sentence` and `answer` carry verified text.
    """

    kind: Literal["passages", "token", "sentence", "answer"]
    data: Mapping[str, Any]
    chunk_ids: tuple[str, ...] = ()
    """Whose text the event holds, or the tokens after it may hold; for the audit log, no part of what is sent."""
