"""The facade: everything that the command line, the server and agents do goes through here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from indexes.errors import CollectionNotFound, ConfigError
from indexes.vocabulary import Chunk, Hit, Principal
from rag.erasing import Erasing
from rag.evaluating import Evaluating
from rag.feedback import Feedback
from rag.governing import Governing
from rag.ingesting import Ingesting
from rag.releasing import Releasing

if TYPE_CHECKING:
    from indexes.catalog import DocumentInfo
    from indexes.directory import Directory
    from indexes.embedder import Embedder
    from indexes.recall import RecallSampler
    from indexes.settings import Settings
    from rag.answer import Answer, AnswerEvent
    from rag.auditing import Auditor
    from rag.memory import Memory
    from rag.remote import RemoteLoremill
    from rag.retrieve import SearchResult
    from rag.tenant import Tenant
    from rag.verify import VerifyReport


class Loremill(Ingesting, Governing, Releasing, Evaluating, Feedback, Erasing):
    """An organisation's memory in one home directory. Safe for many threads; several processes may share a home.

    Use `Loremill.open`, as a context manager or with `close`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.home = settings.home.expanduser().absolute()
        self._tenants: dict[str, Tenant] = {}
        self._embedders: dict[str, Embedder] = {}
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
        if (memory := self.__dict__.pop("memory", None)) is not None:
            memory.close()
        with self._lock:
            for tenant in self._tenants.values():
                tenant.close()
            self._tenants.clear()
            if (directory := self.__dict__.pop("directory", None)) is not None:
                directory.close()
        if (recall := self.__dict__.get("recall_sampler")) is not None:
            recall.wait()

    def __enter__(self) -> Loremill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        release: str | None = None,
    ) -> list[Hit]:
        """Return the best chunks that `principal` may read; see `Retriever.search`."""
        found = self.search_result(
            query, collection=collection, principal=principal, top_k=top_k, mode=mode, where=where, release=release
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
        release: str | None = None,
    ) -> SearchResult:
        """Like `search`, with the build that answered, the plan and the time it took."""
        tenant = self._tenant(principal.tenant)
        with tenant.auditor.denials(principal, "search", collection=collection):
            found = tenant.retriever.search(
                query, collection=collection, principal=principal, top_k=top_k, mode=mode, where=where, release=release
            )
        tenant.auditor.saw(
            "search",
            principal,
            collection=collection,
            seen=found.seen,
            build=found.build,
            release=found.release,
            query=query,
        )
        return found

    def ask(
        self,
        question: str,
        *,
        collection: str,
        principal: Principal,
        generator: str | None = None,
        history: Sequence[Mapping[str, str]] | None = None,
        release: str | None = None,
    ) -> Answer:
        """Return an answer each of whose sentences cites spans that support it, or an abstention.

        Args:
            question: as a person asks it.
            generator: `extractive`, `openai` or `gguf`; default the release's where promotion governs the collection or `release` is
                given, else the settings'.
            history: earlier turns, `{"role": "user" | "assistant", "content": ...}`, oldest first.
            release: of the collection, to be asked in place of the live one, under the same rights. Whether the principal may try
                what is not live is the caller's to check.
        Raises:
            as `search`; a generator that fails does not raise: the extractive answer comes instead, and `notice` says so.
        """
        from rag.ask import ask

        tenant = self._tenant(principal.tenant)
        with tenant.auditor.denials(principal, "ask", collection=collection):
            answer = ask(
                question, retriever=tenant.retriever, settings=self.settings, collection=collection,
                principal=principal, generator=generator, history=history or (), release=release,
            )  # fmt: skip
            cited = dict.fromkeys(citation.chunk_id for citation in answer.citations)
            seen = tenant.retriever.seen(collection, cited, principal=principal)
        tenant.auditor.saw("ask", principal, collection=collection, seen=seen, release=answer.release, query=question)
        return answer

    def ask_stream(
        self,
        question: str,
        *,
        collection: str,
        principal: Principal,
        generator: str | None = None,
        history: Sequence[Mapping[str, str]] | None = None,
        release: str | None = None,
    ) -> Iterator[AnswerEvent]:
        """Like `ask`, as events: `passages`, `token`s of a model, each verified `sentence`, and the whole `answer` last."""
        from rag.ask import ask_events
        from rag.auditing import recorded

        tenant = self._tenant(principal.tenant)

        def record(chunk_ids: Sequence[str], kind: str) -> None:
            seen = tenant.retriever.seen(collection, chunk_ids, principal=principal)
            tenant.auditor.saw("ask", principal, collection=collection, seen=seen, query=question, stream=kind)

        with tenant.auditor.denials(principal, "ask", collection=collection):
            yield from recorded(
                ask_events(
                    question, retriever=tenant.retriever, settings=self.settings, collection=collection,
                    principal=principal, generator=generator, history=history or (), release=release,
                ),
                record,
            )  # fmt: skip

    def around(
        self,
        chunk_id: str,
        *,
        collection: str,
        principal: Principal,
        before: int = 1,
        after: int = 1,
        levels_up: int | None = None,
    ) -> list[Chunk]:
        """Return what stands around a hit: its neighbours or, with `levels_up`, its section; see `rag.context`."""
        from rag.context import around

        tenant = self._tenant(principal.tenant)
        with tenant.auditor.denials(principal, "around", collection=collection):
            chunks = around(
                tenant.catalog, chunk_id, collection=collection, principal=principal, before=before, after=after,
                levels_up=levels_up,
            )  # fmt: skip
            seen = tenant.retriever.seen(collection, [chunk.chunk_id for chunk in chunks], principal=principal)
        tenant.auditor.saw("around", principal, collection=collection, seen=seen)
        return chunks

    # -- listings ----------------------------------------------------------------------------------------------------

    def collections(self, *, principal: Principal) -> list[str]:
        """Return the names of the tenant's collections in which the principal may read at least one document."""
        from rag.tenant import tenant_names

        if principal.tenant not in tenant_names(self.home, self.settings):
            return []
        catalog = self._tenant(principal.tenant).catalog
        access = catalog.access(principal)
        return [name for name in catalog.collections() if catalog.listing(name, access=access, limit=1)]

    def documents(
        self, *, collection: str, principal: Principal, limit: int = 100, after: str | None = None
    ) -> list[DocumentInfo]:
        """Return the documents that the principal may read, by document id, at most `limit`, those after `after`."""
        tenant = self._tenant(principal.tenant)
        with tenant.auditor.denials(principal, "listing", collection=collection):
            access = tenant.catalog.access(principal, state=tenant.catalog.state(collection))
        found = tenant.catalog.listing(collection, access=access, limit=limit, after=after)
        names = [info.document_id for info in found]
        tenant.auditor.saw("listing", principal, collection=collection, document_ids=names)
        return found

    def document(self, document_id: str, *, collection: str, principal: Principal) -> DocumentInfo | None:
        """Return one document, None if there is none that the principal may read."""
        tenant = self._tenant(principal.tenant)
        with tenant.auditor.denials(principal, "document", collection=collection):
            access = tenant.catalog.access(principal, state=tenant.catalog.state(collection))
        found = tenant.catalog.document_info(collection, document_id, access=access)
        kind = "denied" if found is None else "document"
        tenant.auditor.did(kind, principal, collection=collection, document_id=document_id)
        return found

    def document_text(self, document_id: str, *, collection: str, principal: Principal) -> str | None:
        """Return the whole text of one document, None if there is none that the principal may read."""
        tenant = self._tenant(principal.tenant)
        with tenant.auditor.denials(principal, "document", collection=collection):
            access = tenant.catalog.access(principal, state=tenant.catalog.state(collection))
        text = tenant.catalog.document_text(collection, document_id, access=access)
        kind = "denied" if text is None else "document"
        tenant.auditor.did(kind, principal, collection=collection, document_id=document_id)
        return text

    def may_read(self, document_id: str, *, collection: str, principal: Principal) -> bool:
        """Return whether there is such a document that the principal may read; nothing of it leaves, so nothing is written down."""
        try:
            catalog = self._tenant(principal.tenant).catalog
            access = catalog.access(principal, state=catalog.state(collection))
        except CollectionNotFound:
            return False
        return catalog.may_read(collection, document_id, access=access)

    def verify(self, collection: str, *, tenant: str | None = None, sources: bool = True) -> VerifyReport:
        """Compare sources, catalog, chunks, postings and vectors of a collection; see `rag.verify`."""
        from rag.verify import verify

        rooms = self._tenant_of(collection, tenant)
        self._settle_cut(rooms, collection)
        return verify(rooms.catalog, rooms.retriever, collection, sources=sources)

    @cached_property
    def directory(self) -> Directory:
        """Principals and API keys."""
        from indexes.directory import Directory

        return Directory.open(self.home, changed=self._directory_changed)

    @cached_property
    def memory(self) -> Memory:
        """What agents remember; see `rag.memory`."""
        from rag.memory import Memory

        return Memory(self.home, self.settings, self._tenant, lambda: self.embedder)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder that the settings name; its model is loaded when first used."""
        from indexes.embedder import make_embedder

        return make_embedder(self.settings, home=self.home)

    def embedder_of(self, name: str) -> Embedder:
        """Return the embedder that a build was made with, by its setting; the empty name is that of the settings."""
        from indexes.embedder import make_embedder

        if name in ("", self.settings.embedder):
            return self.embedder
        with self._lock:
            if name not in self._embedders:
                settings = self.settings.model_copy(update={"embedder": name})
                self._embedders[name] = make_embedder(settings, home=self.home)
            return self._embedders[name]

    @cached_property
    def recall_sampler(self) -> RecallSampler:
        """Counts and samples the searches of vectors of all tenants, for operators."""
        from indexes.recall import RecallSampler

        return RecallSampler(self.settings.recall_sample)

    def refused(self, principal: Principal, asked: str) -> None:
        """Write down that a caller refused the principal something before it came here."""
        self._auditor_of(principal.tenant).denied(principal, asked=asked)

    def acted_as(self, principal: Principal) -> None:
        """Write down that an administrator asks as the principal; `rag.auditing.caller` says who."""
        self._auditor_of(principal.tenant).did("act-as", principal)

    def _auditor_of(self, tenant: str) -> Auditor:
        """Return the writer of a tenant's log, also where the tenant holds no documents yet."""
        from indexes.audit import AuditLog
        from rag.auditing import Auditor
        from rag.tenant import tenant_folder

        log = AuditLog.of(tenant_folder(self.home, tenant), self.settings) if self.settings.audit else None
        return Auditor(log)

    def _directory_changed(self, tenant: str, kind: str, what: Mapping[str, Any]) -> None:
        self._auditor_of(tenant).did(kind, None, **what)

    # -- rooms -------------------------------------------------------------------------------------------------------

    def _tenant(self, name: str, *, create: bool = False) -> Tenant:
        """Return a tenant's rooms. Nothing is made for a tenant that only asks."""
        from rag.tenant import Tenant

        with self._lock:
            if name not in self._tenants:
                self._tenants[name] = Tenant(
                    self.home,
                    name,
                    settings=self.settings,
                    embedder=self.embedder,
                    members=self.directory,
                    recall=self.recall_sampler,
                    create=create,
                    embedder_of=self.embedder_of,
                )
            return self._tenants[name]

    def _tenant_of(self, collection: str, tenant: str | None) -> Tenant:
        """Find the tenant that holds a collection, for commands without a principal."""
        from rag.tenant import tenant_names

        names = [tenant] if tenant is not None else tenant_names(self.home, self.settings)
        holders = [name for name in names if collection in self._tenant(name).catalog.collections()]
        if not holders:
            raise CollectionNotFound(
                f"no collection {collection!r}; run: loremill ingest SOURCE --collection {collection}"
            )
        if len(holders) > 1:
            raise ConfigError(f"the tenants {', '.join(holders)} each have a collection {collection!r}: add --tenant")
        return self._tenant(holders[0])
