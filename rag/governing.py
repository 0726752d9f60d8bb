"""The part of the facade that says who may read what; `rag.loremill` has the parts that take documents in and let answers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from indexes.catalog import DocumentInfo
    from indexes.directory import Directory
    from indexes.rights import AclRule, RightsChange
    from rag.explain import Explanation
    from rag.tenant import Tenant


class Governing:
    """What `Loremill` inherits; it has the tenants' rooms and the directory."""

    if TYPE_CHECKING:

        @property
        def directory(self) -> Directory: ...

        def _tenant(self, name: str, *, create: bool = False) -> Tenant: ...

        def _tenant_of(self, collection: str, tenant: str | None) -> Tenant: ...

        def document(self, document_id: str, *, collection: str, principal: Principal) -> DocumentInfo | None: ...

    def set_acl(
        self,
        *,
        collection: str,
        path: str | None = None,
        document_id: str | None = None,
        allow: Sequence[str] | None = None,
        deny: Sequence[str] = (),
        tenant: str | None = None,
    ) -> RightsChange:
        """Say who may read what, above what the sources say; it holds for the next query and for later ingestions.

        Args:
            path: pattern as in acl.yaml; or
            document_id: of one document.
            allow: who may read; None keeps what holds and only adds to `deny`.
            tenant: needed where two tenants have a collection of that name.
        Raises:
            ConfigError: as `indexes.rights.set_rule`; nothing has changed.
        """
        from indexes.rights import set_rule

        rooms = self._tenant_of(collection, tenant)
        change = set_rule(rooms.catalog, collection, path=path, document_id=document_id, allow=allow, deny=deny)
        _settled(rooms, collection, change, None)
        return change

    def unset_acl(self, rule_id: int, *, collection: str, tenant: str | None = None) -> RightsChange:
        """Remove a rule that `set_acl` made; the sources' own rights hold again."""
        from indexes.rights import remove_rule

        rooms = self._tenant_of(collection, tenant)
        change = remove_rule(rooms.catalog, collection, rule_id)
        _settled(rooms, collection, change, None, removed=True)
        return change

    def acl_rules(self, collection: str, *, tenant: str | None = None) -> list[AclRule]:
        """Return the rules that stand above the sources', in the order in which they are applied."""
        from indexes.rights import rules

        with self._tenant_of(collection, tenant).catalog.read() as db:
            return rules(db, collection)

    def change_acl(
        self,
        document_id: str,
        *,
        collection: str,
        principal: Principal,
        allow: Sequence[str] | None,
        deny: Sequence[str] = (),
    ) -> bool:
        """Set the rights of one document that the principal may read; False where there is none.

        Whether the principal may change rights is the caller's to check.

        Args:
            allow: who may read from now on; None gives back to the document what its source says.
        """
        from indexes.rights import remove_rule, rules, set_rule

        if self.document(document_id, collection=collection, principal=principal) is None:
            return False
        rooms = self._tenant(principal.tenant)
        if allow is not None:
            change = set_rule(
                rooms.catalog, collection, document_id=document_id, allow=allow, deny=deny, by=principal.subject
            )
            _settled(rooms, collection, change, principal)
            return True
        with rooms.catalog.read() as db:
            own = [rule.rule_id for rule in rules(db, collection) if rule.document_id == document_id]
        for rule_id in own:
            change = remove_rule(rooms.catalog, collection, rule_id)
            _settled(rooms, collection, change, principal, removed=True)
        return True

    def explain(self, document: str, *, principal: Principal, collection: str | None = None) -> list[Explanation]:
        """Say for each document of that id or uri whether `principal` may read it and what decides. For operators.

        Raises:
            ConfigError: the tenant has no such document.
        """
        from rag.explain import explain

        return explain(self._tenant(principal.tenant).catalog, self.directory, document, principal, collection)


def _settled(
    rooms: Tenant, collection: str, change: RightsChange, who: Principal | None, *, removed: bool = False
) -> None:
    """Forget at once what was kept under the old rights, and write the change down."""
    rooms.retriever.cache.forget(collection)
    detail = change.rule.to_json() | {"documents": change.documents, "removed": removed}
    rooms.auditor.did("rights", who, collection=collection, **detail)
