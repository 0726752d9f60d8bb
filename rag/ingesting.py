"""The half of the facade that takes documents in; `rag.loremill` adds the half that lets answers out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from indexes.errors import AccessDenied, Busy, ConfigError
from indexes.vocabulary import Acl, Principal, check_name

if TYPE_CHECKING:
    from indexes.catalog import Catalog, DocumentInfo
    from indexes.embedder import Embedder
    from indexes.settings import Settings
    from indexes.staging import QuarantineEntry
    from ingest.encode import Progress
    from ingest.pipeline import Ingestion
    from ingest.plan import IngestPlan
    from ingest.report import IngestReport
    from ingest.scan import Order
    from rag.inbox import Inbox
    from rag.tenant import Tenant

DEFAULT_TENANT = "default"
_SET_ASIDE = (
    "the live release's settings were kept, and not what the home's say of {}; to change them: "
    "loremill release create --collection {} ..., then loremill release promote"
)
_PUT_WAITS_S = 30.0
"""One document waits for another, or for deleted ones to leave the disk, but not for a large ingestion."""


class Ingesting:
    """What `Loremill` inherits; it has the home, the settings and the tenants' rooms."""

    settings: Settings
    home: Path

    if TYPE_CHECKING:

        @property
        def embedder(self) -> Embedder: ...

        def embedder_of(self, name: str) -> Embedder: ...

        def _stand(self, rooms: Tenant, collection: str) -> None: ...

        def _settle_cut(self, rooms: Tenant, collection: str) -> None: ...

        def _tenant(self, name: str, *, create: bool = False) -> Tenant: ...

        def _tenant_of(self, collection: str, tenant: str | None) -> Tenant: ...

        def document(self, document_id: str, *, collection: str, principal: Principal) -> DocumentInfo | None: ...

    def ingest(
        self,
        source: str | Path,
        *,
        collection: str,
        tenant: str | None = None,
        acl: str | Path | None = None,
        allow: Sequence[str] | None = None,
        format: str = "auto",
        principal: Principal | None = None,
        full: bool = False,
        contract: str | Path | None = None,
        query: str | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Bring a collection in line with a source: add, update and delete, then serve the result at once.

        Args:
            source: folder, file, glob, JSONL or mbox file, SQLAlchemy URL, or any fsspec URL such as s3://bucket/docs.
            collection: made if it does not exist.
            tenant: default the principal's, else the ACL file's, else `default`.
            acl: ACL file; default `acl.yaml` beside the documents.
            allow: who may read everything, such as `["everyone"]`, where there is no ACL file.
            format: `auto`; `beir` for SOURCE/corpus.jsonl; `sql` for the rows of `query`.
            full: look at every document again, changed or not.
            contract: what documents must be like; default `contract.yaml` beside them.
            query: the SELECT statement of a SQL source.
            progress: called with (stage, done, total).
        Raises:
            IngestError: the source is missing or empty. Single bad documents raise nothing: they end in the report's quarantine.
            ConfigError: an argument is wrong; nothing has changed.
            ConfigFileError: the ACL file or the contract is; nothing has changed.
            AccessDenied: `tenant` is not the principal's.
        """
        from rag.intake import Intake

        check_name(collection, "collection")
        intake = Intake.open(source, format=format, query=query, acl=acl, allow=allow, contract=contract)
        order, named = intake.order(full=full)
        return self._ingest(order, collection=collection, tenant=_tenant(tenant, named, principal), progress=progress)

    def plan(
        self,
        source: str | Path,
        *,
        collection: str,
        tenant: str | None = None,
        acl: str | Path | None = None,
        allow: Sequence[str] | None = None,
        format: str = "auto",
        full: bool = False,
        contract: str | Path | None = None,
        query: str | None = None,
        progress: Progress | None = None,
    ) -> IngestPlan:
        """Tell what `ingest` with the same arguments would do and about how long it would take; nothing is changed."""
        from tempfile import TemporaryDirectory

        from indexes.catalog import Catalog
        from rag.intake import Intake
        from rag.tenant import tenant_names

        check_name(collection, "collection")
        intake = Intake.open(source, format=format, query=query, acl=acl, allow=allow, contract=contract)
        order, named = intake.order(full=full)
        name = _tenant(tenant, named, None)
        with TemporaryDirectory(prefix="loremill-plan-") as aside:
            catalog = (
                self._tenant(name).catalog
                if name in tenant_names(self.home, self.settings)
                else Catalog.open(Path(aside) / "catalog.db", tenant=name)
            )
            ingestion = self._ingestion_over(catalog, Path(aside), collection)
            return ingestion.plan(order, staging_file=Path(aside) / "staging.db", progress=progress)

    def watch(
        self, source: str | Path, *, collection: str, stop: Event, poll_s: float | None = None, **arguments: Any
    ) -> Iterator[IngestReport]:
        """Ingest now and again whenever something below a folder changes, until `stop` is set; yields each report.

        Args:
            poll_s: look every so many seconds instead of waiting for the system's notice, as network shares need.
            arguments: as `ingest`.
        """
        from ingest.sources import changes

        for _ in changes(source, debounce_s=1.0, poll_s=poll_s, stop=stop):
            yield self.ingest(source, collection=collection, **arguments)

    def quarantine(self, collection: str, *, tenant: str | None = None) -> list[QuarantineEntry]:
        """Return the items of the collection that could not be indexed, by uri. For operators: no principal is asked."""
        from indexes.corpus import quarantined

        with self._tenant_of(collection, tenant).catalog.read() as db:
            return quarantined(db, collection)

    def retry(
        self,
        collection: str,
        *,
        tenant: str | None = None,
        uris: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> list[IngestReport]:
        """Look again at quarantined items, though they have not changed; a report for each of their sources.

        Args:
            uris: those to look at; None means all.
        Raises:
            ConfigError: a uri is not in quarantine, or its source cannot be opened again from here.
        """
        from indexes.corpus import source_specs
        from rag.intake import Intake

        rooms = self._tenant_of(collection, tenant)
        entries = self.quarantine(collection, tenant=rooms.name)
        wanted = {entry.uri: entry.source for entry in entries if uris is None or entry.uri in uris}
        if unknown := sorted(set(uris or ()) - wanted.keys()):
            raise ConfigError(f"not in quarantine: {', '.join(unknown)}; see loremill quarantine list")
        specs = source_specs(rooms.catalog, collection)
        if lost := sorted(set(wanted.values()) - specs.keys()):
            raise ConfigError(f"{', '.join(lost)}: how it was opened is not known; ingest it again")
        reports = []
        for name in sorted(set(wanted.values())):
            again = frozenset(uri for uri, source in wanted.items() if source == name)
            order, _ = Intake.from_spec(specs[name]).order(retry=again)
            reports.append(self._ingest(order, collection=collection, tenant=rooms.name, progress=progress))
        return reports

    def lineage(
        self, chunk_id: str, *, collection: str | None = None, tenant: str | None = None
    ) -> dict[str, Any] | None:
        """Return where a chunk comes from, without its text; None if there is none of that id. For operators."""
        from indexes.vectors import VectorOptions
        from rag.lineage import lineage
        from rag.tenant import tenant_names

        options = VectorOptions.of(self.settings)
        for name in [tenant] if tenant is not None else tenant_names(self.home, self.settings):
            rooms = self._tenant(name)
            for each in [collection] if collection is not None else rooms.catalog.collections():
                if each in rooms.catalog.collections():
                    self._settle_cut(rooms, each)
                if (found := lineage(rooms.catalog, rooms.collections, each, chunk_id, options=options)) is not None:
                    return found
        return None

    def put_document(
        self,
        *,
        collection: str,
        principal: Principal,
        document_id: str,
        text: str,
        acl: Acl,
        title: str = "",
        format: str = "md",
        metadata: Mapping[str, Any] | None = None,
    ) -> IngestReport:
        """Add or replace one document in the principal's tenant. Whether the principal may write is the caller's to check.

        Raises:
            Busy: an ingestion of the collection has been running for half a minute since; nothing has changed.
        """
        from ingest.rights import Rights
        from ingest.scan import Order
        from ingest.sources import PushedDocument

        source = PushedDocument(document_id, text, title=title, format=format, metadata=metadata or {}, acl=acl)
        order = Order(source, Rights(), partial=True)
        name = check_name(collection, "collection")
        report = self._ingest(order, collection=name, tenant=principal.tenant, wait_s=_PUT_WAITS_S)
        auditor = self._tenant(principal.tenant).auditor
        auditor.did("document.put", principal, collection=collection, document_id=document_id)
        return report

    def put_documents(self, batch: Path, *, collection: str, tenant: str, wait_s: float = 0.0) -> IngestReport:
        """Add or replace the documents of a JSONL file, as `POST /v1/ingestions` takes them.

        Args:
            wait_s: longest wait for another ingestion of the collection to end, before being refused.
        """
        from ingest.rights import Rights
        from ingest.scan import Order
        from ingest.sources import PushedBatch

        order = Order(PushedBatch(batch), Rights(), partial=True)
        return self._ingest(order, collection=check_name(collection, "collection"), tenant=tenant, wait_s=wait_s)

    def submit_documents(
        self, documents: Sequence[Mapping[str, Any]], *, collection: str, principal: Principal
    ) -> dict[str, Any]:
        """Accept documents to be ingested soon, and return how that stands; see `Inbox.submit`."""
        inbox = self.inbox(principal.tenant)
        name = inbox.submit(documents, collection=collection, principal=principal)
        names = [document["document_id"] for document in documents]
        self._tenant(principal.tenant).auditor.did(
            "document.put", principal, collection=collection, ingestion=name, document_ids=names
        )
        status = inbox.status(name, principal=principal)
        assert status is not None
        return status

    def inbox(self, tenant: str) -> Inbox:
        """Documents handed over for later."""
        from rag.inbox import Inbox

        rooms = self._tenant(tenant, create=True)
        return Inbox(rooms.catalog, rooms.folder)

    def delete_document(self, document_id: str, *, collection: str, principal: Principal, wait: bool = True) -> bool:
        """Delete a document that the principal may read; False where there is none. It is gone from the next query on.

        Nobody may read it from this moment, whatever else is running. Its text leaves the disk before this returns or, while an
        ingestion of the collection runs, with that one's end.

        Args:
            wait: False leaves the disk to whoever calls `remove_withdrawn`: that makes the index anew, once for many deletions.
        """
        from indexes.rights import withdraw

        tenant = self._tenant(principal.tenant)
        if self.document(document_id, collection=collection, principal=principal) is None:
            return False
        withdraw(tenant.catalog, collection, [document_id])
        tenant.retriever.cache.forget(collection)
        tenant.auditor.did("document.delete", principal, collection=collection, document_id=document_id)
        if wait:
            with suppress(Busy):
                self.remove_withdrawn(collection, tenant=tenant.name)
        return True

    def remove_withdrawn(self, collection: str, *, tenant: str) -> None:
        """Take what was deleted off the disk: texts, vectors and postings.

        Raises:
            Busy: an ingestion of the collection is running; it does that at its end.
        """
        with self._ingestion(self._tenant(tenant), collection):
            pass  # it removes what is withdrawn whenever it begins and ends

    def withdrawn(self, tenant: str) -> list[str]:
        """Return the tenant's collections in which something deleted is still on the disk."""
        from indexes.rights import withdrawn

        catalog = self._tenant(tenant).catalog
        return [name for name in catalog.collections() if withdrawn(catalog, name)]

    def _ingest(
        self, order: Order, *, collection: str, tenant: str, progress: Progress | None = None, wait_s: float = 0.0
    ) -> IngestReport:
        from rag.releases import set_aside

        rooms = self._tenant(tenant, create=True)
        with self._ingestion(rooms, collection, wait_s=wait_s) as ingestion:
            report = ingestion.run(order, progress=progress)
        if ignored := set_aside(rooms.catalog, collection, self.settings, self.home):
            report = replace(report, warnings=(*report.warnings, _SET_ASIDE.format(", ".join(ignored), collection)))
        rooms.auditor.did(
            "ingest", None, collection=collection, source=order.source.name, build=report.build,
            documents=report.to_json()["documents"],
        )  # fmt: skip
        return report

    @contextmanager
    def _ingestion(self, tenant: Tenant, collection: str, *, wait_s: float = 0.0) -> Iterator[Ingestion]:
        from ingest.commit import exclusive

        folder = tenant.collections / collection
        with exclusive(folder, tenant.catalog, wait_s=wait_s):
            tenant.catalog.create_collection(collection)
            self._stand(tenant, collection)
            ingestion = self._ingestion_over(tenant.catalog, folder, collection)
            ingestion.remove_withdrawn()
            yield ingestion
            ingestion.remove_withdrawn()

    def _ingestion_over(self, catalog: Catalog, folder: Path, collection: str) -> Ingestion:
        from ingest.pipeline import Ingestion
        from rag.releases import ReleaseServing, standing_settings

        settings = standing_settings(catalog, collection, self.settings)
        return Ingestion(
            catalog=catalog,
            folder=folder,
            collection=collection,
            embedder=self.embedder_of(settings.embedder),
            settings=settings,
            serving=ReleaseServing.of(settings, self.home),
        )


def _tenant(given: str | None, named: str | None, principal: Principal | None) -> str:
    """Whose documents they are: as stated, else the principal's, else as the ACL file names it.

    Raises:
        AccessDenied: the stated tenant is not the principal's.
    """
    if principal is not None and given not in (None, principal.tenant):
        raise AccessDenied(principal)
    return given or (principal.tenant if principal is not None else named) or DEFAULT_TENANT
