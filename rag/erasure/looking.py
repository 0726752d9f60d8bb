"""Whether a receipt is true: what of that which it speaks of is still there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from rag.erasure.storage import storage_of
from rag.erasure.target import Eraser, Target
from rag.lore.items import Receipt
from rag.raw_files import RawScan, Sighting, scan
from rag.receipts import IN_MEMORY, LONG, fingerprints_of, of_texts, row_name

if TYPE_CHECKING:
    from indexes.catalog import Catalog
    from rag.fingerprints import Fingerprinter


def look(home: Path, receipt: Receipt, catalog: Catalog | None, erasers: Sequence[Eraser] = ()) -> RawScan:
    """Look for a receipt's fingerprints in every file of the home that may hold the tenant's, and in the tenant's database.

    Args:
        catalog: the tenant's; None if there is none any more.
        erasers: the tenant's. They know what else there is, where a receipt was given without a look at that: `forget` must be quick.
            What is in the same words there was never meant, be it somebody else's, or said again since.
    """
    fingerprinter = fingerprints_of(home, receipt.salt)
    seen = scan(home, receipt.tenant, fingerprinter, receipt.digests)
    if catalog is None:
        return seen
    seen += storage_of(catalog).scan(fingerprinter.finder(of_texts(receipt.digests)))
    rows = [each.removeprefix(IN_MEMORY) for each in receipt.digests if each.startswith(IN_MEMORY)]
    if not rows:
        return seen
    staying = _staying(seen, fingerprinter, receipt.tenant, erasers)
    found = tuple(each for each in seen.found if each.digest not in staying)
    left = fingerprinter.finder(rows).in_texts(_memory_rows(catalog))
    return replace(seen, found=(*(Sighting("catalog", "table memory_items", each) for each in sorted(left)), *found))


def _staying(seen: RawScan, fingerprinter: Fingerprinter, tenant: str, erasers: Sequence[Eraser]) -> set[str]:
    """Return the fingerprints that a receipt of an erasure would not have had, by what is kept now."""
    finder = fingerprinter.finder(sorted({each.digest for each in seen.found}))
    nothing = Target(tenant)
    kept = finder.in_texts(chain.from_iterable(eraser.kept(nothing) for eraser in erasers))
    others = finder.in_texts(chain.from_iterable(eraser.others(nothing) for eraser in erasers))
    return kept | {each for each in others if not each.startswith(LONG)}


def _memory_rows(catalog: Catalog) -> Iterator[str]:
    from sqlalchemy import select

    from indexes.tables import memory_items

    with catalog.read() as db:
        for seq in db.execution_options(yield_per=10_000).execute(select(memory_items.c.seq)).scalars():
            yield row_name(seq)
