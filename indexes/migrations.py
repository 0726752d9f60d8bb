"""Brings a catalog that an earlier version wrote up to the present tables. Every step only adds, inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.errors import IndexBackendError

if TYPE_CHECKING:
    from sqlalchemy import Connection

OLDEST = 1


def migrate(db: Connection, *, found: str | None, place: str) -> None:
    """Add what schema `found` lacks; nothing is read again before the next ingestion, nothing is embedded again ever.

    Raises:
        IndexBackendError: the catalog was written by a later version, or by none.
    """
    from sqlalchemy import update

    from indexes import tables

    if found is None or not found.isdigit() or not OLDEST <= int(found) <= tables.SCHEMA_VERSION:
        raise IndexBackendError(
            f"{place} has catalog schema {found}, this version reads {tables.SCHEMA_VERSION}: "
            "use the version that wrote it, or ingest into a new home"
        )
    _add_missing(db)
    db.exec_driver_sql(
        "INSERT INTO text_uses (text_hash, collection, document_id)"
        " SELECT DISTINCT embed_hash, collection, document_id FROM chunks WHERE true ON CONFLICT DO NOTHING"
    )
    db.exec_driver_sql(
        "INSERT INTO rights (collection, document_id, path, source_class, class_id, epoch)"
        " SELECT collection, document_id, path, class_id, class_id, 0 FROM documents WHERE true"
        " ON CONFLICT DO NOTHING"
    )
    _note_what_is_live(db)
    if int(found) < 5:
        _list_past_gates(db)
    db.execute(update(tables.state).where(tables.state.c.key == "schema").values(value=str(tables.SCHEMA_VERSION)))


def _note_what_is_live(db: Connection) -> None:
    """Begin the history of releases, and say how the stored chunks are cut, where schema 3 or earlier says neither."""
    from sqlalchemy import exists, insert, select, update

    from indexes.tables import builds, collections, release_history, releases

    of_live = (releases.c.collection == collections.c.name) & (releases.c.release_id == collections.c.live)
    of_build = (builds.c.collection == collections.c.name) & (builds.c.build_id == releases.c.build_id)
    known = exists().where(release_history.c.collection == collections.c.name)
    query = select(collections.c.name, releases.c.release_id, releases.c.created, builds.c.manifest)
    joined = collections.join(releases, of_live).join(builds, of_build)
    for row in db.execute(query.select_from(joined).where(~known)).all():
        first = {"collection": row.name, "release_id": row.release_id, "kind": "ingest", "at": row.created}
        db.execute(insert(release_history), first | {"by": "", "reason": ""})
        cut = row.manifest["config"]["chunker"]
        db.execute(
            update(collections).where(collections.c.name == row.name, collections.c.cut.is_(None)).values(cut=cut)
        )


def _list_past_gates(db: Connection) -> None:
    """List gates held under schema 4 or earlier among the evaluations; their reports are where `--out` said."""
    from sqlalchemy import insert, select

    from indexes.tables import evaluations, gate_records

    for row in db.execute(select(gate_records).order_by(gate_records.c.seq)).all():
        asked = {"candidate": row.candidate, "baseline": row.baseline, "dataset": row.dataset}
        held = {"id": f"gate-{row.seq}", "kind": "gate", "collection": row.collection, "subject": "operator"}
        ended = {"status": "done", "created": row.created, "ended": row.created}
        db.execute(insert(evaluations), held | ended | {"asked": asked, "summary": asked | {"verdict": row.verdict}})


def _add_missing(db: Connection) -> None:
    """Create the tables, columns and indexes that are not there."""
    from sqlalchemy import inspect
    from sqlalchemy.schema import CreateIndex

    from indexes import tables

    tables.metadata.create_all(db)
    inspector = inspect(db)
    for table in tables.metadata.sorted_tables:
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                kind = column.type.compile(db.dialect)
                default = "" if column.nullable else " NOT NULL DEFAULT ''"
                db.exec_driver_sql(f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}{default}')
        for index in table.indexes:
            db.execute(CreateIndex(index, if_not_exists=True))
