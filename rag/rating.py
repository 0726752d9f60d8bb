"""A rating as it is kept, checked against what the rater may read, and as somebody may see it. `rag.feedback` is the door."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from indexes.catalog_file import now
from indexes.errors import AccessDenied, CollectionNotFound, ConfigError, TooLarge
from indexes.ratings import Rating, read_rating
from indexes.vocabulary import Principal
from rag.answer import Answer
from rag.auditing import caller

if TYPE_CHECKING:
    from indexes.access import AccessFilter
    from rag.tenant import Tenant

MOST_CHARS = {"answer": 40_000, "comment": 4_000, "correction": 20_000, "release": 64}
MOST_NAMES = {"citations": 200, "correct_document_ids": 100}


def rated(
    rooms: Tenant,
    answer: Answer | Mapping[str, Any],
    *,
    collection: str,
    principal: Principal,
    rating: str | int,
    comment: str,
    correction: str,
    correct_document_ids: Sequence[str],
    answerable: bool | None,
    max_question_chars: int,
) -> Rating:
    """Return the rating; arguments and errors as `Loremill.feedback`."""
    with rooms.auditor.denials(principal, "feedback", collection=collection):
        access = rooms.catalog.access(principal, state=rooms.catalog.state(collection))
    told = answer.to_json() if isinstance(answer, Answer) else answer
    chunk_ids = _chunk_ids(told.get("citations") or ())
    said = {"comment": comment, "correction": correction}
    made = Rating(
        id=secrets.token_hex(8),
        collection=collection,
        principal=_literal(principal),
        actor=caller.get().actor,
        rating=read_rating(rating),
        question=_text(told, "question", max_question_chars),
        answer=_text(told, "answer", empty=True),
        release=_text(told, "release"),
        citations=(),
        comment=_text(said, "comment", empty=True),
        correction=_text(said, "correction", empty=True),
        correct_document_ids=_names(correct_document_ids, "correct_document_ids"),
        answerable=answerable,
        created=now(),
    )
    _check_release(rooms, collection, made.release)
    return replace(made, citations=_cited(rooms, made, chunk_ids, access))


def shown(rooms: Tenant, page: Sequence[Rating], *, principal: Principal) -> list[Rating]:
    """Return the ratings as the principal may see them at this moment."""
    readable: dict[str, set[str]] = {}
    for name in {one.collection for one in page}:
        try:
            access = rooms.catalog.access(principal, state=rooms.catalog.state(name))
        except (AccessDenied, CollectionNotFound):
            continue
        cited = list(dict.fromkeys(chunk for one in page if one.collection == name for chunk, _ in one.citations))
        readable[name] = set(rooms.catalog.confirm(name, cited, access=access))
    return [_visible(one, readable.get(one.collection, set())) for one in page]


def _visible(rating: Rating, readable: set[str]) -> Rating:
    left = tuple(pair for pair in rating.citations if pair[0] in readable)
    return rating if left == rating.citations else replace(rating, answer=None, citations=left)


def _cited(rooms: Tenant, made: Rating, chunk_ids: Sequence[str], access: AccessFilter) -> tuple[tuple[str, str], ...]:
    """Return each cited chunk with its document. What is not there and what may not be read is refused in the same words."""
    chunks = rooms.catalog.confirm(made.collection, chunk_ids, access=access)
    missing = [name for name in chunk_ids if name not in chunks]
    info = rooms.catalog.document_info
    missing += [name for name in made.correct_document_ids if info(made.collection, name, access=access) is None]
    if missing:
        rooms.auditor.denied(access.principal, collection=made.collection, asked="feedback")
        raise ConfigError(
            f"there is nothing that may be read under {', '.join(missing[:5])}: rate an answer as `ask` gave it, or ask again, "
            "for documents or rights have changed"
        )
    return tuple((name, chunks[name].chunk.document_id) for name in chunk_ids)


def _literal(principal: Principal) -> str:
    """Return the principal as text that reads back as the same one: a case made of the rating is asked as it."""
    text = f"{principal.tenant}/{','.join([principal.subject, *principal.groups])}"
    if Principal.parse(text) != principal:
        raise ConfigError(f"the subject {principal.subject!r} cannot be written as a literal, so it cannot rate")
    return text


def _check_release(rooms: Tenant, collection: str, release: str) -> None:
    from rag.releases import read_release

    with rooms.catalog.read() as db:
        read_release(db, collection, release)


def _chunk_ids(citations: object) -> tuple[str, ...]:
    """Return the chunk ids of citations as `ask` shows them, or given as they are; each once."""
    if isinstance(citations, str) or not isinstance(citations, Sequence):
        raise ConfigError('"citations" must be a list')
    names = [one.get("chunk_id") if isinstance(one, Mapping) else one for one in citations]
    return _names(list(dict.fromkeys(names)), "citations")


def _names(names: Sequence[object], what: str) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f'"{what}" must be a list of ids')
    if len(names) > MOST_NAMES[what]:
        raise TooLarge(f'"{what}" has {len(names)} entries, {MOST_NAMES[what]} at most are taken')
    return tuple(str(name) for name in names)


def _text(fields: Mapping[str, Any], name: str, most: int | None = None, *, empty: bool = False) -> str:
    most = most or MOST_CHARS[name]
    value = fields.get(name, "" if empty else None)
    if not isinstance(value, str) or not (empty or value.strip()):
        raise ConfigError(f'"{name}" must be a text' + ("" if empty else " that is not empty"))
    if len(value) > most:
        raise TooLarge(f'"{name}" has {len(value)} characters, {most} at most are taken')
    return value
