"""The spine of ingestion: source -> parse -> clean -> chunk -> embed -> commit.

Everything is prepared in staging; nothing that is served changes before the last step, which is one transaction: a crash or an
error at any moment leaves the old state.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from indexes.catalog import Catalog
from indexes.corpus import children
from indexes.cuts import standing_cut
from indexes.embedder import Embedder
from indexes.rights import withdrawn
from indexes.settings import Settings
from indexes.staging import Staging, open_staging
from indexes.upcoming import Upcoming
from ingest.commit import Origin, Outcome, Serving, commit, staging_path
from ingest.contract_rules import Duplicates
from ingest.cut import Cutter
from ingest.encode import BackgroundEncoder, Encoder, Progress
from ingest.plan import Estimator, IngestPlan
from ingest.prepare import Preparer
from ingest.report import ChunkCounts, DocumentCounts, IngestReport
from ingest.scan import Order, Scan, Tally


class Ingestion:
    """Brings one collection in line with one source.

    Args:
        catalog: of the tenant.
        folder: the collection's folder, for builds and staging.
        embedder: whose space and tokenizer the collection uses.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        folder: Path,
        collection: str,
        embedder: Embedder,
        settings: Settings,
        serving: Serving,
    ) -> None:
        self._catalog = catalog
        self._folder = folder
        self._collection = collection
        self._embedder = embedder
        self._settings = settings
        self._serving = serving

    def run(self, order: Order, *, progress: Progress | None = None) -> IngestReport:
        """Ingest what the source lists; delete what it listed before and lists no more.

        Args:
            progress: called with (stage, done, total).
        Raises:
            IndexBackendError: the state could not be written; the old one is served on.
        """
        clock = [time.perf_counter()]
        progress = progress or _silent
        with (
            open_staging(self._catalog, staging_path(self._folder), self._collection) as staging,
            BackgroundEncoder(self._embedder, staging, progress) as encoder,
        ):
            scan = self._scan(order, staging, encoder, progress)
            clock.append(time.perf_counter())
            embedded = encoder.finish()
            clock.append(time.perf_counter())
            documents, moved = _counts(scan.tally, staging)
            origin = Origin(order.source.name, scan.adopted, order.spec, complete=not order.partial)
            outcome = self._commit(staging, origin, progress, order.contract.duplicates)
        clock.append(time.perf_counter())
        stages = dict(zip(("read", "embed", "commit"), (b - a for a, b in pairwise(clock)), strict=True))
        return IngestReport(
            collection=self._collection,
            tenant=self._catalog.tenant,
            build=outcome.build,
            release=outcome.release,
            seconds=clock[-1] - clock[0],
            documents=documents,
            chunks=ChunkCounts(outcome.added, outcome.removed, embedded, max(0, outcome.added - embedded)),
            unreadable_by_anyone=scan.tally.unreadable,
            quarantine=tuple(sorted(scan.tally.quarantine, key=lambda entry: entry.uri)),
            warnings=tuple(scan.tally.warnings),
            moved=moved,
            duplicates=outcome.duplicates,
            stages=stages,
        )

    def plan(self, order: Order, *, staging_file: Path, progress: Progress | None = None) -> IngestPlan:
        """Tell what `run` would do and about how long it would take; nothing is kept and nothing is changed.

        Args:
            staging_file: where the dry run writes meanwhile.
        Cost: reads and parses what is new or changed, and embeds a small sample of it to measure the speed.
        """
        started = time.perf_counter()
        with open_staging(self._catalog, staging_file, self._collection, dry=True) as staging:
            estimator = Estimator(self._embedder, staging)
            scan = self._scan(order, staging, estimator, progress or _silent)
            scanned = time.perf_counter() - started
            counts, moved = _counts(scan.tally, staging)
            upcoming = Upcoming(staging, model_id=self._embedder.model_id)
            return estimator.plan(counts, moved, upcoming, scan.tally, scan_seconds=scanned)

    def delete(self, document_ids: Iterable[str], *, afresh: bool = False) -> Outcome:
        """Delete documents with their attachments, by id; ids that are not stored are passed over.

        Args:
            afresh: the new build takes nothing over that another one learned from the rows that go.
        """
        names = list(document_ids)
        with open_staging(self._catalog, staging_path(self._folder), self._collection) as staging:
            with staging.read() as db:
                attached = children(db, self._collection, names)
            staging.drop([*names, *(child.document_id for found in attached.values() for child in found)])
            # what stays is not cut anew, whatever the settings say by now
            return self._commit(staging, None, _silent, Duplicates(), chunker=self._standing_cut(), afresh=afresh)

    def remove_withdrawn(self) -> None:
        """Delete for good what was withdrawn from everybody's reading while others held the collection."""
        if names := withdrawn(self._catalog, self._collection):
            self.delete(names)

    def _scan(self, order: Order, staging: Staging, encoder: Encoder, progress: Progress) -> Scan:
        cutter = Cutter(self._embedder, self._settings)
        stands = self._standing_cut()
        scan = Scan(
            order,
            staging,
            cutter=cutter,
            preparer=Preparer(self._settings, order.contract, staging),
            encoder=encoder,
            progress=progress,
            recut=stands is not None and stands != cutter.name,
            workers=self._settings.parse_workers,
        )
        scan.run()
        return scan

    def _standing_cut(self) -> str | None:
        with self._catalog.read() as db:
            return standing_cut(db, self._collection)

    def _commit(
        self,
        staging: Staging,
        origin: Origin | None,
        progress: Progress,
        duplicates: Duplicates,
        *,
        chunker: str | None = None,
        afresh: bool = False,
    ) -> Outcome:
        return commit(
            self._catalog,
            self._folder,
            staging,
            origin=origin,
            embedder=self._embedder,
            chunker=chunker or Cutter(self._embedder, self._settings).name,
            duplicates=duplicates,
            serving=self._serving,
            progress=progress,
            afresh=afresh,
        )


def _counts(tally: Tally, staging: Staging) -> tuple[DocumentCounts, int]:
    deleted, moved = staging.departures()
    return DocumentCounts(tally.added, tally.updated, tally.unchanged, deleted, len(tally.quarantine)), moved


def _silent(_stage: str, _done: int, _total: int | None) -> None:
    pass
