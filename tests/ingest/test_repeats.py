"""Near-duplicates are found by the index, settled by signatures, and told of each family's first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from indexes.catalog import Catalog
from indexes.tables import bands, signatures
from ingest.duplicates import signature
from ingest.repeats import band_keys, near_duplicates

TEXT = " ".join(f"word{number}" for number in range(200))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.open(tmp_path / "catalog.db", tenant="t")
    yield catalog
    catalog.close()


def found(catalog: Catalog, texts: dict[str, str], threshold: float = 0.8) -> dict[str, tuple[str, float]]:
    with catalog.write() as db:
        for name, text in texts.items():
            marked = signature(text)
            where = {"collection": "c", "document_id": name}
            db.execute(insert(signatures), where | {"signature": marked})
            db.execute(insert(bands), [where | {"band": band} for band in band_keys(marked, threshold=threshold)])
    with catalog.read() as db:
        return {name: (of, score) for name, of, score in near_duplicates(db, "c", threshold=threshold)}


def test_copies_and_slightly_changed_texts_repeat_the_first_by_id(catalog: Catalog) -> None:
    changed = TEXT.replace("word50 ", "other ")
    repeats = found(catalog, {"b": TEXT, "a": TEXT, "c": changed, "d": "Something else altogether, of no length."})
    assert {name: of for name, (of, _) in repeats.items()} == {"b": "a", "c": "a"}
    assert repeats["b"][1] == 1.0
    assert 0.8 <= repeats["c"][1] < 1.0


def test_texts_below_the_threshold_do_not_repeat_each_other(catalog: Catalog) -> None:
    half = " ".join(f"word{number}" if number < 100 else f"else{number}" for number in range(200))
    assert found(catalog, {"a": TEXT, "b": half}) == {}


def test_a_large_family_is_settled_in_linear_work(catalog: Catalog) -> None:
    assert len(found(catalog, {f"{number:03}": TEXT for number in range(300)})) == 299


def test_bands_of_different_places_and_thresholds_never_meet() -> None:
    marked = signature(TEXT)
    keys = band_keys(marked, threshold=0.8)
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(band_keys(marked, threshold=0.9))
