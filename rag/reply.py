"""An answer while it is made: sentences are added with the spans that they rest on, which become its numbered citations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rag.answer import Answer, AnswerEvent, AnswerSentence, Citation
from rag.generate import Usage
from rag.passages import Passage
from rag.prompts import ABSTAIN
from rag.sanitize import sanitize


@dataclass(slots=True)
class Reply:
    """What is known of the answer so far; no sentence yet means that it abstains."""

    sentences: list[AnswerSentence] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    generator: str = "extractive"
    notice: str | None = None
    release: str = ""
    retrieve_s: float = 0.0
    generate_s: float = 0.0
    verify_s: float = 0.0

    def add(self, text: str, spans: Sequence[tuple[Passage, int, int]], support: float) -> AnswerEvent:
        """Add a sentence, sanitized, with its citations, and return its event; a span that is cited already keeps its marker."""
        markers = [self._marker(passage, start, end) for passage, start, end in spans]
        return self.add_cited(AnswerSentence(sanitize(text), tuple(dict.fromkeys(markers)), True, support))

    def add_cited(self, sentence: AnswerSentence) -> AnswerEvent:
        """Add a sentence whose citations are there. The events' texts, joined by spaces, are the answer."""
        self.sentences.append(sentence)
        cited = tuple(self.citations[marker - 1].chunk_id for marker in sentence.citations)
        return AnswerEvent("sentence", {"text": _marked(sentence), "citations": list(sentence.citations)}, cited)

    def note(self, notice: str) -> None:
        """Say one thing more that the reader must know."""
        self.notice = f"{self.notice} {notice}" if self.notice else notice

    def answer(self, question: str, *, total_s: float) -> Answer:
        """Return it as it stands."""
        return Answer(
            question=question,
            answer=" ".join(map(_marked, self.sentences)) if self.sentences else ABSTAIN,
            abstained=not self.sentences,
            release=self.release,
            generator=self.generator,
            sentences=tuple(self.sentences),
            citations=tuple(self.citations),
            usage=self.usage,
            timings_ms={
                "retrieve": self.retrieve_s * 1e3,
                "generate": self.generate_s * 1e3,
                "verify": self.verify_s * 1e3,
                "total": total_s * 1e3,
            },
            notice=self.notice,
        )

    def _marker(self, passage: Passage, start: int, end: int) -> int:
        hit = passage.hit
        citation = Citation(
            marker=len(self.citations) + 1,
            document_id=hit.document_id,
            chunk_id=hit.chunk_id,
            uri=hit.uri,
            quote=hit.text[start:end],
            start=hit.start + start,
            end=hit.start + end,
        )
        for known in self.citations:
            if replace(known, marker=citation.marker) == citation:
                return known.marker
        self.citations.append(citation)
        return citation.marker


def _marked(sentence: AnswerSentence) -> str:
    return f"{sentence.text} {''.join(f'[{marker}]' for marker in sentence.citations)}"
