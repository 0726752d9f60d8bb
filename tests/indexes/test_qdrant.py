"""Qdrant over the wire: builds behind aliases, retries, removal, and rights that no payload can make stale."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexes import qdrant_store
from indexes.access import UNREADABLE
from indexes.builds import remove_build
from indexes.errors import BuildCorrupt, ConfigError, IndexBackendError
from indexes.lexical import LexicalRow
from indexes.lexical_backends import lexical_backend
from indexes.qdrant_filter import Layout
from indexes.qdrant_pointer import Pointer
from indexes.vectors import VectorBackend, VectorOptions, vector_backend
from tests.indexes import vector_contract as contract
from tests.indexes.qdrant_wire import Wire, running_wire
from tests.indexes.vector_contract import ALL, QUERIES, ROW_CLASSES, VECTORS, Bench, access, check_same, exact

pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    monkeypatch.setattr(qdrant_store, "_FIRST_WAIT_S", 0.001)
    with running_wire() as wire:
        yield wire


@pytest.fixture
def backend(wire: Wire) -> VectorBackend:
    return vector_backend("qdrant", VectorOptions(qdrant_url=wire.url))


@pytest.fixture
def bench(backend: VectorBackend, tmp_path: Path) -> Bench:
    return Bench(backend, tmp_path)


@pytest.mark.parametrize(
    "clause",
    [contract.some_classes_are_searched_exactly, contract.a_tie_at_the_border_is_cut_by_row, contract.where_is_anded_with_access,
     contract.rights_move_without_a_rebuild, contract.two_openings_hold_rights_of_their_own, contract.an_empty_index_finds_nothing,
     contract.a_build_may_be_renamed_once_it_is_written, contract.scores_are_the_inner_products, contract.a_torn_file_is_a_corrupt_build],
    ids=lambda clause: clause.__name__,
)  # fmt: skip
def test_the_contract_holds_over_the_wire(bench: Bench, clause: contract.Clause) -> None:
    clause(bench)


def test_the_filter_is_part_of_the_query(bench: Bench, wire: Wire) -> None:
    """What may not be read is not even among the candidates."""
    bench.standard().search(QUERIES, top_k=5, access=access(2, 3))
    (body,) = [body for _, action, body in wire.seen if action == "points/query/batch"]
    assert {json.dumps(search["filter"]["must"]) for search in body["searches"]} == {
        '[{"key": "acl", "match": {"any": [2, 3]}}]'
    }
    assert all(search["params"]["exact"] for search in body["searches"])


def test_a_moved_class_names_no_row_and_moved_rows_are_named(bench: Bench, wire: Wire) -> None:
    swapped = np.where(ROW_CLASSES == 1, 9, ROW_CLASSES).astype(np.int32)
    swapped[5], swapped[ROW_CLASSES.tolist().index(2)] = 9, UNREADABLE
    bench.standard(swapped).search(QUERIES[:1], top_k=5, access=access(2, 9))
    (body,) = [body for _, action, body in wire.seen if action == "points/query/batch"]
    text = json.dumps(body["searches"][0]["filter"])
    assert ROW_CLASSES[5] != 1
    assert '"any": [1, 2]' in text
    assert '"has_id": [5]' in text
    assert f'"has_id": [{ROW_CLASSES.tolist().index(2)}]' in text


def test_no_right_is_ever_written_to_the_server(bench: Bench, wire: Wire) -> None:
    """So that no process can make another's stale."""
    index = bench.standard()
    wire.seen.clear()
    index.assign_classes(ROW_CLASSES[::-1].copy())
    index.search(QUERIES, top_k=5, access=access(1))
    assert {action for _, action, _ in wire.seen} <= {"points", "points/query/batch"}


def test_a_server_that_answers_with_what_may_not_be_read_opens_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every candidate is checked once more, and what was dropped is made up for by asking deeper."""
    index = bench.standard()
    monkeypatch.setattr("indexes.qdrant_engine.point_filter", lambda _: None)
    for readable in [(8,), (1,), (2, 3)]:
        mask = np.isin(ROW_CLASSES, readable)
        check_same(index.search(QUERIES, top_k=10, access=access(*readable)), exact(QUERIES, mask, 10))


def test_the_alias_comes_last(bench: Bench, wire: Wire) -> None:
    pointer = json.loads(bench.path.read_text())
    assert wire.aliases() == [pointer["name"]]
    assert wire.names() == [pointer["name"] + "-rows"]
    order = [action for _, action, _ in wire.seen]
    assert order.index("aliases") > max(at for at, action in enumerate(order) if action in {"index", "points"})
    assert order[order.index("aliases") - 1] == "points/count", "they are counted first"


def test_a_build_that_was_not_finished_is_not_opened_and_can_be_removed(
    backend: VectorBackend, wire: Wire, tmp_path: Path
) -> None:
    """As after a kill: the pointer is there before any row is."""

    def torn() -> Iterator[np.ndarray]:
        yield VECTORS[:100]
        raise SystemExit

    path = tmp_path / "vectors.index"
    forgive = qdrant_store._forgive
    qdrant_store._forgive = lambda act: None  # killed: no cleaning up
    try:
        with pytest.raises(SystemExit):
            backend.build(torn(), VECTORS.shape[1], path, classes=ROW_CLASSES)
    finally:
        qdrant_store._forgive = forgive
    assert (len(wire.names()), wire.aliases()) == (1, [])
    with pytest.raises(BuildCorrupt, match="--full"):
        backend.open(path)
    assert remove_build(tmp_path, VectorOptions(qdrant_url=wire.url))
    assert wire.names() == []


def test_a_build_that_fails_leaves_nothing_on_the_server(backend: VectorBackend, wire: Wire, tmp_path: Path) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield VECTORS[:100]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        backend.build(failing(), VECTORS.shape[1], tmp_path / "vectors.index", classes=ROW_CLASSES)
    assert wire.names() == []


def test_removing_a_build_removes_its_collection_and_its_alias(bench: Bench, wire: Wire) -> None:
    options = VectorOptions(qdrant_url=wire.url)
    kept = bench.build(VECTORS[:5], ROW_CLASSES[:5])
    folder = bench.path.parent
    assert remove_build(folder, options)
    assert not folder.exists()
    assert wire.aliases() == [json.loads(kept.read_text())["name"]]
    assert remove_build(folder, options), "removing what is gone is no fault"


def test_a_server_that_is_down_keeps_the_folder_so_that_the_rows_are_found_again(tmp_path: Path) -> None:
    Pointer("qdrant", "loremill-x", 4, url="http://127.0.0.1:9").write(tmp_path / "vectors.index")
    assert not remove_build(tmp_path)
    assert (tmp_path / "vectors.index").exists()


@pytest.mark.parametrize("fault", ["drop", "lose", "503", "429"])
def test_each_request_survives_a_connection_that_fails_twice(bench: Bench, wire: Wire, fault: str) -> None:
    """Building, opening and searching, whichever request it hits, and whether or not the server had done what was asked."""
    bench.standard().search(QUERIES[:2], top_k=5, access=access(1))
    requests = len(wire.seen)
    for hit in range(requests):
        wire.faults.extend([""] * hit + [fault, fault])
        index = bench.open(bench.build(VECTORS, ROW_CLASSES), ROW_CLASSES)
        check_same(index.search(QUERIES[:2], top_k=5, access=access(1)), exact(QUERIES[:2], ROW_CLASSES == 1, 5))
        wire.faults.clear()


def test_retries_end(bench: Bench, wire: Wire) -> None:
    index = bench.standard()
    wire.seen.clear()
    wire.faults.extend(["drop"] * 50)
    with pytest.raises(IndexBackendError, match="qdrant_url"):
        index.search(QUERIES, top_k=5, access=access(1))
    assert len(wire.seen) == 5


@pytest.mark.parametrize("fault", ["400", "500"])
def test_an_answer_that_says_no_is_not_asked_for_again(bench: Bench, wire: Wire, fault: str) -> None:
    index = bench.standard()
    wire.seen.clear()
    wire.faults.append(fault)
    with pytest.raises(IndexBackendError, match=fault):
        index.search(QUERIES, top_k=5, access=access(1))
    assert len(wire.seen) == 1


def test_a_refused_key_names_the_setting(wire: Wire, bench: Bench) -> None:
    path = bench.path
    wire.key = "hunter2"
    with pytest.raises(ConfigError, match="LOREMILL_QDRANT_API_KEY"):
        bench.open(path)
    trusted = vector_backend("qdrant", VectorOptions(qdrant_url=wire.url, qdrant_api_key="hunter2"))
    assert len(trusted.open(path)) == len(VECTORS)
    assert b"hunter2" not in path.read_bytes()


def test_a_collection_that_is_gone_or_short_is_a_corrupt_build(bench: Bench, wire: Wire) -> None:
    path = bench.path
    (name,) = wire.names()
    wire.store.delete(name, [3])
    with pytest.raises(BuildCorrupt, match="399"):
        bench.open(path)
    wire.store.delete_collection(name)
    with pytest.raises(BuildCorrupt, match="--full"):
        bench.open(path)


def test_a_row_that_is_lost_while_the_build_is_open_is_a_corrupt_build(bench: Bench, wire: Wire) -> None:
    index = bench.standard()
    wire.store.delete(wire.names()[0], [3])
    with pytest.raises(BuildCorrupt, match="lost 1"):
        index.scores(QUERIES[:1], np.array([2, 3], dtype=np.int64))


def test_a_shard_is_opened_by_several_processes_at_once(tmp_path: Path) -> None:
    """As by a server, its workers and the command line."""
    bench = Bench(vector_backend("qdrant-edge"), tmp_path)
    index = bench.standard()
    script = f"""if True:
        from pathlib import Path
        from indexes.vectors import vector_backend
        print(len(vector_backend("qdrant-edge").open(Path({str(bench.path)!r}))))"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(len(VECTORS))
    check_same(index.search(QUERIES, top_k=5, access=access(1)), exact(QUERIES, ROW_CLASSES == 1, 5))


def test_the_pointer_holds_no_password(tmp_path: Path, wire: Wire) -> None:
    url = wire.url.replace("http://", "http://user:hunter2@")
    vector_backend("qdrant", VectorOptions(qdrant_url=url)).build(
        [VECTORS[:3]], VECTORS.shape[1], tmp_path / "vectors.index", classes=ROW_CLASSES[:3]
    )
    assert json.loads((tmp_path / "vectors.index").read_text())["url"] == wire.url


def test_beyond_what_is_named_candidates_are_dropped_and_where_too_few_are_left_all_rows_are_named(
    bench: Bench, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mask that neither lets few rows pass nor keeps few out, with the best rows on the wrong side of it."""
    monkeypatch.setattr("indexes.qdrant_filter.Layout.admit.__kwdefaults__", {"named": 60})
    index = bench.standard()
    where = np.ones(len(VECTORS), dtype=bool)
    where[np.argsort(-(VECTORS @ QUERIES[4]))[:150]] = False
    mask = where & (ROW_CLASSES > 0)
    check_same(index.search(QUERIES, top_k=10, access=access(*ALL), where=where), exact(QUERIES, mask, 10))
    first, second = (body["searches"] for _, action, body in wire.seen if action == "points/query/batch")
    assert len(first) == len(QUERIES) > len(second) > 0
    assert "has_id" not in json.dumps(first[0]["filter"])
    assert len(second[0]["filter"]["must_not"]["has_id"]) > 60


def test_the_lexical_part_over_the_wire_finds_what_tantivy_finds(wire: Wire, tmp_path: Path) -> None:
    texts = ["parental leave", "a leave of absence", "travel budget", "budget of the leave office", "hotel"]
    rows, classes = np.arange(5, dtype=np.int32), np.array([1, 2, 1, 1, 2], np.int32)
    options = VectorOptions(qdrant_url=wire.url)
    found = []
    for name in ("qdrant", "tantivy"):
        backend = lexical_backend(name, options)
        folder = tmp_path / name / "lexical"
        backend.build((LexicalRow(row, int(classes[row]), "", text) for row, text in enumerate(texts)), folder)
        index = backend.open(folder, row_documents=rows, built_classes=classes)
        index.assign_classes(classes)
        found.append([index.search("leave budget", top_k=5, access=access(*who)) for who in [(1,), (2,), (1, 2), (9,)]])
        assert index.holds(0, index.terms("parental leave"))
        assert not index.holds(0, index.terms("hotel"))
    for ours, theirs in zip(*found, strict=True):
        assert ours[0].tolist() == theirs[0].tolist()
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5)
    counted = [body["filter"] for _, action, body in wire.seen if action == "points/count" and body.get("filter")]
    assert len(counted) == 3 * 4, "four terms by field, once for each set of readable classes"
    assert all("acl" in json.dumps(each) for each in counted)
    assert remove_build(tmp_path / "qdrant", options)
    assert wire.names() == []


@pytest.mark.parametrize(
    ("share", "passing"), [(1.0, 2000), (0.9, 2000), (0.3, 2000), (0.02, 40)], ids=["all", "most", "some", "few"]
)
def test_filters_name_few_rows_or_let_a_few_times_too_many_pass(share: float, passing: int) -> None:
    built = np.zeros(2000, np.int32)
    wanted = np.arange(2000) % 100 < 100 * share
    admitted = Layout(built).admit(wanted, named=30)
    assert admitted.passing == passing
    named = Layout(built).admit(wanted, named=None)
    assert named.passing == wanted.sum()
    through = np.isin(built, named.classes)
    through[named.without] = False
    through[named.rows] = True
    assert (through == wanted).all()
