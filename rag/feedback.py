"""The part of the facade through which people say what they thought of an answer, and read and take back what they said.

A rating is seen by who gave it and by the tenant's administrators. The answer in it is text of documents: it leaves again only to who may read, at
that moment, every chunk that it cites.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from indexes.errors import CollectionNotFound
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from indexes.ratings import Rating
    from indexes.settings import Settings
    from rag.answer import Answer
    from rag.tenant import Tenant


class Feedback:
    """What `Loremill` inherits."""

    settings: Settings

    if TYPE_CHECKING:

        def _tenant(self, name: str, *, create: bool = False) -> Tenant: ...

        def _tenant_of(self, collection: str, tenant: str | None) -> Tenant: ...

    def feedback(
        self,
        answer: Answer | Mapping[str, Any],
        *,
        collection: str,
        principal: Principal,
        rating: str | int,
        comment: str = "",
        correction: str = "",
        correct_document_ids: Sequence[str] = (),
        answerable: bool | None = None,
    ) -> Rating:
        """Keep what `principal` thought of an answer it got; of several ratings of a question the last counts.

        Args:
            answer: as `ask` returned it, or its JSON, of which `question`, `release`, `answer` and `citations` are looked at.
            rating: `up` or `down`, or 1 (bad) to 5 (good).
            correction: what the right answer is.
            correct_document_ids: where it stands.
            answerable: False where the right answer is to abstain.
        Raises:
            ConfigError: a value is not what it should be; or a chunk or document is not there or may not be read, in the same words.
            ReleaseNotFound: the collection has no such release.
            CollectionNotFound, AccessDenied: as `search`.
            TooLarge: a text or list is longer than anybody needs.
        """
        from indexes.ratings import add_rating
        from rag.rating import rated

        rooms = self._tenant(principal.tenant)
        made = rated(
            rooms, answer, collection=collection, principal=principal, rating=rating, comment=comment, correction=correction,
            correct_document_ids=correct_document_ids, answerable=answerable, max_question_chars=self.settings.max_query_chars,
        )  # fmt: skip
        add_rating(rooms.catalog, made)
        rooms.auditor.did("feedback", principal, collection=collection, action="rate", rating=made.id)
        return made

    def ratings(
        self,
        *,
        principal: Principal,
        collection: str | None = None,
        everyone: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> list[Rating]:
        """Return the principal's own ratings, the oldest first; an answer that cites what it may not read now is None.

        Args:
            everyone: those of the whole tenant. That the principal is an administrator is the caller's to check.
            after: id of the last one of the page before.
        """
        from indexes.ratings import list_ratings
        from rag.rating import shown

        try:
            rooms = self._tenant(principal.tenant)
        except CollectionNotFound:
            return []
        with rooms.auditor.denials(principal, "feedback", collection=collection):
            rooms.catalog.access(principal)
        subject = None if everyone else principal.subject
        page = list_ratings(rooms.catalog, subject=subject, collection=collection, limit=limit, after=after)
        found = shown(rooms, page, principal=principal)
        what = {"action": "read", "ratings": [one.id for one in found], "everyone": everyone}
        rooms.auditor.did("feedback", principal, collection=collection, **what)
        return found

    def every_rating(self, collection: str, *, tenant: str | None = None) -> Iterator[Rating]:
        """Yield all ratings of a collection, the oldest first. For operators: no principal is asked."""
        from indexes.ratings import every_rating

        return every_rating(self._tenant_of(collection, tenant).catalog, collection)

    def delete_rating(self, rating_id: str, *, principal: Principal, everyone: bool = False) -> bool:
        """Delete one's own rating; False where there is none of that id. `everyone` as in `ratings`."""
        from indexes.ratings import delete_rating

        try:
            rooms = self._tenant(principal.tenant)
        except CollectionNotFound:
            return False
        with rooms.auditor.denials(principal, "feedback"):
            rooms.catalog.access(principal)
        gone = delete_rating(rooms.catalog, rating_id, subject=None if everyone else principal.subject)
        if gone is None:
            rooms.auditor.denied(principal, asked="feedback")
            return False
        rooms.auditor.did("feedback", principal, collection=gone, action="delete", rating=rating_id)
        return True
