"""The part of the facade that knows what is meant by a name: which tenant, which documents, whether there is such a subject."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from indexes.errors import ConfigError, ConfigFileError, ReceiptNotFound
from rag.erasure.target import Target, check_subject

if TYPE_CHECKING:
    from indexes.directory import Directory
    from indexes.settings import Settings
    from rag.tenant import Tenant


class Naming:
    """What `rag.erasing.Erasing` inherits."""

    settings: Settings
    home: Path

    if TYPE_CHECKING:

        @property
        def directory(self) -> Directory: ...

        def _tenant(self, name: str, *, create: bool = False) -> Tenant: ...

    def _named_document(self, asked: str, collection: str | None, tenant: str | None) -> Target:
        from rag.erasure.documents import named
        from rag.tenant import tenant_names

        found: dict[str, Target] = {}
        for name in self._tenants_meant(tenant):
            rooms = self._tenant(name)
            documents = named(rooms.catalog, rooms.collections, asked, only=collection)
            if documents:
                found[name] = Target(name, asked=asked, documents=documents)
        if not found:
            for name in tenant_names(self.home, self.settings) if tenant is None else [tenant]:
                if self._was_erased(again := Target(name, asked=asked)):
                    return again
            raise ConfigError(
                f"there is no document of id or uri {asked!r}; see: loremill explain DOCUMENT --as PRINCIPAL"
            )
        if len(found) > 1:
            raise ConfigError(f"the tenants {', '.join(sorted(found))} each have a document {asked!r}: add --tenant")
        return next(iter(found.values()))

    def _named_subject(self, subject: str, tenant: str | None) -> Target:
        from rag.erasure.documents import of_subject

        names = self._tenants_meant(tenant)
        for name in names or [tenant or "default"]:
            check_subject(name, subject)
        if len(names) > 1:
            raise ConfigError(f"there are the tenants {', '.join(names)}, each with subjects of its own: add --tenant")
        if not names:
            raise ConfigError("the home holds nothing yet, so there is nothing to erase")
        return Target(names[0], subject=subject, documents=of_subject(self._tenant(names[0]).catalog, subject))

    def _tenants_meant(self, tenant: str | None) -> list[str]:
        from rag.tenant import tenant_names

        names = tenant_names(self.home, self.settings)
        if tenant is not None and tenant not in names:
            raise ConfigError(f"there is no tenant {tenant!r} here; there are: {', '.join(names) or 'none'}")
        return names if tenant is None else [tenant]

    def _was_erased(self, target: Target) -> bool:
        from rag import receipts

        for path in (self.home / receipts.FOLDER).glob("*.json"):
            try:
                receipt = receipts.load(path)
            except (ConfigFileError, ReceiptNotFound):
                continue
            if (receipt.tenant, receipt.about) == (target.tenant, target.about):
                return True
        return False

    def _is_known(self, target: Target) -> bool:
        """Return whether the home knows the subject at all, though nothing of its own is there."""
        listed = (entry.principal for entry in self.directory.list_principals())
        is_listed = any((one.tenant, one.subject) == (target.tenant, target.subject) for one in listed)
        return is_listed or self._was_erased(target) or self._was_active(target)

    def _was_active(self, target: Target) -> bool:
        from indexes.audit import AuditLog

        log = AuditLog.of(self._tenant(target.tenant).folder, self.settings)
        return next(log.read(subject=target.subject, limit=1), None) is not None
