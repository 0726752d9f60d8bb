"""The two ways in which a reply comes about: sentences taken out of the passages, or a model's draft that the passages must bear out."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.cross_encoder import CrossEncoder
from indexes.embedder import Embedder
from indexes.errors import ProviderError
from indexes.late_interaction import LateInteraction
from indexes.recent import Recent
from indexes.vocabulary import Hit
from ingest.injection import addresses_model, tainted_spans
from rag.answer import AnswerEvent
from rag.extractive import MAX_SENTENCES, Readers, extract
from rag.generate import Usage
from rag.grounding import Evidence, attach_citations
from rag.passages import Passage
from rag.prompts import ABSTAIN, PromptTemplate
from rag.reply import Reply
from rag.sanitize import DraftSanitizer, is_loaded, sanitize
from rag.sentences import sentence_spans

SENTENCES_PER_PART = 2
"""Most sentences for each of several questions in one."""
_VECTORS_KEPT = 10_000

log = logging.getLogger("loremill.ask")


def load_models_ahead() -> None:
    """Begin to load what extraction reads with, while the passages are searched."""
    _models()


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


def extracted(
    found: Mapping[str, Sequence[Hit]], reply: Reply, *, embedder: Embedder, readers: str, today: date
) -> Iterator[AnswerEvent]:
    """Answer each part of a question with sentences of what was found for it; note which part nothing answers.

    Args:
        found: the parts, in order, each with its hits, best first.
        readers: names those who may read them: only they share what models said of question and sentences.
        today: the day whose rules are in force.
    """
    started = time.perf_counter()
    cross_encoder, late_interaction = _models()
    quick = getattr(embedder, "quick", embedder)
    reading = Readers(
        embed=lambda texts: np.stack(
            _recent_vectors(quick.model_id).of(texts, lambda new: list(quick.embed_passages(new)), about=readers)
        ),
        read=partial(cross_encoder.scores, readers=readers),
        cover=partial(late_interaction.coverage, readers=readers),
    )
    silent = []
    for part, hits in found.items():
        quotes = extract(
            part,
            [Passage(number, hit) for number, hit in enumerate(hits, start=1)],
            readers=reading,
            today=today,
            limit=MAX_SENTENCES if len(found) == 1 else SENTENCES_PER_PART,
        )
        if not quotes:
            silent.append(part)
        given = {sentence.text for sentence in reply.sentences}
        for quote in quotes:
            if quote.text not in given:
                yield reply.add(quote.text, [(quote.passage, quote.start, quote.end)], quote.support)
    if silent and reply.sentences:
        reply.note(f"Not answered by the documents available to you: {'; '.join(silent)}")
    reply.generate_s = time.perf_counter() - started


def drafted(
    question: str,
    passages: Sequence[Passage],
    reply: Reply,
    *,
    model: Any,
    template: PromptTemplate,
    max_tokens: int,
    history: Sequence[Mapping[str, str]],
) -> Iterator[AnswerEvent]:
    """Stream a model's tokens, then verify what it wrote, sentence by sentence; unsupported sentences are dropped.

    Args:
        template: of a prompt with the variables `question` and `passages`.
        history: earlier turns, as `rag.history` lets them through.
    Raises:
        ProviderError: the model failed or wrote nothing; `reply` has no sentence then.
    """
    started = time.perf_counter()
    prompt = template.render(question=question, passages=passages, history=history)
    pieces: list[str] = []
    usage, draft_shown = Usage(), DraftSanitizer()
    with closing(
        model.stream(prompt, max_tokens=max_tokens)
    ) as stream:  # so that it stops writing when we stop reading
        for piece in stream:
            if isinstance(piece, Usage):
                usage = piece
            else:
                pieces.append(piece)
                if shown := draft_shown.feed(piece):
                    yield AnswerEvent("token", {"text": shown})
        if shown := draft_shown.close():
            yield AnswerEvent("token", {"text": shown})
    draft = sanitize("".join(pieces)).strip()
    if not draft:
        raise ProviderError("it wrote nothing")
    reply.usage, reply.generate_s = usage, time.perf_counter() - started
    started = time.perf_counter()
    evidence = Evidence(passages)
    for start, end in sentence_spans(draft):
        text = draft[start:end]
        if ABSTAIN.rstrip(".") in text:
            continue
        attached = attach_citations(text, evidence)
        spans = [(passages[span.marker - 1], span.start, span.end) for span in attached.citations]
        if not attached.supported or addresses_model(text) or any(is_barred(*span) for span in spans):
            log.info("dropped a sentence: %s", attached.reason or "it rests on text that is not quoted")
            continue
        yield reply.add(attached.text, spans, attached.support)
    reply.verify_s = time.perf_counter() - started


def is_barred(passage: Passage, start: int, end: int) -> bool:
    """Return whether the span speaks to a model, or would load something where the quote is rendered."""
    return is_loaded(passage.text[start:end]) or any(
        first < end and start < last for first, last in tainted_spans(passage.text)
    )
