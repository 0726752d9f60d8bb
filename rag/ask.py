"""The spine of answering: retrieve -> pack -> generate -> verify. Whatever generator wrote it, a sentence leaves only with spans that support it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.cross_encoder import CrossEncoder
from indexes.embedder import Embedder
from indexes.errors import ConfigError, ProviderError
from indexes.late_interaction import LateInteraction
from indexes.recent import Recent
from indexes.settings import Settings
from indexes.vocabulary import Hit, Principal
from ingest.injection import addresses_model, tainted_spans
from rag.answer import Answer, AnswerEvent, AnswerSentence, Citation
from rag.extractive import MAX_SENTENCES, Readers, extract
from rag.generate import Usage, make_generator
from rag.grounding import Evidence, attach_citations
from rag.passages import Passage, pack
from rag.prompts import ABSTAIN, load_prompt
from rag.question import parts, standalone
from rag.retrieve import Retriever, SearchResult
from rag.sanitize import DraftSanitizer, is_loaded, sanitize
from rag.sentences import sentence_spans

GENERATORS = ("extractive", "openai", "gguf")
PASSAGES = 12
"""Hits that an answer may rest on."""
SENTENCES_PER_PART = 2
"""Most sentences for each of several questions in one."""
_VECTORS_KEPT = 10_000
PROMPT_TOKENS = 2400
"""Budget of the passages in a model's prompt, by the embedder's tokenizer."""

log = logging.getLogger("loremill.ask")


@dataclass(slots=True)
class _Reply:
    """An answer while it is made."""

    sentences: list[AnswerSentence] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    generator: str = "extractive"
    notice: str | None = None
    generate_s: float = 0.0
    verify_s: float = 0.0

    def add(self, text: str, passage: Passage, spans: Sequence[tuple[int, int]], support: float) -> AnswerSentence:
        """Add a sentence that rests on spans of one passage."""
        return self.add_cited(text, [(passage, start, end) for start, end in spans], support)

    def add_cited(self, text: str, spans: Sequence[tuple[Passage, int, int]], support: float) -> AnswerSentence:
        """Add a sentence, sanitized, with its citations; a span that is cited already keeps its marker."""
        markers = [self._marker(passage, start, end) for passage, start, end in spans]
        sentence = AnswerSentence(sanitize(text), tuple(dict.fromkeys(markers)), True, support)
        self.sentences.append(sentence)
        return sentence

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


def ask(
    question: str,
    *,
    retriever: Retriever,
    embedder: Embedder,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None = None,
    history: Sequence[Mapping[str, str]] = (),
) -> Answer:
    """Return the answer that `ask_events` ends with. Arguments and errors as there."""
    answer: Answer | None = None
    for event in _events(
        question, retriever=retriever, embedder=embedder, settings=settings, collection=collection,
        principal=principal, generator=generator, history=history,
    ):  # fmt: skip
        if isinstance(event, Answer):
            answer = event
    assert answer is not None
    return answer


def ask_events(
    question: str,
    *,
    retriever: Retriever,
    embedder: Embedder,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None = None,
    history: Sequence[Mapping[str, str]] = (),
) -> Iterator[AnswerEvent]:
    """Yield the making of an answer: `passages`, `token`s of a model, each verified `sentence`, and `answer` last.

    Args:
        history: earlier turns, oldest first. A question that leans on them ("and for interns?") is searched with its predecessor.
        generator: default the settings'.
    Raises:
        ConfigError: unknown or unconfigured generator, or an empty question.
        CollectionNotFound, AccessDenied, TooLarge: as `Retriever.search`.
    """
    for event in _events(
        question, retriever=retriever, embedder=embedder, settings=settings, collection=collection,
        principal=principal, generator=generator, history=history,
    ):  # fmt: skip
        yield AnswerEvent("answer", event.to_json()) if isinstance(event, Answer) else event


def _events(
    question: str,
    *,
    retriever: Retriever,
    embedder: Embedder,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None,
    history: Sequence[Mapping[str, str]],
) -> Iterator[AnswerEvent | Answer]:
    started = time.perf_counter()
    name = generator or settings.generator
    if name not in GENERATORS:
        raise ConfigError(f"unknown generator {name!r}: use {', '.join(GENERATORS)}")
    model = None if name == "extractive" else make_generator(name, settings)
    if model is None:
        _models()  # they load while the passages are searched
    query = standalone(question, history)
    found = [
        retriever.search(part, collection=collection, principal=principal, top_k=PASSAGES)
        for part in dict.fromkeys(parts(query))
    ]
    retrieved = time.perf_counter()
    budget = PROMPT_TOKENS if model is not None else 10**9
    passages = pack(_merged(found), max_tokens=budget, count_tokens=embedder.count_tokens)
    yield AnswerEvent("passages", {"count": len(passages)})
    reply = _Reply()
    if model is None or not passages:
        yield from _extractive(query, found, embedder, reply)
    else:
        reply.generator = name
        try:
            yield from _generated(question, passages, model, settings, history, reply)
        except ProviderError as error:
            log.warning("generator %s failed, answering extractively: %s", name, error)
            reply = _Reply(
                notice=f"The generator {name} failed ({error}); this answer was extracted from the documents instead."
            )
            yield from _extractive(query, found, embedder, reply)
    yield _answer(question, found[0], reply, started=started, retrieved=retrieved)


def _merged(found: Sequence[SearchResult]) -> list[Hit]:
    """Return the hits of all parts of a question, the best of each first."""
    rows = zip_longest(*(result.hits for result in found))
    return list({hit.chunk_id: hit for row in rows for hit in row if hit is not None}.values())


@cache
def _models() -> tuple[CrossEncoder, LateInteraction]:
    """One of each for the process, loading from now on."""
    models = CrossEncoder(), LateInteraction()
    for model in models:
        model.load_ahead()
    return models


@cache
def _recent_vectors(model_id: str) -> Recent[npt.NDArray[np.float32]]:
    """Vectors of the sentences that were candidates lately; a text stands in it by its digest alone."""
    return Recent(_VECTORS_KEPT)


def _extractive(query: str, found: Sequence[SearchResult], embedder: Embedder, reply: _Reply) -> Iterator[AnswerEvent]:
    """Answer each part of the question with sentences of what was found for it; say which part nothing answers."""
    started = time.perf_counter()
    cross_encoder, late_interaction = _models()
    readers = Readers(
        embed=lambda texts: np.stack(
            _recent_vectors(embedder.model_id).of(texts, lambda new: list(embedder.embed_passages(new)))
        ),
        read=cross_encoder.scores,
        cover=late_interaction.coverage,
    )
    hits = {result.query: result.hits for result in found}
    asked = parts(query)
    silent = []
    for part in asked:
        quotes = extract(
            part,
            [Passage(number, hit) for number, hit in enumerate(hits[part], start=1)],
            readers=readers,
            today=date.today(),
            limit=MAX_SENTENCES if len(asked) == 1 else SENTENCES_PER_PART,
        )
        if not quotes:
            silent.append(part)
        given = {sentence.text for sentence in reply.sentences}
        for quote in quotes:
            if quote.text in given:
                continue
            sentence = reply.add(quote.text, quote.passage, [(quote.start, quote.end)], quote.support)
            yield _sentence_event(sentence)
    if silent and reply.sentences:
        reply.notice = (
            f"{reply.notice or ''} Not answered by the documents available to you: {'; '.join(silent)}".strip()
        )
    reply.generate_s = time.perf_counter() - started


def _generated(
    question: str,
    passages: Sequence[Passage],
    model: Any,
    settings: Settings,
    history: Sequence[Mapping[str, str]],
    reply: _Reply,
) -> Iterator[AnswerEvent]:
    """Stream a model's tokens, then verify what it wrote, sentence by sentence; unsupported sentences are dropped."""
    started = time.perf_counter()
    prompt = load_prompt("answer@1").render(question=question, passages=passages, history=history)
    pieces: list[str] = []
    draft_shown = DraftSanitizer()
    for piece in model.stream(prompt, max_tokens=settings.max_answer_tokens):
        if isinstance(piece, Usage):
            reply.usage = piece
        else:
            pieces.append(piece)
            if shown := draft_shown.feed(piece):
                yield AnswerEvent("token", {"text": shown})
    if shown := draft_shown.close():
        yield AnswerEvent("token", {"text": shown})
    reply.generate_s = time.perf_counter() - started
    draft = sanitize("".join(pieces)).strip()
    if not draft:
        raise ProviderError("it wrote nothing")
    started = time.perf_counter()
    evidence = Evidence(passages)
    for start, end in sentence_spans(draft):
        text = draft[start:end]
        if ABSTAIN.rstrip(".") in text:
            continue
        attached = attach_citations(text, evidence)
        spans = [(passages[span.marker - 1], span.start, span.end) for span in attached.citations]
        if not attached.supported or addresses_model(text) or any(_is_barred(*span) for span in spans):
            log.info("dropped a sentence: %s", attached.reason or "it rests on text that is not quoted")
            continue
        yield _sentence_event(reply.add_cited(attached.text, spans, attached.support))
    reply.verify_s = time.perf_counter() - started


def _is_barred(passage: Passage, start: int, end: int) -> bool:
    """Whether a span speaks to a model, or would load something where the quote is rendered."""
    return is_loaded(passage.text[start:end]) or any(
        first < end and start < last for first, last in tainted_spans(passage.text)
    )


def _marked(sentence: AnswerSentence) -> str:
    return f"{sentence.text} {''.join(f'[{marker}]' for marker in sentence.citations)}"


def _sentence_event(sentence: AnswerSentence) -> AnswerEvent:
    """The sentence as `answer` shows it: the events' texts, joined by spaces, are the answer."""
    return AnswerEvent("sentence", {"text": _marked(sentence), "citations": list(sentence.citations)})


def _answer(question: str, found: SearchResult, reply: _Reply, *, started: float, retrieved: float) -> Answer:
    return Answer(
        question=question,
        answer=" ".join(map(_marked, reply.sentences)) if reply.sentences else ABSTAIN,
        abstained=not reply.sentences,
        release=found.release,
        generator=reply.generator,
        sentences=tuple(reply.sentences),
        citations=tuple(reply.citations),
        usage=reply.usage,
        timings_ms={
            "retrieve": (retrieved - started) * 1e3,
            "generate": reply.generate_s * 1e3,
            "verify": reply.verify_s * 1e3,
            "total": (time.perf_counter() - started) * 1e3,
        },
        notice=reply.notice,
    )
