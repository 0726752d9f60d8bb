"""The filtered-search engine where it is approximate: recall, filters, ties and derived indexes. The contract has what is exact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eval.bench.filtered.world import Rights, World, access, clustered_world
from indexes import coded_rows, faiss, kernels
from indexes.access import UNREADABLE
from indexes.arrays import Float32Matrix
from indexes.errors import BuildCorrupt
from indexes.faiss import FaissBackend, FaissIndex
from indexes.vectors import Base, Found, VectorOptions

ROWS, DIM = 24_000, 32
EVERYBODY = access(list(range(1000)))


@pytest.fixture(autouse=True)
def few_rows_count_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that each plan has its turn on a small index."""
    monkeypatch.setattr(faiss, "CODED_FROM", 5000)
    monkeypatch.setattr(faiss, "EXACT_ROWS", 200)
    monkeypatch.setattr(coded_rows, "TOPICS_COST", 4000)


@pytest.fixture(scope="module")
def world() -> World:
    return clustered_world(ROWS, dim=DIM, n_queries=1500)


Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    def build_(rows: Float32Matrix, classes: np.ndarray, base: Base | None = None) -> Path:
        path = tmp_path_factory.mktemp("index") / "vectors.index"
        before, faiss.CODED_FROM = faiss.CODED_FROM, 5000
        FaissBackend(VectorOptions()).build([rows[:7], rows[7:]], rows.shape[1], path, classes=classes, base=base)
        faiss.CODED_FROM = before
        return path

    return build_


def opened(path: Path, classes: np.ndarray) -> FaissIndex:
    index = FaissBackend(VectorOptions()).open(path)
    index.assign_classes(classes)
    return index


@pytest.fixture(scope="module")
def indexes(world: World, build: Build) -> dict[Rights, FaissIndex]:
    made = {
        rights: opened(build(world.rows, world.classes(rights)), world.classes(rights)) for rights in list(Rights)[:2]
    }
    return made | {Rights.NEGATIVE: made[Rights.POSITIVE]}


def recalls(found: list[Found], true: list[Found]) -> list[float]:
    for one, other in zip(found, true, strict=True):
        assert len(one.rows) == len(other.rows), "fewer rows than are readable"
        assert one.plan.readable == other.plan.readable
    return [len(np.intersect1d(one.rows, other.rows)) / len(other.rows) for one, other in zip(found, true, strict=True)]


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("rights", Rights)
def test_filters_cost_no_recall(
    world: World, indexes: dict[Rights, FaissIndex], rights: Rights, share: float, filtered: bool
) -> None:
    index, measured = indexes[rights], []
    for person in world.asked(rights, share, people=3, each=20, filtered=filtered):
        wanted = {"top_k": 10, "access": person.access, "where": person.where}
        found = index.search(person.queries, **wanted)
        measured += recalls(found, index.exact(person.queries, **wanted))
        passing = person.access.mask(world.classes(rights)) & (True if person.where is None else person.where)
        assert all(passing[one.rows].all() for one in found)
    assert np.mean(measured) >= 0.99
    assert np.quantile(measured, 0.05) >= 0.9


def test_each_plan_has_its_turn(world: World, indexes: dict[Rights, FaissIndex]) -> None:
    index = indexes[Rights.UNCORRELATED]
    plans = [
        index.search(world.queries[:1], top_k=10, access=access(list(range(classes))))[0].plan
        for classes in (0, 5, 100, 1000)
    ]
    assert [plan.name for plan in plans] == ["none", "exact", "scan", "topics"]
    assert [plan.readable for plan in plans][::3] == [0, ROWS]
    assert plans[3].scanned < ROWS / 4, "near lists are enough for an easy query"


def test_a_query_gets_the_same_rows_alone_and_among_others(world: World, indexes: dict[Rights, FaissIndex]) -> None:
    index = indexes[Rights.POSITIVE]
    for person in world.asked(Rights.POSITIVE, 0.3, people=2, each=16):
        together = index.search(person.queries, top_k=10, access=person.access)
        alone = [index.search(query[None], top_k=10, access=person.access)[0] for query in person.queries]
        assert [one.rows.tolist() for one in together] == [one.rows.tolist() for one in alone]


def test_scores_are_exact_and_descend_with_ties_by_row(world: World, indexes: dict[Rights, FaissIndex]) -> None:
    found = indexes[Rights.UNCORRELATED].search(world.queries[:20], top_k=100, access=EVERYBODY)
    for query, one in zip(world.queries, found, strict=False):
        np.testing.assert_allclose(one.scores, world.rows[one.rows] @ query, atol=1e-5)
        assert np.lexsort((one.rows, -one.scores)).tolist() == list(range(100))


def test_more_equal_rows_than_candidates_come_by_ascending_row(world: World, build: Build) -> None:
    rows = world.rows.copy()
    twins = np.random.default_rng(1).choice(ROWS, 6000, replace=False)
    rows[twins] = rows[0]
    classes = np.ones(ROWS, np.int32)
    index = opened(build(rows, classes), classes)
    for top_k in (1, 10, 300):
        (found,) = index.search(rows[:1], top_k=top_k, access=access([1]))
        assert found.rows.tolist() == sorted({0, *twins.tolist()})[:top_k]


def test_rights_that_moved_since_the_build_cost_no_recall(world: World, build: Build) -> None:
    """The layout is by the classes of the build; what may be read is by those of now."""
    index = opened(build(world.rows, world.by_topic), world.scattered)
    for person in world.asked(Rights.UNCORRELATED, 0.1, people=3, each=20):
        found = index.search(person.queries, top_k=10, access=person.access)
        assert np.mean(recalls(found, index.exact(person.queries, top_k=10, access=person.access))) >= 0.99
    index.assign_classes(np.full(ROWS, UNREADABLE, np.int32))
    assert len(index.search(world.queries[:1], top_k=10, access=EVERYBODY)[0].rows) == 0


def derived(path: Path, keep: np.ndarray, new: int) -> Base:
    """The base of an index that has the rows `keep` of another one, and `new` more."""
    return Base(path, np.concatenate([keep, np.full(new, -1)]).astype(np.int64))


def test_a_derived_index_finds_what_one_made_from_nothing_finds(world: World, build: Build) -> None:
    first, classes = world.rows[:16_000], world.scattered
    path = build(first, classes[:16_000])
    keep = np.sort(np.random.default_rng(2).permutation(16_000)[:10_000])
    rows = np.concatenate([first[keep], world.rows[16_000:22_000]])
    of_rows = np.concatenate([classes[keep], classes[16_000:22_000]])
    made = build(rows, of_rows, derived(path, keep, 6000))
    assert (made / "codebook.npy").read_bytes() == (path / "codebook.npy").read_bytes(), "it was trained anew"
    index = opened(made, of_rows)
    for share in (0.05, 0.3, 1.0):
        for person in world.asked(Rights.UNCORRELATED, share, people=2, each=30):
            found = index.search(person.queries, top_k=10, access=person.access)
            truth = index.exact(person.queries, top_k=10, access=person.access)
            assert np.mean(recalls(found, truth)) >= 0.99
            np.testing.assert_allclose(found[0].scores, rows[found[0].rows] @ person.queries[0], atol=1e-5)


def test_a_row_that_changed_under_its_name_is_coded_anew(world: World, build: Build) -> None:
    rows, classes = world.rows[:8000], world.scattered[:8000]
    path = build(rows, classes)
    changed = rows.copy()
    changed[:50] = world.rows[-50:]
    made = build(changed, classes, derived(path, np.arange(8000), 0))
    (found,) = opened(made, classes).search(changed[:1], top_k=1, access=EVERYBODY)
    assert found.rows.tolist() == [0]
    position = int(np.flatnonzero(np.load(made / "row_of.npy") == 0)[0])
    assert not np.array_equal(np.load(made / "codes.npy")[position], np.load(path / "codes.npy")[position])


def test_an_index_that_has_grown_too_much_learns_anew(world: World, build: Build) -> None:
    path = build(world.rows[:8000], world.scattered[:8000])
    added = json.loads((path / "header.json").read_text())["learning"]
    assert added == {"rows": 8000, "added": 0}
    grown = build(world.rows, world.scattered, derived(path, np.arange(8000), ROWS - 8000))
    assert json.loads((grown / "header.json").read_text())["learning"] == {"rows": ROWS, "added": 0}
    assert len(np.load(grown / "centroids.npy")) > len(np.load(path / "centroids.npy"))


@pytest.mark.parametrize(
    "name",
    [
        "codes",
        "topic_codes",
        "codebook",
        "topic_codebook",
        "class_list_of",
        "topic_of",
        "centroids",
        "spread",
        "tail",
        "row_of",
    ],
)
def test_a_damaged_array_is_a_corrupt_build_and_no_base(world: World, build: Build, name: str) -> None:
    rows, classes = world.rows[:6000], world.scattered[:6000]
    path = build(rows, classes)
    whole = (path / f"{name}.npy").read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 4000):
        (path / f"{name}.npy").write_bytes(damaged)
        with pytest.raises(BuildCorrupt, match="--full"):
            FaissBackend(VectorOptions()).open(path)
    made = build(rows, classes, derived(path, np.arange(6000), 0))
    assert json.loads((made / "header.json").read_text())["learning"]["added"] == 0
    opened(made, classes)


def test_a_flat_file_of_an_earlier_version_is_searched(world: World, tmp_path: Path) -> None:
    native = faiss.faiss_module()
    flat = native.IndexFlatIP(DIM)
    flat.add(world.rows[:500])
    native.write_index(flat, str(tmp_path / "vectors.index"))
    index = opened(tmp_path / "vectors.index", world.scattered[:500])
    (found,) = index.search(world.rows[3:4], top_k=1, access=EVERYBODY)
    assert found.rows.tolist() == [3]


def test_without_a_compiler_the_same_rows_are_found(
    world: World, indexes: dict[Rights, FaissIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels.compiled is None:
        pytest.skip("no C compiler was there when Loremill was installed")
    people = list(world.asked(Rights.NEGATIVE, 0.3, people=2, each=20)) + list(
        world.asked(Rights.POSITIVE, 1.0, people=1, each=20)
    )
    index = indexes[Rights.POSITIVE]
    found = [index.search(person.queries, top_k=10, access=person.access) for person in people]
    monkeypatch.setattr(kernels, "compiled", None)
    for person, compiled in zip(people, found, strict=True):
        for one, other in zip(index.search(person.queries, top_k=10, access=person.access), compiled, strict=True):
            np.testing.assert_array_equal(one.rows, other.rows)


def test_a_batch_finds_what_is_there_as_single_queries_do(world: World, indexes: dict[Rights, FaissIndex]) -> None:
    measured = []
    for rights in Rights:
        for share in (0.005, 0.05, 0.3, 1.0):
            for person in world.asked(rights, share, people=1, each=40):
                asked = {"top_k": 10, "access": person.access}
                found, true = (
                    indexes[rights].search(person.queries, **asked),
                    indexes[rights].exact(person.queries, **asked),
                )
                measured += recalls(found, true)
                for one, other in zip(found, true, strict=True):
                    shared = np.isin(one.rows, other.rows)
                    np.testing.assert_allclose(
                        one.scores[shared], other.scores[np.isin(other.rows, one.rows)], atol=1e-6
                    )
    assert np.mean(measured) >= 0.99
    assert min(measured) >= 0.8


def test_a_mask_asked_again_is_not_taken_for_another(world: World, indexes: dict[Rights, FaissIndex]) -> None:
    """The rows of a mask are kept by the array; a new array, even where the old one lay in memory, is looked at anew."""
    index, query = indexes[Rights.POSITIVE], world.queries[:1]
    for row in range(50):
        mask = np.zeros(ROWS, bool)
        mask[row] = True
        for _ in range(2):
            assert index.search(query, top_k=10, access=EVERYBODY, where=mask)[0].rows.tolist() == [row]
