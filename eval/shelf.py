"""What an evaluation reads of a collection: documents' texts, each as a principal may read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from indexes.errors import AccessDenied, CollectionNotFound
from indexes.vocabulary import Principal


class Mill(Protocol):
    """The part of the facade that is used here."""

    def document_text(self, document_id: str, *, collection: str, principal: Principal) -> str | None: ...

    def documents(
        self, *, collection: str, principal: Principal, limit: int = ..., after: str | None = ...
    ) -> list[Any]: ...


class Shelf:
    """One collection seen through a mill; each text is read once for each principal.

    Args:
        resolve: turns a dataset's name or literal into a Principal; raises a LoremillError where there is none.
    """

    def __init__(self, mill: Mill, collection: str, resolve: Callable[[str], Principal]) -> None:
        self.collection, self.resolve = collection, resolve
        self._mill = mill
        self._texts: dict[tuple[Principal, str], str | None] = {}

    def text(self, document_id: str, *, principal: Principal) -> str | None:
        """Return the text, None where there is none that the principal may read; the two cannot be told apart."""
        key = (principal, document_id)
        if key not in self._texts:
            try:
                found = self._mill.document_text(document_id, collection=self.collection, principal=principal)
            except (AccessDenied, CollectionNotFound):
                found = None
            self._texts[key] = found
        return self._texts[key]

    def texts(self, *, principal: Principal) -> Iterator[tuple[str, str]]:
        """Yield (document id, text) of all that the principal may read, by document id."""
        after = None
        while page := self._mill.documents(collection=self.collection, principal=principal, limit=100, after=after):
            for info in page:
                text = self.text(info.document_id, principal=principal)
                if text is not None:
                    yield info.document_id, text
            after = page[-1].document_id
