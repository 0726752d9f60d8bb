"""The facade: everything that the command line, the server and agents do goes through here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from indexes.errors import AccessDenied, CollectionNotFound, ConfigError
from indexes.vocabulary import Acl, Hit, Principal, check_name

if TYPE_CHECKING:
    from indexes.catalog import DocumentInfo
    from indexes.directory import Directory
    from indexes.embedder import Embedder
    from indexes.settings import Settings
    from ingest.embed import Progress
    from ingest.pipeline import Ingestion, Rights
    from ingest.report import IngestReport
    from ingest.sources import Source
    from rag.answer import Answer, AnswerEvent
    from rag.releases import Release
    from rag.remote import RemoteLoremill
    from rag.retrieve import SearchResult
    from rag.tenant import Tenant
    from rag.verify import VerifyReport

DEFAULT_TENANT = "default"


class Loremill:
    """An organisation's memory in one home directory. Safe for many threads; several processes may share a home.

    Use `Loremill.open`, as a context manager or with `close`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home.expanduser().absolute()
        self._tenants: dict[str, Tenant] = {}
        self._lock = RLock()

    @classmethod
    def open(cls, home: str | Path | None = None, **settings: Any) -> Loremill:
        """Open the home directory, making it if it is missing.

        Args:
            home: default `LOREMILL_HOME`, else `~/.loremill`.
            settings: any field of `indexes.settings.Settings`, above environment and loremill.toml.
        Raises:
            ConfigError: a setting is wrong, or the home cannot be made.
        """
        from indexes.settings import load_settings

        mill = cls(load_settings(home=home, **settings))
        try:
            mill.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the home {mill.home} cannot be used: {error.strerror}; choose another with --home"
            ) from error
        return mill

    @classmethod
    def connect(cls, url: str, *, token: str) -> RemoteLoremill:
        """Return a client with the same search and ask against a server; see `rag.remote.RemoteLoremill`."""
        from rag.remote import RemoteLoremill

        return RemoteLoremill(url, token=token)

    def close(self) -> None:
        """Close every catalog. Nothing is lost if this is never called."""
        with self._lock:
            for tenant in self._tenants.values():
                tenant.close()
            self._tenants.clear()
            if (directory := self.__dict__.pop("directory", None)) is not None:
                directory.close()

    def __enter__(self) -> Loremill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- documents in ------------------------------------------------------------------------------------------------

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
        progress: Progress | None = None,
    ) -> IngestReport:
        """Bring a collection in line with a source: add, update and delete, then serve the result at once.

        Args:
            source: folder, file, glob or JSONL file.
            collection: made if it does not exist.
            tenant: default the principal's, else the ACL file's, else `default`.
            acl: ACL file; default `acl.yaml` beside the documents.
            allow: who may read everything, such as `["everyone"]`, where there is no ACL file.
            format: `auto`, or `beir` for SOURCE/corpus.jsonl.
            full: look at every document again, changed or not.
            progress: called with (stage, done, total).
        Raises:
            IngestError: the source is missing or empty. Single bad documents raise nothing: they end in the report's quarantine.
            ConfigError: an argument is wrong; nothing has changed.
            ConfigFileError: the ACL file is; nothing has changed.
            AccessDenied: `tenant` is not the principal's.
        """
        from ingest.acl_file import AclRules
        from ingest.pipeline import Rights
        from ingest.sources import open_source

        check_name(collection, "collection")
        if acl is not None and allow is not None:
            raise ConfigError("give either an ACL file or names to allow, not both")
        beside = _acl_beside(Path(source).expanduser())
        if acl is None and allow is not None and beside is not None:
            raise ConfigError(
                f"{beside} says who may read these documents: leave out --allow, or name a file with --acl"
            )
        path = Path(acl).expanduser() if acl is not None else beside if allow is None else None
        rules = None if path is None else AclRules.load(path)
        rights = Rights(rules, None if allow is None else Acl(tuple(allow)).allow)
        if principal is not None and tenant not in (None, principal.tenant):
            raise AccessDenied(principal)
        if tenant is None:
            tenant = principal.tenant if principal is not None else rules.tenant if rules and rules.tenant else None
        opened = open_source(source, format=format)
        return self._ingest(
            opened, collection=collection, tenant=tenant or DEFAULT_TENANT, rights=rights, full=full, progress=progress
        )

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
        """Add or replace one document in the principal's tenant. Whether the principal may write is the caller's to check."""
        from ingest.pipeline import Rights
        from ingest.sources import PushedDocument

        source = PushedDocument(document_id, text, title=title, format=format, metadata=metadata or {}, acl=acl)
        return self._ingest(
            source,
            collection=check_name(collection, "collection"),
            tenant=principal.tenant,
            rights=Rights(),
            partial=True,
        )

    def delete_document(self, document_id: str, *, collection: str, principal: Principal) -> bool:
        """Delete a document that the principal may read; False where there is none. It is gone from the next query on."""
        tenant = self._tenant(principal.tenant)
        if self.document(document_id, collection=collection, principal=principal) is None:
            return False
        with self._ingestion(tenant, collection) as ingestion:
            ingestion.delete([document_id])
        return True

    def _ingest(
        self, source: Source, *, collection: str, tenant: str, rights: Rights, full: bool = False,
        progress: Progress | None = None, partial: bool = False,
    ) -> IngestReport:  # fmt: skip
        rooms = self._tenant(tenant, create=True)
        with self._ingestion(rooms, collection) as ingestion:
            return ingestion.run(source, rights=rights, full=full, progress=progress, partial=partial)

    def _ingestion(self, tenant: Tenant, collection: str) -> AbstractContextManager[Ingestion]:
        from ingest.pipeline import open_ingestion
        from rag.releases import ReleaseServing

        return open_ingestion(
            catalog=tenant.catalog,
            folder=tenant.collections / collection,
            collection=collection,
            embedder=self.embedder,
            settings=self.settings,
            serving=ReleaseServing(self.settings.generator, self.settings.vector_index),
        )

    # -- answers out -------------------------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        *,
        collection: str,
        principal: Principal,
        top_k: int = 10,
        mode: str = "hybrid",
        where: Mapping[str, Any] | None = None,
    ) -> list[Hit]:
        """Return the best chunks that `principal` may read; see `Retriever.search`."""
        found = self.search_result(
            query, collection=collection, principal=principal, top_k=top_k, mode=mode, where=where
        )
        return list(found.hits)

    def search_result(
        self,
        query: str,
        *,
        collection: str,
        principal: Principal,
        top_k: int = 10,
        mode: str = "hybrid",
        where: Mapping[str, Any] | None = None,
    ) -> SearchResult:
        """Like `search`, with the build that answered and the time it took."""
        retriever = self._tenant(principal.tenant).retriever
        return retriever.search(query, collection=collection, principal=principal, top_k=top_k, mode=mode, where=where)

    def ask(
        self,
        question: str,
        *,
        collection: str,
        principal: Principal,
        generator: str | None = None,
        history: Sequence[Mapping[str, str]] | None = None,
    ) -> Answer:
        """Return an answer each of whose sentences cites spans that support it, or an abstention.

        Args:
            question: as a person asks it.
            generator: `extractive`, `openai` or `gguf`; default the settings'.
            history: earlier turns, `{"role": "user" | "assistant", "content": ...}`, oldest first.
        Raises:
            as `search`; a generator that fails does not raise: the extractive answer comes instead, and `notice` says so.
        """
        from rag.ask import ask

        tenant = self._tenant(principal.tenant)
        return ask(
            question, retriever=tenant.retriever, embedder=self.embedder, settings=self.settings, collection=collection,
            principal=principal, generator=generator, history=history or (),
        )  # fmt: skip

    def ask_stream(
        self,
        question: str,
        *,
        collection: str,
        principal: Principal,
        generator: str | None = None,
        history: Sequence[Mapping[str, str]] | None = None,
    ) -> Iterator[AnswerEvent]:
        """Like `ask`, as events: `passages`, `token`s of a model, each verified `sentence`, and the whole `answer` last."""
        from rag.ask import ask_events

        tenant = self._tenant(principal.tenant)
        return ask_events(
            question, retriever=tenant.retriever, embedder=self.embedder, settings=self.settings, collection=collection,
            principal=principal, generator=generator, history=history or (),
        )  # fmt: skip

    # -- listings ----------------------------------------------------------------------------------------------------

    def collections(self, *, principal: Principal) -> list[str]:
        """Return the names of the tenant's collections in which the principal may read at least one document."""
        from rag.tenant import tenant_names

        if principal.tenant not in tenant_names(self.home):
            return []
        catalog = self._tenant(principal.tenant).catalog
        access = catalog.access(principal)
        return [name for name in catalog.collections() if catalog.listing(name, access=access, limit=1)]

    def documents(
        self, *, collection: str, principal: Principal, limit: int = 100, after: str | None = None
    ) -> list[DocumentInfo]:
        """Return the documents that the principal may read, by document id, at most `limit`, those after `after`."""
        catalog = self._tenant(principal.tenant).catalog
        catalog.state(collection)
        return catalog.listing(collection, access=catalog.access(principal), limit=limit, after=after)

    def document(self, document_id: str, *, collection: str, principal: Principal) -> DocumentInfo | None:
        """Return one document, None if there is none that the principal may read."""
        catalog = self._tenant(principal.tenant).catalog
        catalog.state(collection)
        return catalog.document_info(collection, document_id, access=catalog.access(principal))

    def releases(self, collection: str | None = None, *, tenant: str | None = None) -> list[Release]:
        """Return the releases of one collection, or of all, newest first."""
        from rag.releases import list_releases

        if collection is not None:
            return list_releases(self._tenant_of(collection, tenant).catalog, collection)
        from rag.tenant import tenant_names

        catalogs = [self._tenant(name).catalog for name in tenant_names(self.home) if tenant in (None, name)]
        return [
            release
            for catalog in catalogs
            for name in catalog.collections()
            for release in list_releases(catalog, name)
        ]

    def verify(self, collection: str, *, tenant: str | None = None) -> VerifyReport:
        """Compare catalog, chunks, postings and vectors of a collection; see `rag.verify`."""
        from rag.verify import verify

        rooms = self._tenant_of(collection, tenant)
        return verify(rooms.catalog, rooms.retriever, collection)

    @cached_property
    def directory(self) -> Directory:
        """Principals and API keys."""
        from indexes.directory import Directory

        return Directory.open(self.home)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder that the settings name; its model is loaded when first used."""
        from indexes.embedder import make_embedder

        return make_embedder(self.settings, home=self.home)

    # -- rooms -------------------------------------------------------------------------------------------------------

    def _tenant(self, name: str, *, create: bool = False) -> Tenant:
        """Return a tenant's rooms. Nothing is made for a tenant that only asks."""
        from rag.tenant import Tenant

        with self._lock:
            if name not in self._tenants:
                self._tenants[name] = Tenant(
                    self.home, name, settings=self.settings, embedder=self.embedder, create=create
                )
            return self._tenants[name]

    def _tenant_of(self, collection: str, tenant: str | None) -> Tenant:
        """Find the tenant that holds a collection, for commands without a principal."""
        from rag.tenant import tenant_names

        names = [tenant] if tenant is not None else tenant_names(self.home)
        holders = [name for name in names if collection in self._tenant(name).catalog.collections()]
        if not holders:
            raise CollectionNotFound(
                f"no collection {collection!r}; run: loremill ingest SOURCE --collection {collection}"
            )
        if len(holders) > 1:
            raise ConfigError(f"the tenants {', '.join(holders)} each have a collection {collection!r}: add --tenant")
        return self._tenant(holders[0])


def _acl_beside(source: Path) -> Path | None:
    """Return the ACL file that lies beside the documents, if there is one."""
    folder = source if source.is_dir() else source.parent
    while not folder.exists() and folder != folder.parent:  # a glob's pattern: its root is what stands before it
        folder = folder.parent
    path = folder / "acl.yaml"
    return path if path.exists() else None
