"""What the facade writes into a tenant's audit log, and in whose name it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexes.errors import AccessDenied
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from indexes.audit import AuditKind, AuditLog, SeenChunk
    from rag.answer import AnswerEvent

OPERATOR = "operator"
"""Subject of what is done without a principal: by whoever holds the home."""


@dataclass(frozen=True, slots=True)
class Caller:
    """How a call came in: `library`, `cli`, `key:ID` or `token`, and the administrator who asks as somebody else."""

    via: str = "library"
    actor: str | None = None


caller: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 - frozen


class Auditor:
    """Writes one tenant's log; nothing where the settings want none. What cannot be written down does not leave."""

    def __init__(self, log: AuditLog | None) -> None:
        self._log = log

    def saw(
        self,
        kind: AuditKind | str,
        principal: Principal,
        *,
        collection: str | None,
        seen: Sequence[SeenChunk] = (),
        build: str | None = None,
        release: str | None = None,
        query: str | None = None,
        **detail: Any,
    ) -> None:
        """Write down what somebody is about to see."""
        if self._log is not None:
            by = caller.get()
            self._log.append(
                kind, subject=principal.subject, actor=by.actor, via=by.via, collection=collection, build=build,
                release=release, chunks=seen, query=query, detail=detail,
            )  # fmt: skip

    def did(
        self, kind: AuditKind | str, who: Principal | None, *, collection: str | None = None, **detail: Any
    ) -> None:
        """Write down what somebody, or the operator, has changed."""
        if self._log is not None:
            by = caller.get()
            subject = OPERATOR if who is None else who.subject
            self._log.append(kind, subject=subject, actor=by.actor, via=by.via, collection=collection, detail=detail)

    def denied(self, principal: Principal, *, collection: str | None = None, **detail: Any) -> None:
        """Write down that somebody was refused, or asked for what is not there: the same, so that time does not tell which."""
        self.did("denied", principal, collection=collection, **detail)

    @contextmanager
    def denials(self, principal: Principal, asked: str, *, collection: str | None = None) -> Iterator[None]:
        """Write down that the block refused the principal, and let the refusal pass."""
        try:
            yield
        except AccessDenied:
            self.denied(principal, collection=collection, asked=asked)
            raise


def recorded(events: Iterator[AnswerEvent], record: Callable[[Sequence[str], str], None]) -> Iterator[AnswerEvent]:
    """Hand events on, and have each chunk recorded before text of it leaves for the first time; at least one record is made.

    Args:
        record: told of new chunk ids and of the kind of event that brings them.
    """
    known: set[str] = set()
    recorded_any = False
    for event in events:
        new = [name for name in event.chunk_ids if name not in known]
        if new or (event.kind == "answer" and not recorded_any):
            record(new, event.kind)
            known.update(new)
            recorded_any = True
        yield event
