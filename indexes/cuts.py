"""One collection cut in several ways: `chunks` holds the way of what ingestion serves, `cut_chunks` those of other releases.

So a candidate with other chunks can be searched beside the live release, and either becomes live by moving one pointer. Rights and
forgetting go by document, so both tables follow the same rows of `rights`, and a document that goes takes all its chunks along.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from indexes.dialects import insert_new, insert_or_replace

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def standing_cut(db: Connection, collection: str) -> str | None:
    """Return how the texts in `chunks` are cut, None before the first ingestion."""
    from sqlalchemy import select

    from indexes.tables import collections

    found: str | None = db.execute(select(collections.c.cut).where(collections.c.name == collection)).scalar()
    return found


def other_cut(db: Connection, collection: str) -> str | None:
    """Return how the live release cuts the texts, where that is another way than stands in `chunks`; else None."""
    from sqlalchemy import select

    from indexes.tables import builds, collections, releases

    of_live = (releases.c.collection == collections.c.name) & (releases.c.release_id == collections.c.live)
    of_build = (builds.c.collection == collections.c.name) & (builds.c.build_id == releases.c.build_id)
    query = select(collections.c.cut, builds.c.manifest).where(collections.c.name == collection)
    row = db.execute(query.select_from(collections.join(releases, of_live).join(builds, of_build))).first()
    cut: str | None = None if row is None else row.manifest["config"]["chunker"]
    return None if row is None or row.cut in (None, cut) else cut


def keep_cut(db: Connection, collection: str, cut: str) -> None:
    """Before all texts are cut in another way: keep the chunks of those whose text stays, for a release that may come back."""
    from sqlalchemy import delete, select

    from indexes.tables import chunks, cut_chunks, staged_gone

    before = standing_cut(db, collection)
    if before == cut:
        return
    if before is not None:
        stays = select(staged_gone.c.document_id).where(staged_gone.c.same_text)
        _move(db, chunks, cut_chunks, collection, before, chunks.c.document_id.in_(stays))
    db.execute(delete(cut_chunks).where(cut_chunks.c.collection == collection, cut_chunks.c.cut == cut))
    _stand(db, collection, cut)


def keep_candidate(db: Connection, collection: str, cut: str) -> None:
    """Move what was staged, a whole collection cut in another way, beside the chunks that stand, with its texts' uses."""
    from sqlalchemy import delete, insert, literal, select, true

    from indexes import tables as t

    db.execute(delete(t.cut_chunks).where(t.cut_chunks.c.collection == collection, t.cut_chunks.c.cut == cut))
    names = [c.name for c in t.staged_chunks.c]
    db.execute(insert(t.cut_chunks).from_select(["cut", *names], select(literal(cut), *t.staged_chunks.c)))
    uses = select(*t.staged_text_uses.c).where(true())
    db.execute(insert_new(db, t.text_uses).from_select([c.name for c in t.text_uses.c], uses))


def stand(db: Connection, collection: str, cut: str) -> None:
    """Let the chunks of the live release stand in `chunks`, where a promotion left others there. Nothing that is served changes."""
    from sqlalchemy import delete, insert, select, true

    from indexes.tables import chunks, cut_chunks

    before = standing_cut(db, collection)
    if before is None or before == cut:
        return
    _move(db, chunks, cut_chunks, collection, before, true())
    db.execute(delete(chunks).where(chunks.c.collection == collection))
    here = (cut_chunks.c.collection == collection) & (cut_chunks.c.cut == cut)
    names = [c.name for c in chunks.c]
    db.execute(insert(chunks).from_select(names, select(*(cut_chunks.c[name] for name in names)).where(here)))
    db.execute(delete(cut_chunks).where(here))
    _stand(db, collection, cut)


def forget_cuts(db: Connection, collection: str, *, kept: Collection[str]) -> None:
    """Remove the chunks of cuts that no kept build has."""
    from sqlalchemy import delete

    from indexes.tables import cut_chunks

    db.execute(delete(cut_chunks).where(cut_chunks.c.collection == collection, cut_chunks.c.cut.not_in(list(kept))))


def _move(db: Connection, source: Table, target: Table, collection: str, cut: str, wanted: Any) -> None:
    from sqlalchemy import literal, select

    rows = select(literal(cut), *source.c).where(source.c.collection == collection, wanted)
    names = ["cut", *(c.name for c in source.c)]
    db.execute(insert_or_replace(db, target).from_select(names, rows))


def _stand(db: Connection, collection: str, cut: str) -> None:
    from sqlalchemy import update

    from indexes.tables import collections

    db.execute(update(collections).where(collections.c.name == collection).values(cut=cut))
