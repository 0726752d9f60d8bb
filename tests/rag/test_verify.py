"""What was damaged is found, and named, whichever of catalog, chunks, postings and vectors it is in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import CollectionNotFound
from indexes.lexical import LexicalRow, build_lexical
from indexes.minilm import MiniLM
from rag import Loremill, Principal
from rag.verify import VerifyReport
from tests.catalogs import sqlite_only

pytestmark = sqlite_only  # homes are copied, and their files damaged

DOCS = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "kiln.txt": "The kiln runs at 900 degrees.\n",
    "long.md": "\n\n".join(f"Paragraph {number} says something of its own about the oven." for number in range(12)),
}
CATALOG = "tenants/halden/catalog.db"
Execute = Callable[..., None]
Verify = Callable[[], VerifyReport]
OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Path:
    """A home with one collection, closed."""
    root = tmp_path_factory.mktemp("verify")
    (root / "docs").mkdir()
    for name, text in DOCS.items():
        (root / "docs" / name).write_text(text)
    with Loremill.open(root / "home", chunk_tokens=24) as mill:
        mill.embedder = minilm
        mill.ingest(root / "docs", collection="company")
    return root / "home"


@pytest.fixture
def copy(healthy: Path, home: Path) -> Path:
    """A copy of that home, to be damaged."""
    shutil.copytree(healthy, home)
    return home


@pytest.fixture
def build(copy: Path) -> Path:
    """The folder of the copy's one build."""
    [folder] = (copy / "tenants/halden/collections/company/builds").iterdir()
    return folder


@pytest.fixture
def execute(copy: Path) -> Execute:
    """Changes the catalog behind Loremill's back."""

    def run(statement: str, *values: object) -> None:
        with closing(sqlite3.connect(copy / CATALOG)) as db, db:
            assert db.execute(statement, values).rowcount == 1, "the statement must hit one row"

    return run


@pytest.fixture
def verify(copy: Path, open_mill: OpenMill) -> Verify:
    """Verifies as a process that begins now does."""
    return lambda: open_mill(copy).verify("company")


def chunk_rows(home: Path) -> list[tuple[str, str]]:
    """(chunk_id, document_id) of every chunk, by ascending chunk id, which is the order of the build's rows."""
    with closing(sqlite3.connect(home / CATALOG)) as db:
        return db.execute("SELECT chunk_id, document_id FROM chunks ORDER BY chunk_id").fetchall()


def test_a_healthy_home_verifies(copy: Path, build: Path, verify: Verify) -> None:
    report = verify()
    assert (report.ok, report.faults) == (True, ())
    assert (report.documents, report.chunks) == (3, len(chunk_rows(copy)))
    assert report.chunks > 4
    assert report.to_json() == {
        "collection": "company", "build": build.name, "ok": True, "documents": 3, "chunks": report.chunks, "sources": 1,
        "faults": [], "unchecked": [],
    }  # fmt: skip


def test_every_file_of_the_build_is_missed_by_its_name(home: Path, healthy: Path, open_mill: OpenMill) -> None:
    [folder] = (healthy / "tenants/halden/collections/company/builds").iterdir()
    names = [path.relative_to(healthy) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len(names) > 6
    for number, name in enumerate(names):
        damaged = home / str(number)
        shutil.copytree(healthy, damaged)
        (damaged / name).unlink()
        report = open_mill(damaged).verify("company")
        assert not report.ok, name
        assert any(folder.name in fault and name.name in fault for fault in report.faults), (name, report.faults)


def test_a_file_cut_short_is_named(build: Path, verify: Verify) -> None:
    for name in ("documents.json", "vectors.index/rows.f32"):
        data = (build / name).read_bytes()
        (build / name).write_bytes(data[:-1])
        [fault] = verify().faults
        assert f"{name} has {len(data) - 1} bytes instead of {len(data)}" in fault
        (build / name).write_bytes(data)
    assert verify().ok


def test_a_build_that_is_gone_is_named(build: Path, verify: Verify) -> None:
    shutil.rmtree(build)
    report = verify()
    assert not report.ok
    assert any(build.name in fault for fault in report.faults)
    assert report.build == build.name


@pytest.mark.parametrize("value", [0.0, 10.0, float("nan"), float("inf")])
def test_a_vector_that_was_tampered_with_is_named_by_its_chunk(
    copy: Path, build: Path, verify: Verify, value: float
) -> None:
    path = build / "vectors.index/rows.f32"
    vector = np.full(384, value, dtype="<f4").tobytes()
    data = path.read_bytes()
    path.write_bytes(data[: -len(vector)] + vector)
    last, _ = chunk_rows(copy)[np.load(build / "vectors.index/row_of.npy")[-1]]
    assert verify().faults == (
        "the file vectors.index/rows.f32 of the build is not what was written",
        f"the vector of chunk {last} is not of unit length",
    )


def test_two_vectors_that_were_exchanged_are_found(home: Path, build: Path, verify: Verify) -> None:
    path, size = build / "vectors.index/rows.f32", 384 * 4
    data = path.read_bytes()
    path.write_bytes(data[: -2 * size] + data[-size:] + data[-2 * size : -size])
    assert path.read_bytes() != data
    stored = chunk_rows(home)
    exchanged = sorted(stored[row][0] for row in np.load(build / "vectors.index/row_of.npy")[-2:])
    assert verify().faults == (
        "the file vectors.index/rows.f32 of the build is not what was written",
        *(f"the vector of chunk {name} is not that of its text" for name in exchanged),
    )


def test_two_document_ids_that_were_exchanged_are_found(build: Path, verify: Verify) -> None:
    path = build / "documents.json"
    names = {"leave.md": "kiln.txt", "kiln.txt": "leave.md"}
    listed = json.loads(path.read_text())
    path.write_text(json.dumps([names.get(name, name) for name in listed]))
    assert json.loads(path.read_text()) != listed
    assert verify().faults == ("the file documents.json of the build is not what was written",)


def test_files_deleted_after_a_mill_has_searched_are_found_by_that_mill(
    copy: Path, build: Path, open_mill: OpenMill
) -> None:
    mill = open_mill(copy)
    assert mill.search("kiln", collection="company", principal=Principal("halden", "user:ann"))
    assert mill.verify("company").ok
    names = [path for path in build.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert len(names) > 6
    for path in names:
        data = path.read_bytes()
        path.unlink()
        [fault] = mill.verify("company").faults
        name = path.relative_to(build).as_posix()
        assert (name in fault) or (build.name in fault and name == "manifest.json")
        path.write_bytes(data)
    assert mill.verify("company").ok


def test_a_manifest_that_promises_other_rows_is_found(build: Path, verify: Verify) -> None:
    path = build / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"rows": content["rows"] + 1}))
    [fault] = verify().faults
    assert build.name in fault
    assert f"promises {content['rows'] + 1} rows" in fault


def test_a_chunk_row_that_is_gone_is_named(copy: Path, execute: Execute, verify: Verify) -> None:
    lost, _ = chunk_rows(copy)[0]
    execute("DELETE FROM chunks WHERE chunk_id = ?", lost)
    report = verify()
    assert report.faults == (f"chunk {lost} is in the build but not in the catalog",)
    assert report.to_json()["ok"] is False


def test_a_document_row_that_is_gone_is_found_by_its_chunks(copy: Path, execute: Execute, verify: Verify) -> None:
    [lost] = [chunk_id for chunk_id, document_id in chunk_rows(copy) if document_id == "kiln.txt"]
    execute("DELETE FROM documents WHERE document_id = 'kiln.txt'")
    in_build, in_source = verify().faults
    assert in_build == f"chunk {lost} is in the build but not in the catalog"
    assert "not in the catalog: kiln.txt" in in_source


def test_a_chunk_that_was_never_indexed_is_named(copy: Path, execute: Execute, verify: Verify) -> None:
    known, _ = chunk_rows(copy)[0]
    stranger = "f" * 32
    columns = '"collection", "document_id", "ordinal", "start", "end", "headings", "text", "embed_hash"'
    execute(
        f"INSERT INTO chunks (chunk_id, {columns}) SELECT ?, {columns} FROM chunks WHERE chunk_id = ?", stranger, known
    )
    faults = verify().faults
    assert f"chunk {stranger} is in the catalog but not in the build" in faults
    assert any(stranger in fault and "does not derive from its content" in fault for fault in faults)
    assert not any(known in fault for fault in faults)


def test_a_chunk_whose_text_was_changed_is_named_with_its_document(
    copy: Path, execute: Execute, verify: Verify
) -> None:
    [changed] = [chunk_id for chunk_id, document_id in chunk_rows(copy) if document_id == "kiln.txt"]
    execute("UPDATE chunks SET text = 'The kiln runs at 90 degrees.' WHERE chunk_id = ?", changed)
    faults = verify().faults
    assert len(faults) == 2
    assert all(fault.startswith(f"chunk {changed} of kiln.txt: ") for fault in faults)
    assert any("its text is not what stands at" in fault for fault in faults)


def test_a_document_whose_text_was_changed_is_named(execute: Execute, verify: Verify) -> None:
    execute("UPDATE documents SET text = 'X' || substr(text, 2) WHERE document_id = 'kiln.txt'")
    [fault] = verify().faults
    assert "of kiln.txt: its text is not what stands at" in fault


def test_a_vector_that_belongs_to_another_text_is_named_though_every_file_is_as_written(
    copy: Path, execute: Execute, verify: Verify
) -> None:
    (wrong, _), (other, _) = chunk_rows(copy)[:2]
    execute(
        "UPDATE chunks SET embed_hash = (SELECT embed_hash FROM chunks WHERE chunk_id = ?) WHERE chunk_id = ?",
        other,
        wrong,
    )
    assert verify().faults == (f"the vector of chunk {wrong} is not that of its text",)


def test_a_vector_that_is_gone_from_the_cache_is_named(copy: Path, execute: Execute, verify: Verify) -> None:
    lost, _ = chunk_rows(copy)[0]
    execute("DELETE FROM embeddings WHERE text_hash = (SELECT embed_hash FROM chunks WHERE chunk_id = ?)", lost)
    assert verify().faults == (f"chunk {lost} has no vector in the catalog",)


def test_postings_of_another_text_are_named_though_every_file_is_as_the_manifest_says(
    copy: Path, build: Path, verify: Verify
) -> None:
    """A build that was made wrongly has hashes that agree with itself."""
    shutil.rmtree(build / "lexical")
    rows = chunk_rows(copy)
    build_lexical((LexicalRow(0, 1, "", "words of nobody") for _ in rows), build / "lexical")
    content = json.loads((build / "manifest.json").read_text())
    files = {name: entry for name, entry in content["files"].items() if not name.startswith("lexical/")}
    for path in (build / "lexical").rglob("*"):
        if path.is_file() and path.suffix != ".lock":
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files[path.relative_to(build).as_posix()] = {"bytes": path.stat().st_size, "sha256": digest}
    (build / "manifest.json").write_text(json.dumps(content | {"files": files}))
    assert verify().faults == tuple(f"the postings of chunk {name} lack words of its text" for name, _ in rows)


@pytest.fixture
def own(home: Path, open_mill: OpenMill, write_tree: WriteTree) -> tuple[Loremill, Path]:
    """A mill whose source may be changed."""
    docs = write_tree(DOCS)
    mill = open_mill()
    mill.ingest(docs, collection="company")
    assert mill.verify("company").ok
    return mill, docs


def test_a_source_that_changed_since_is_named_with_what_changed(own: tuple[Loremill, Path]) -> None:
    mill, docs = own
    (docs / "kiln.txt").write_text("The kiln is cold.")
    (docs / "leave.md").unlink()
    (docs / "new.md").write_text("Something new.")
    report = mill.verify("company")
    assert [fault.split(": ", 1)[1] for fault in report.faults] == [
        "not in the catalog: new.md; ingest it again",
        "there in another version than in the catalog: kiln.txt; ingest it again",
        "gone from the source and still in the catalog: leave.md; ingest it again",
    ]
    assert mill.verify("company", sources=False).ok
    mill.ingest(docs, collection="company")
    assert mill.verify("company").ok


def test_a_file_that_was_touched_and_not_changed_is_no_fault(own: tuple[Loremill, Path]) -> None:
    mill, docs = own
    os.utime(docs / "kiln.txt", (1, 1))
    assert mill.verify("company").ok


def test_a_source_that_cannot_be_reached_is_said_to_be_unchecked_and_is_no_fault(own: tuple[Loremill, Path]) -> None:
    mill, docs = own
    shutil.rmtree(docs)
    report = mill.verify("company")
    assert report.ok
    assert report.sources == 0
    [note] = report.unchecked
    assert docs.as_uri() in note


def test_a_quarantined_item_agrees_as_long_as_it_is_what_it_was(own: tuple[Loremill, Path]) -> None:
    mill, docs = own
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    assert "broken.pdf" in mill.verify("company").faults[0]
    mill.ingest(docs, collection="company")
    assert mill.verify("company").ok


def test_damage_in_one_collection_is_no_fault_of_another(
    copy: Path, build: Path, open_mill: OpenMill, write_tree: WriteTree
) -> None:
    with open_mill(copy) as mill:
        mill.ingest(write_tree({"acl.yaml": DOCS["acl.yaml"], "x.md": "Something else."}, "other"), collection="other")
    (build / "rows.npz").unlink()
    mill = open_mill(copy)
    assert not mill.verify("company").ok
    assert mill.verify("other").ok


def test_a_damaged_build_is_made_whole_by_ingesting_again(
    healthy: Path, copy: Path, build: Path, verify: Verify, open_mill: OpenMill
) -> None:
    (build / "vectors.index/rows.f32").unlink()
    assert not verify().ok
    report = open_mill(copy, chunk_tokens=24).ingest(healthy.parent / "docs", collection="company", full=True)
    assert report.build == build.name
    assert verify().ok


def test_verifying_changes_nothing(copy: Path, build: Path, verify: Verify) -> None:
    before = {path: path.read_bytes() for path in build.rglob("*") if path.is_file()}
    rows = chunk_rows(copy)
    verify()
    assert {path: path.read_bytes() for path in build.rglob("*") if path.is_file()} == before
    assert chunk_rows(copy) == rows


def test_an_unknown_collection_is_an_error_and_no_healthy_one(copy: Path, open_mill: OpenMill) -> None:
    with pytest.raises(CollectionNotFound):
        open_mill(copy).verify("nowhere")
    with pytest.raises(CollectionNotFound):
        open_mill(copy).verify("company", tenant="rival")
