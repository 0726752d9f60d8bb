"""The part of the facade that keeps how evaluations ended. Holding them is `eval`'s; whether somebody may see them is the caller's to check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.evaluations import Evaluations
    from rag.tenant import Tenant


class Evaluating:
    """What `Loremill` inherits."""

    if TYPE_CHECKING:

        def _tenant(self, name: str, *, create: bool = False) -> Tenant: ...

        def _tenant_of(self, collection: str, tenant: str | None) -> Tenant: ...

    def evaluations(self, tenant: str) -> Evaluations:
        """Return the evaluations of a tenant.

        Raises:
            CollectionNotFound: the tenant holds nothing.
        """
        from rag.evaluations import Evaluations

        rooms = self._tenant(tenant)
        return Evaluations(rooms.catalog, rooms.folder)

    def submit_evaluation(
        self,
        kind: str,
        *,
        collection: str,
        principal: Principal,
        asked: Mapping[str, Any],
        files: Mapping[str, str],
    ) -> dict[str, Any]:
        """Queue an evaluation for the server's worker and return how it stands; arguments as `Evaluations.submit`."""
        rooms, store = self._tenant(principal.tenant), self.evaluations(principal.tenant)
        rooms.catalog.state(collection)
        name = store.submit(kind, collection=collection, asked=asked, files=files, subject=principal.subject)
        rooms.auditor.did("evaluation", principal, collection=collection, action="submit", evaluation=name)
        status = store.status(name)
        assert status is not None
        return status

    def record_evaluation(
        self,
        kind: str,
        collection: str,
        *,
        asked: Mapping[str, Any],
        summary: Mapping[str, Any],
        report: bytes,
        tenant: str | None = None,
        evaluation: str | None = None,
    ) -> str:
        """Keep the report.json of an evaluation that has ended, and return its id.

        Args:
            evaluation: the one that was submitted; None writes down a new one.
        """
        from rag.auditing import OPERATOR

        rooms = self._tenant_of(collection, tenant)
        store = self.evaluations(rooms.name)
        if evaluation is not None:
            store.close(evaluation, summary=summary, report=report)
            return evaluation
        return store.add(kind, collection=collection, asked=asked, summary=summary, report=report, subject=OPERATOR)

    def evaluation_seen(self, principal: Principal, action: str, name: str) -> None:
        """Write down that the principal read, cancelled or deleted an evaluation."""
        self._tenant(principal.tenant).auditor.did("evaluation", principal, action=action, evaluation=name)
