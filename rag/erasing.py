"""The part of the facade that forgets for good: find, write down, erase, compact, scan, seal.

What is about to go is written down first, in `erasing/ID.json` of the home: names, counts and fingerprints, no text. From there on every step
may be repeated. An erasure that was killed is finished by the next one, or by the server's start.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import CollectionNotFound, ConfigError, ConfigFileError, ReceiptNotFound
from indexes.vocabulary import Principal
from rag.auditing import OPERATOR
from rag.erasure.target import Eraser, Target, check_subject
from rag.lore.items import Receipt

if TYPE_CHECKING:
    from indexes.directory import Directory
    from indexes.settings import Settings
    from ingest.pipeline import Ingestion
    from rag.raw_files import RawScan, Sighting
    from rag.tenant import Tenant

JOURNAL = "erasing"
_HOLD_WAITS_S = 60.0
_NOBODYS = {"builds", "judge_caches"}
"""Kinds that go with any erasure, and say nothing of whose they were."""
_ORDINARY = "08"
"""Begins a fingerprint of 8 bytes, which may be an ordinary word."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What came of an erasure: the receipt, the file it is kept in, and where something of it is still to be found."""

    receipt: Receipt
    file: Path
    found: tuple[Sighting, ...]

    def to_json(self) -> dict[str, Any]:
        from rag.receipts import to_json

        return to_json(self.receipt) | {"file": str(self.file), "found": [each.to_json() for each in self.found]}


@dataclass(frozen=True, slots=True)
class ErasureVerdict:
    """Whether a receipt is as it was issued, and whether it is true: nothing of what it speaks of is in the tenant's files or the home's own."""

    receipt: Receipt
    sealed: bool
    scan: RawScan | None

    @property
    def ok(self) -> bool:
        return self.sealed and self.scan is not None and not self.scan.found and not self.scan.unread

    def to_json(self) -> dict[str, Any]:
        scan = self.scan
        return {
            "ok": self.ok,
            "receipt": self.receipt.id,
            "about": self.receipt.about,
            "at": self.receipt.at.isoformat(),
            "sealed": self.sealed,
            "files": 0 if scan is None else scan.files,
            "bytes": 0 if scan is None else scan.bytes,
            "found": [] if scan is None else [each.to_json() for each in scan.found],
            "unread": [] if scan is None else list(scan.unread),
        }


@dataclass(frozen=True, slots=True)
class Pending:
    """An erasure that has begun: what for, the receipt as it will be, and the fingerprints by which repetitions are known."""

    target: Target
    receipt: Receipt
    repeats: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        from rag.receipts import to_json

        return {"target": self.target.to_json(), "receipt": to_json(self.receipt), "repeats": list(self.repeats)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pending:
        from rag.receipts import from_json

        return cls(Target.from_json(data["target"]), from_json(data["receipt"]), tuple(data["repeats"]))


class Erasing:
    """What `Loremill` inherits."""

    settings: Settings
    home: Path

    if TYPE_CHECKING:

        @property
        def directory(self) -> Directory: ...

        def embedder_of(self, name: str) -> Any: ...

        def _stand(self, rooms: Tenant, collection: str) -> None: ...

        def _tenant(self, name: str, *, create: bool = False) -> Tenant: ...

    def erase(
        self,
        *,
        document: str | None = None,
        subject: str | None = None,
        collection: str | None = None,
        tenant: str | None = None,
        by: str = OPERATOR,
    ) -> Erasure:
        """Erase a document, or a subject with all that is its own, from everything the home keeps; docs/erasure.md says what that is.

        Whether whoever asks may erase is the caller's to check. Once more, it finds nothing and says so in a receipt of its own.

        Args:
            document: its id or its uri; `collection` limits where it is looked for.
            subject: `user:x`, `agent:x` or `service:x`.
            tenant: needed where several could be meant.
            by: subject of whoever asks for it.
        Raises:
            ConfigError: there is no such document or subject, or several tenants have one; nothing has changed.
            Busy: an ingestion of a collection, or a reader of the catalog, does not end; run the same again.
            IndexBackendError: a store failed; run the same again, it goes on where it stopped.
        """
        if (document is None) == (subject is None):
            raise ConfigError("say what to erase: either --document or --subject")
        if subject is not None and collection is not None:
            raise ConfigError("a subject is erased from all collections of its tenant: leave --collection out")
        if self.settings.catalog_url:
            raise ConfigError("nothing can be erased from a catalog in PostgreSQL yet; nothing was changed")
        with self._erasing():
            self._finish_journals()
            target = (
                self._named_document(document, collection, tenant)
                if document is not None
                else self._named_subject(str(subject), tenant)
            )
            return self._erase(self._begin(target, by))

    def finish_erasures(self) -> list[Erasure]:
        """Finish erasures that were killed; their receipts are kept as ever."""
        if not any((self.home / JOURNAL).glob("*.json")):
            return []
        with self._erasing():
            return self._finish_journals()

    def verify_erasure(self, receipt: str | Path, *, tenant: str | None = None) -> ErasureVerdict:
        """Check a receipt's seal, and look for what it speaks of in every file of the home.

        Args:
            receipt: its file, or the id of one that the home keeps.
            tenant: take a kept receipt of this tenant alone.
        Raises:
            ReceiptNotFound: there is no such receipt.
            ConfigFileError: the file is none.
        """
        from rag import receipts
        from rag.raw_files import scan

        path = Path(receipt)
        kept = self.home / receipts.FOLDER / f"{path.name}.json"
        found = receipts.load(kept if tenant is not None or (kept.exists() and not path.exists()) else path)
        if tenant not in (None, found.tenant):
            raise ReceiptNotFound(f"there is no receipt {kept.name!r}; give the file that an erasure wrote")
        if not receipts.seal_holds(self.home, found):
            return ErasureVerdict(found, False, None)
        fingerprinter = receipts.fingerprints_of(self.home, found.salt)
        return ErasureVerdict(found, True, scan(self.home, found.tenant, fingerprinter, found.digests))

    # -- what is meant -----------------------------------------------------------------------------------------------

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

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _begin(self, target: Target, by: str) -> Pending:
        """Write down what is about to go."""
        from rag import receipts

        own = self._erasers(target.tenant, by)
        found = [eraser.find(target) for eraser in own]
        counts = {name: count for each in found for name, count in each.counts.items()}
        own_counts = [count for name, count in counts.items() if name not in _NOBODYS]
        if target.subject and not any(own_counts) and not self._is_known(target):
            raise ConfigError(f"tenant {target.tenant!r} knows no subject {target.subject!r}; nothing was changed")
        draft = receipts.draft(
            self.home, tenant=target.tenant, by=by, about=target.about, counts=counts,
            strings=chain.from_iterable(each.strings for each in found),
            said=chain.from_iterable(each.said for each in found),
            chunk_ids=chain.from_iterable(each.chunk_ids for each in found),
            kept=chain.from_iterable(eraser.kept(target) for eraser in own),
            others=chain.from_iterable(eraser.others(target) for eraser in own),
        )  # fmt: skip
        finder = receipts.fingerprints_of(self.home, draft.receipt.salt).finder(draft.repeats)
        for eraser in own:
            counts |= eraser.repeated(target, finder)
        pending = Pending(target, replace(draft.receipt, counts=counts), draft.repeats)
        receipts.write_json(self._journal(pending.receipt), pending.to_json())
        return pending

    def _erase(self, pending: Pending) -> Erasure:
        from rag import receipts
        from rag.erasure.compact import compact
        from rag.raw_files import scan

        draft, rooms = pending.receipt, self._tenant(pending.target.tenant)
        fingerprinter = receipts.fingerprints_of(self.home, draft.salt)
        finder = fingerprinter.finder(pending.repeats)
        for eraser in self._erasers(rooms.name, draft.by):
            eraser.erase(pending.target, finder)
        self._forget_caches(rooms)
        assert rooms.catalog.path is not None, "refused at the beginning"
        compact(rooms.catalog.path)
        seen = scan(self.home, rooms.name, fingerprinter, draft.digests).found
        ordinary = {each.digest for each in seen if each.digest.startswith(_ORDINARY)}
        receipt = replace(draft, digests=tuple(each for each in draft.digests if each not in ordinary))
        receipt = receipts.sealed(self.home, receipt)
        self._write_down(rooms, receipt)
        path = receipts.save(self.home, receipt)
        self._journal(draft).unlink()
        return Erasure(receipt, path, tuple(each for each in seen if each.digest not in ordinary))

    def _erasers(self, tenant: str, by: str) -> list[Eraser]:
        """One for each kind of storage, in the order in which they work."""
        from indexes.audit import AuditLog
        from indexes.vectors import VectorOptions
        from rag.erasure.audit import AuditEraser
        from rag.erasure.documents import DocumentEraser
        from rag.erasure.files import FileEraser
        from rag.erasure.ingestions import IngestionEraser
        from rag.erasure.memory import MemoryEraser
        from rag.erasure.ratings import RatingEraser

        rooms = self._tenant(tenant)
        options = VectorOptions.of(self.settings)
        return [
            DocumentEraser(
                rooms.catalog, rooms.collections, hold=lambda name: self._held_as_live(rooms, name), options=options
            ),
            MemoryEraser(rooms.catalog),
            RatingEraser(rooms.catalog),
            IngestionEraser(rooms.catalog, rooms.folder / "inbox"),
            FileEraser(self.home, tenant),
            AuditEraser(AuditLog.of(rooms.folder, self.settings), by=by),
        ]

    @contextmanager
    def _held_as_live(self, rooms: Tenant, collection: str) -> Iterator[Ingestion]:
        """Hold a collection against ingestions, and give one under the settings of what is live, whatever the present ones are."""
        from indexes.vectors import VectorOptions
        from ingest.commit import exclusive
        from ingest.pipeline import Ingestion
        from rag.releases import ReleaseServing, ReleaseSettings, live_release, recipe_of

        folder = rooms.collections / collection
        with exclusive(folder, rooms.catalog, wait_s=_HOLD_WAITS_S):
            self._stand(rooms, collection)
            live = live_release(rooms.catalog, collection)
            settings = self.settings if live is None else self.settings.model_copy(update=dict(live.index))
            serving = ReleaseServing(
                ReleaseSettings.of(settings, self.home) if live is None else live.settings,
                recipe_of(settings),
                VectorOptions.of(settings),
                settings.promotion == "gated",
            )
            yield Ingestion(
                catalog=rooms.catalog, folder=folder, collection=collection,
                embedder=self.embedder_of(settings.embedder), settings=settings, serving=serving,
            )  # fmt: skip

    def _forget_caches(self, rooms: Tenant) -> None:
        """Let every process drop the results and answers that it keeps."""
        from indexes.rights import raise_epoch

        for collection in rooms.catalog.collections():
            with rooms.catalog.write() as db:
                raise_epoch(db, collection)
            rooms.retriever.cache.forget(collection)

    def _write_down(self, rooms: Tenant, receipt: Receipt) -> None:
        who = None if receipt.by == OPERATOR else Principal(receipt.tenant, receipt.by)
        rooms.auditor.did("erasure", who, receipt=receipt.id, about=receipt.about, counts=dict(receipt.counts))

    # -- what survives a crash ---------------------------------------------------------------------------------------

    @contextmanager
    def _erasing(self) -> Iterator[None]:
        """One erasure at a time in a home."""
        folder = self.home / JOURNAL
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _journal(self, draft: Receipt) -> Path:
        return self.home / JOURNAL / f"{draft.id}.json"

    def _finish_journals(self) -> list[Erasure]:
        finished = []
        for path in sorted((self.home / JOURNAL).glob("*.json")):
            try:
                finished.append(self._erase(_read_journal(path)))
            except CollectionNotFound:  # the tenant was removed by hand, and with it all that was to be erased
                path.unlink()
        return finished


def _read_journal(path: Path) -> Pending:
    try:
        return Pending.from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigFileError(f"{path}: cannot be read ({error}); remove it, and run the erasure again") from error
