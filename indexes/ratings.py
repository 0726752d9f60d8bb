"""What people thought of answers: ratings, stored in the tenant's catalog. Who may see one is `rag.feedback`'s to decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from indexes.errors import AccessDenied, ConfigError
from indexes.vocabulary import Principal, digest

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from indexes.catalog import Catalog

BAD: Final = frozenset({"down", "1", "2"})
_RATINGS: Final = ("up", "down", "1", "2", "3", "4", "5")
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Rating:
    """One answer as one person saw it, and what they thought of it.

    Args:
        principal: the rater as a literal, with the groups of that day.
        actor: the administrator who rated in the rater's name.
        rating: `up`, `down` or `1` to `5`.
        answer: None where it is withheld from who asks.
        citations: (chunk id, document id) that the answer rests on.
        answerable: False where the rater says that the right answer is to abstain, None where nothing is said.
    """

    id: str
    collection: str
    principal: str
    actor: str | None
    rating: str
    question: str
    answer: str | None
    release: str
    citations: tuple[tuple[str, str], ...]
    comment: str
    correction: str
    correct_document_ids: tuple[str, ...]
    answerable: bool | None
    created: str

    @property
    def answer_id(self) -> str | None:
        """The same for everybody who got this answer to this question from this release; None where the answer is withheld."""
        return None if self.answer is None else digest(self.question, self.release, self.answer)[:16]

    def to_json(self) -> dict[str, Any]:
        """Return a line as `loremill eval dataset from-feedback` reads them, and whose it is."""
        return {
            "id": self.id,
            "collection": self.collection,
            "principal": self.principal,
            "actor": self.actor,
            "rating": int(self.rating) if self.rating.isdigit() else self.rating,
            "question": self.question,
            "answer": self.answer,
            "answer_id": self.answer_id,
            "release": self.release,
            "citations": [{"chunk_id": chunk, "document_id": document} for chunk, document in self.citations],
            "comment": self.comment,
            "correction": self.correction,
            "correct_document_ids": list(self.correct_document_ids),
            "answerable": self.answerable,
            "created": self.created,
        }


def read_rating(value: object) -> str:
    """Return a rating as it is stored.

    Raises:
        ConfigError: neither `up`, `down` nor a whole number from 1 to 5.
    """
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if text not in _RATINGS:
        raise ConfigError(f'"rating" must be "up" or "down", or a whole number from 1 (bad) to 5 (good), got {value!r}')
    return text


def add_rating(catalog: Catalog, rating: Rating) -> None:
    """Keep a rating; an earlier one of the same answer stays beside it, and the last one counts."""
    from sqlalchemy import insert

    from indexes.tables import feedback

    rater = Principal.parse(rating.principal)
    if rater.tenant != catalog.tenant:
        raise AccessDenied(rater)
    names = [name for name in Rating.__slots__ if name != "principal"]
    row = {name: getattr(rating, name) for name in names} | {"subject": rater.subject, "groups": list(rater.groups)}
    row |= {"citations": [list(pair) for pair in rating.citations]}
    row |= {"correct_document_ids": list(rating.correct_document_ids)}
    with catalog.write() as db:
        db.execute(insert(feedback), row)


def list_ratings(
    catalog: Catalog,
    *,
    subject: str | None = None,
    collection: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> list[Rating]:
    """Return ratings, the oldest first.

    Args:
        subject: of this rater alone.
        after: id of the last one of the page before, itself among those listed.
    Raises:
        ConfigError: `after` is no such id.
    """
    from sqlalchemy import select

    from indexes.tables import feedback

    wanted = _where(subject=subject, collection=collection)
    query = select(feedback).where(*wanted).order_by(feedback.c.seq).limit(limit)
    with catalog.read() as db:
        if after is not None:
            seq = db.execute(select(feedback.c.seq).where(feedback.c.id == after, *wanted)).scalar()
            if seq is None:
                raise ConfigError("no page begins there: give `next` of the page before")
            query = query.where(feedback.c.seq > seq)
        return [_rating(catalog.tenant, row._mapping) for row in db.execute(query)]


def every_rating(catalog: Catalog, collection: str) -> Iterator[Rating]:
    """Yield all ratings of a collection, the oldest first."""
    after = None
    while page := list_ratings(catalog, collection=collection, limit=_PAGE, after=after):
        yield from page
        after = page[-1].id


def delete_rating(catalog: Catalog, rating_id: str, *, subject: str | None = None) -> str | None:
    """Delete a rating and return its collection; None where there is none, or none of this subject."""
    from sqlalchemy import delete

    from indexes.tables import feedback

    gone = delete(feedback).where(feedback.c.id == rating_id, *_where(subject=subject))
    with catalog.write() as db:
        return db.execute(gone.returning(feedback.c.collection)).scalar()


def _where(*, subject: str | None = None, collection: str | None = None) -> list[ColumnElement[bool]]:
    from indexes.tables import feedback

    wanted = {"subject": subject, "collection": collection}
    return [feedback.c[name] == value for name, value in wanted.items() if value is not None]


def _rating(tenant: str, row: Any) -> Rating:
    stored = {name: row[name] for name in Rating.__slots__ if name in row}
    return Rating(
        **stored
        | {
            "principal": f"{tenant}/{','.join([row['subject'], *row['groups']])}",
            "citations": tuple((chunk, document) for chunk, document in row["citations"]),
            "correct_document_ids": tuple(row["correct_document_ids"]),
        }
    )
