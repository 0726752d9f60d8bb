"""Watches, while an answer is written, that what it rests on may still be read."""

from __future__ import annotations

from collections.abc import Collection

from indexes.vocabulary import Principal
from rag.cache import Scope
from rag.retrieve import Retriever


class Guard:
    """Make one before the first passage is found: it notices every change from then on.

    `scope` is what was served and readable when it last looked.
    """

    def __init__(
        self, retriever: Retriever, collection: str, principal: Principal, *, release: str | None = None
    ) -> None:
        """`release` is asked in place of the live one; None follows what is live."""
        self._retriever = retriever
        self._collection = collection
        self._principal = principal
        self._release = release
        self.scope = self._now()

    def moved(self) -> bool:
        """Return whether another release went live with other documents since it last looked: then one must look for passages anew.

        One that went live over the same documents is no reason to: what was begun with a release is ended with it.
        """
        scope = self._now()
        moved = scope.release != self.scope.release and scope.epoch != self.scope.epoch
        if moved:  # else `lost` still has to look at what changed
            self.scope = scope
        return moved

    def lost(self, chunk_ids: Collection[str]) -> set[str]:
        """Return those of the chunks that the principal may not read any more, or that are gone.

        Give it all that was shown, each time: what it found readable it looks at again only after the next change.

        Raises:
            AccessDenied, CollectionNotFound: the principal has no access at all any more.
        Cost: one indexed look-up; one more a chunk after a change of rights or documents.
        """
        scope = self._now()
        if scope == self.scope:
            return set()
        self.scope = scope  # read before the chunks are: a change in between is noticed next time
        return set(chunk_ids) - self._retriever.confirm(self._collection, chunk_ids, principal=self._principal).keys()

    def _now(self) -> Scope:
        return self._retriever.scope(self._collection, principal=self._principal, release=self._release)
