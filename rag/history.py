"""The earlier turns of a conversation as a model may see them: nothing in them that the asker may not read now.

An assistant's turn may hold what was readable when it was written and is not any more. So it is not taken on trust: of each of its
sentences there stays what a passage that is readable now says, in the passage's words, for a sentence made from two documents may
carry words of the one beside the words of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from indexes.errors import ConfigError, TooLarge
from indexes.vocabulary import Principal
from ingest.injection import addresses_model
from rag.claims import split_markers
from rag.grounding import attach_citations
from rag.passages import Passage
from rag.retrieve import Retriever
from rag.sentences import readable, sentence_spans
from rag.writing import is_barred

TURNS = 3
"""Of an assistant's turns so many, the last ones, are looked into."""
SENTENCES = 6
"""Of each so many, the first ones."""
_HITS = 5
LEFT_OUT = "(An earlier answer.)"
"""Stands for a turn of which nothing stays: some models insist that user and assistant take turns."""


@dataclass(frozen=True, slots=True)
class History:
    """Turns, oldest first, and the chunks that they rest on: should one be lost, no model may go on writing from them."""

    turns: tuple[Mapping[str, str], ...] = ()
    chunk_ids: frozenset[str] = frozenset()


def readable_history(
    turns: Sequence[Mapping[str, str]],
    *,
    retriever: Retriever,
    collection: str,
    principal: Principal,
    release: str | None = None,
) -> History:
    """Return the turns with each assistant's replaced by what `principal` may read of it now; a user's stays as it is.

    Args:
        release: whose passages are looked through.
    Raises:
        CollectionNotFound, AccessDenied: as `Retriever.search`.
    Cost: a search for each of at most `TURNS` x `SENTENCES` sentences.
    """
    answers = [
        place
        for place, turn in enumerate(turns)
        if turn.get("role") == "assistant" and isinstance(turn.get("content"), str)  # the prompt refuses any other
    ]
    kept: list[Mapping[str, str]] = []
    chunk_ids: set[str] = set()
    for place, turn in enumerate(turns):
        if place not in answers:
            kept.append(turn)
            continue
        quotes = []
        if place in answers[-TURNS:]:
            for sentence in _sentences(turn["content"]):
                for passage, quote in _quotes(sentence, retriever, collection, principal, release):
                    quotes.append(quote)
                    chunk_ids.add(passage.hit.chunk_id)
        kept.append({"role": "assistant", "content": " ".join(dict.fromkeys(quotes)) or LEFT_OUT})
    return History(tuple(kept), frozenset(chunk_ids))


def _sentences(text: str) -> Iterator[str]:
    for start, end in sentence_spans(text)[:SENTENCES]:
        yield split_markers(text[start:end])[0]  # their numbers are those of another answer


def _quotes(
    sentence: str, retriever: Retriever, collection: str, principal: Principal, release: str | None = None
) -> Iterator[tuple[Passage, str]]:
    """Yield what passages that are readable now say of the sentence, and whose it is; nothing where none bears it out."""
    try:
        found = retriever.search(sentence, collection=collection, principal=principal, top_k=_HITS, release=release)
    except (ConfigError, TooLarge):
        return  # what cannot be searched for cannot be checked
    passages = [Passage(number, hit) for number, hit in enumerate(found.hits, start=1)]
    for span in attach_citations(sentence, passages).citations:
        passage = passages[span.marker - 1]
        quote = readable(passage.text, (span.start, span.end))
        if not addresses_model(quote) and not is_barred(passage, span.start, span.end):
            yield passage, quote
