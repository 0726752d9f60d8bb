"""What goes live, by whose word: gate records, promotion and rollback, each one transaction.

A promotion takes a gate record for exactly this candidate against exactly what is live when it commits. It moves one pointer, so a query
sees the state before or after it, and so does whoever comes after a `kill -9`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from indexes.catalog import Catalog
from indexes.errors import ConfigError, PromotionRefused, ReleaseNotFound
from rag.releases import Release, make_release, put_live, read_live, read_release

if TYPE_CHECKING:
    from sqlalchemy import Connection

VERDICTS = ("PASS", "FAIL", "INCONCLUSIVE")
_LOOKED_BACK = 500
"""Moves among which a rollback looks for other settings; most moves are ingestions under the same ones."""


@dataclass(frozen=True, slots=True)
class GateRecord:
    """How a gate ended: `candidate` against `baseline`, both releases of one collection, on a dataset at one version.

    Args:
        dataset: `name@version`.
        created: ISO 8601; without a zone it is UTC.
        gates, report: digests of what was asked for and of what was found.
    """

    verdict: str
    candidate: str
    baseline: str
    dataset: str
    created: str
    gates: str
    report: str

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> GateRecord:
        """Check a record as the gate writes it; further fields are left out.

        Raises:
            ConfigError: a field is missing or not what it should be, naming it.
        """
        names = cls.__slots__
        if wrong := [name for name in names if not isinstance(record.get(name), str) or not record[name]]:
            raise ConfigError(f"the gate record lacks {', '.join(wrong)}: each is a text that is not empty")
        found = cls(**{name: record[name] for name in names})
        if found.verdict not in VERDICTS:
            raise ConfigError(f"the gate record's verdict is {found.verdict!r}: use {', '.join(VERDICTS)}")
        name, _, version = found.dataset.partition("@")
        if not name or not version:
            raise ConfigError(f"the gate record's dataset is {found.dataset!r}: it must be NAME@VERSION")
        if found.candidate == found.baseline:
            raise ConfigError(f"the gate record compares release {found.candidate} with itself")
        found.time  # noqa: B018 - raises
        return found

    @property
    def time(self) -> datetime:
        """When the gate ended."""
        try:
            at = datetime.fromisoformat(self.created)
        except ValueError:
            raise ConfigError(f"the gate record was created {self.created!r}: write a time as ISO 8601") from None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def to_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Move:
    """One entry of a collection's history: what went live in place of what, how, by whom and why. `kind` is ingest, promote, force or rollback."""

    collection: str
    release: str
    previous: str | None
    kind: str
    at: str
    by: str
    reason: str
    gate: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Announce = Callable[[Move], None]
"""Told of the move inside its transaction, last: what cannot be written down does not happen."""


def record_gate(catalog: Catalog, collection: str, record: Mapping[str, Any]) -> GateRecord:
    """Keep a gate's outcome, whatever it is, and return it.

    Raises:
        ConfigError: it is malformed.
        ReleaseNotFound: candidate or baseline is no release of this collection.
    """
    from sqlalchemy import insert

    from indexes.tables import gate_records

    found = GateRecord.read(record)
    with catalog.write() as db:
        for release_id in (found.candidate, found.baseline):
            read_release(db, collection, release_id)
        db.execute(insert(gate_records), {"collection": collection, **found.to_json()})
    return found


def list_gates(catalog: Catalog, collection: str, *, candidate: str | None = None) -> list[GateRecord]:
    """Return the collection's gate records, or those of one candidate, newest first.

    Raises:
        CollectionNotFound: no such collection.
    """
    catalog.state(collection)
    with catalog.read() as db:
        return _gates(db, collection, candidate)


def history(catalog: Catalog, collection: str) -> list[Move]:
    """Return what went live when, newest first.

    Raises:
        CollectionNotFound: no such collection.
    """
    catalog.state(collection)
    with catalog.read() as db:
        return _history(db, collection)


def promote(
    catalog: Catalog,
    collection: str,
    release_id: str,
    *,
    by: str,
    max_age: timedelta,
    dataset: str | None = None,
    force: str | None = None,
    announce: Announce = lambda _: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Move | None:
    """Let the collection serve the release; None where it does already.

    Args:
        max_age: a gate record that is older counts for nothing.
        dataset: `NAME@VERSION`; only the record on it counts. None: on each dataset the newest one must be a PASS.
        force: why it goes live without a gate. Whether who asks may say so is the caller's to check.
    Raises:
        PromotionRefused: nothing lets it; the message says what is missing.
        ReleaseNotFound: no release of this collection.
    """
    with catalog.write() as db:
        candidate, live = read_release(db, collection, release_id), read_live(db, collection)
        if live is None:
            raise PromotionRefused(f"collection {collection!r} serves nothing yet; its first ingestion did not end")
        if candidate.id == live.id:
            return None
        _check_build(candidate, live)
        gate = None if force is not None else _passed(db, candidate, live, max_age, dataset, clock())
        kind = "promote" if gate is not None else "force"
        return _move(db, live, candidate.id, kind, by, force or "", gate, announce)


def rollback(
    catalog: Catalog,
    collection: str,
    *,
    by: str,
    reason: str,
    to: str | None = None,
    announce: Announce = lambda _: None,
) -> Move:
    """Let the collection serve again what it served before the last change of settings. Documents stay as they are now.

    Where the build to go back to differs from the live one in its documents alone, the live build is served under the older settings.

    Args:
        to: a release that was live once; default the last one of other settings than the live one's.
    Raises:
        PromotionRefused: there is none, or its build is cut or embedded in another way and of documents that have changed since.
        ReleaseNotFound: `to` was never live here.
    """
    with catalog.write() as db:
        live = read_live(db, collection)
        if live is None:
            raise PromotionRefused(f"collection {collection!r} serves nothing yet; its first ingestion did not end")
        target = _target(db, live, to)
        if target.config == live.config:
            release_id = make_release(db, collection, live.build, target.settings)
        else:
            _check_build(target, live)
            release_id = target.id
        return _move(db, live, release_id, "rollback", by, reason, None, announce)


def _move(
    db: Connection,
    live: Release,
    release_id: str,
    kind: str,
    by: str,
    reason: str,
    gate: GateRecord | None,
    announce: Announce,
) -> Move:
    from sqlalchemy import update

    from indexes.tables import releases

    record = None if gate is None else gate.to_json()
    put_live(db, live.collection, release_id, kind=kind, by=by, reason=reason, gate=record)
    if record is not None:
        of_release = (releases.c.collection == live.collection) & (releases.c.release_id == release_id)
        db.execute(update(releases).where(of_release).values(gate=record))
    [move] = _history(db, live.collection, limit=1)
    announce(move)
    return move


def _check_build(candidate: Release, live: Release) -> None:
    """Raise PromotionRefused where the build is not of the present documents, or not kept any more."""
    if candidate.build != live.build and (
        candidate.gone or candidate.corpus is None or candidate.corpus != live.corpus
    ):
        raise PromotionRefused(
            f"release {candidate.id} is of documents that have changed since: it would bring back an older state of them. Run: "
            f"loremill release create --collection {live.collection} --from {candidate.id}, then gate and promote what that makes"
        )


def _passed(
    db: Connection, candidate: Release, live: Release, max_age: timedelta, dataset: str | None, now: datetime
) -> GateRecord:
    """Return the newest gate record that lets the candidate take the place of what is live."""
    records = _gates(db, candidate.collection, candidate.id)
    against = [one for one in records if one.baseline == live.id and dataset in (None, one.dataset)]
    gate = f"run: loremill eval gate --candidate {candidate.id} --baseline live"
    if not against:
        others = sorted({one.baseline for one in records})
        why = f"those there are compare it with {', '.join(others)}, and {live.id} is live now" if others else gate
        on = f" on {dataset}" if dataset else ""
        raise PromotionRefused(f"no gate record{on} compares release {candidate.id} with the live {live.id}; {why}")
    newest = list({one.dataset: one for one in reversed(against)}.values())
    for one in newest:
        if one.verdict != "PASS":
            raise PromotionRefused(
                f"the gate of {candidate.id} against {live.id} on {one.dataset} ended in {one.verdict}"
            )
    fresh = [one for one in newest if now - max_age <= one.time <= now + timedelta(minutes=5)]
    if not fresh:
        raise PromotionRefused(
            f"the gate of {candidate.id} against {live.id} is not of the last {max_age.total_seconds() / 3600:g} hours; {gate}"
        )
    return max(fresh, key=lambda one: one.time)


def _target(db: Connection, live: Release, to: str | None) -> Release:
    if to is not None:
        if to not in {name for move in _history(db, live.collection) for name in (move.release, move.previous)}:
            raise ReleaseNotFound(
                f"release {to!r} was never live in collection {live.collection!r}; see: loremill release history"
            )
        target = read_release(db, live.collection, to)
        if _alike(target, live):
            raise PromotionRefused(
                f"release {to} differs from the live {live.id} in its documents at most, and those are not rolled back"
            )
        return target
    moves = _history(db, live.collection, limit=_LOOKED_BACK)
    for name in dict.fromkeys(move.previous for move in moves if move.previous is not None):
        target = read_release(db, live.collection, name)
        if not _alike(target, live):
            return target
    raise PromotionRefused(
        f"collection {live.collection!r} was never served under other settings: there is nothing to go back to"
    )


def _alike(one: Release, other: Release) -> bool:
    return one.config == other.config and one.settings.same(other.settings)


def _gates(db: Connection, collection: str, candidate: str | None) -> list[GateRecord]:
    from sqlalchemy import select

    from indexes.tables import gate_records

    columns = [gate_records.c[name] for name in GateRecord.__slots__]
    query = select(*columns).where(gate_records.c.collection == collection).order_by(gate_records.c.seq.desc())
    if candidate is not None:
        query = query.where(gate_records.c.candidate == candidate)
    return [GateRecord(*row) for row in db.execute(query)]


def _history(db: Connection, collection: str, *, limit: int | None = None) -> list[Move]:
    from sqlalchemy import select

    from indexes.tables import release_history as table

    columns = [table.c[name] for name in ("release_id", "previous", "kind", "at", "by", "reason", "gate")]
    query = select(*columns).where(table.c.collection == collection).order_by(table.c.seq.desc()).limit(limit)
    return [Move(collection, *row) for row in db.execute(query)]
