"""Documents that a program hands over."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from indexes.errors import ConfigError, IngestError, ParseError
from indexes.vocabulary import NOBODY
from ingest.sources import PushedBatch, PushedDocument, SourceItem, open_source_spec
from rag import Acl, Loremill, Principal

ALICE = Principal("halden", "user:alice")
BOB = Principal("halden", "user:bob")
EVERYONE = Acl(("everyone",))


def put(mill: Loremill, document_id: str, text: str, acl: Acl = EVERYONE, **options: object) -> dict[str, int]:
    report = mill.put_document(
        collection="notes", principal=ALICE, document_id=document_id, text=text, acl=acl, **options
    )
    return report.to_json()["documents"]


def found(mill: Loremill, query: str, principal: Principal = ALICE, mode: str = "hybrid") -> list[str]:
    return [hit.document_id for hit in mill.search(query, collection="notes", principal=principal, mode=mode)]


def test_a_pushed_document_is_found_at_once_and_replaced_by_the_next_of_its_id(mill: Loremill) -> None:
    counts = {"added": 1, "updated": 0, "unchanged": 0, "deleted": 0, "quarantined": 0}
    assert put(mill, "n1", "The kiln runs at 900 degrees.", metadata={"kind": "note"}) == counts
    assert put(mill, "n2", "Lunch is at noon.")["added"] == 1, "the second push deleted the first"
    (hit, _) = mill.search("kiln temperature", collection="notes", principal=ALICE)
    assert (hit.document_id, hit.uri, hit.metadata) == ("n1", "push:n1", {"kind": "note"})
    assert put(mill, "n1", "The kiln runs at 950 degrees.")["updated"] == 1
    assert mill.search("kiln", collection="notes", principal=ALICE, mode="lexical")[0].text.endswith("950 degrees.")
    assert put(mill, "n1", "The kiln runs at 950 degrees.")["unchanged"] == 1


def test_its_acl_holds_and_may_be_changed_without_touching_the_text(mill: Loremill) -> None:
    put(mill, "n1", "The kiln runs at 900 degrees.", Acl(("user:alice",)))
    assert found(mill, "kiln") == ["n1"]
    assert found(mill, "kiln", BOB) == []
    put(mill, "n1", "The kiln runs at 900 degrees.", Acl(("user:bob",)))
    assert found(mill, "kiln") == []
    assert found(mill, "kiln", BOB) == ["n1"]


def test_a_deleted_document_is_found_in_no_mode_and_its_vector_is_forgotten(mill: Loremill) -> None:
    put(mill, "n1", "The kiln runs at 900 degrees.")
    assert mill.delete_document("n1", collection="notes", principal=ALICE)
    for mode in ("hybrid", "dense", "lexical"):
        assert found(mill, "kiln degrees", mode=mode) == []
    assert mill.document("n1", collection="notes", principal=ALICE) is None
    assert not mill.delete_document("n1", collection="notes", principal=ALICE)
    with mill._tenant("halden").catalog.read() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM embeddings").scalar() == 0


def test_who_may_not_read_a_document_cannot_delete_it_nor_learn_that_it_exists(mill: Loremill) -> None:
    put(mill, "n1", "The kiln runs at 900 degrees.", Acl(("user:alice",)))
    assert mill.delete_document("n1", collection="notes", principal=BOB) is False
    assert mill.delete_document("no such", collection="notes", principal=BOB) is False
    assert found(mill, "kiln") == ["n1"]


@pytest.mark.parametrize("document_id", ["", "  ", "x" * 1025])
def test_an_unusable_id_is_a_config_error(document_id: str) -> None:
    with pytest.raises(ConfigError, match="document id"):
        PushedDocument(document_id, "text", title="", format="md", acl=EVERYONE)


def test_half_a_surrogate_pair_in_an_id_is_a_config_error(mill: Loremill) -> None:
    with pytest.raises(ConfigError, match="Unicode"):
        put(mill, "\ud800", "text")


@pytest.mark.parametrize(
    "metadata",
    [{"x": float("nan")}, {"x": object()}, {1: "a", "b": 2}, {"x": b"bytes"}],
    ids=["nan", "object", "number as name", "bytes"],
)
def test_metadata_that_json_cannot_hold_quarantines_the_document(mill: Loremill, metadata: dict[str, object]) -> None:
    """One row of such metadata would break every later metadata filter of the collection."""
    put(mill, "good", "The kiln runs at 900 degrees.", metadata={"kind": "note"})
    assert put(mill, "bad", "text", metadata=metadata)["quarantined"] == 1
    hits = mill.search("kiln", collection="notes", principal=ALICE, where={"kind": "note"})
    assert [hit.document_id for hit in hits] == ["good"]


@pytest.mark.parametrize("text", ["", " \n\t ", "\u200b"])
def test_a_document_without_text_is_quarantined_with_the_reason(mill: Loremill, text: str) -> None:
    report = mill.put_document(collection="notes", principal=ALICE, document_id="n", text=text, acl=EVERYONE)
    assert [entry.error for entry in report.quarantine] == ["EmptyDocument"]
    assert mill.documents(collection="notes", principal=ALICE) == []


def test_an_id_that_a_source_has_already_does_not_replace_its_document(mill: Loremill, write_tree) -> None:  # type: ignore[no-untyped-def]
    docs = write_tree({"a.md": "The kiln runs at 900 degrees."})
    mill.ingest(docs, collection="notes", tenant="halden", allow=["everyone"])
    put(mill, "a.md", "Lunch is at noon.")
    assert len(mill.documents(collection="notes", principal=ALICE)) == 2
    assert mill.document("a.md", collection="notes", principal=ALICE).uri.startswith("file:")  # type: ignore[union-attr]


def batch(path: Path, *rows: object) -> list[SourceItem]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    items = list(PushedBatch(path).items())
    assert len({item.document_id for item in items}) == len(items)
    return items


def test_a_batch_lists_its_rows_as_documents_of_the_one_source_of_pushes(tmp_path: Path) -> None:
    acl = {"allow": ["group:hr"]}
    text, data = batch(
        tmp_path / "batch.jsonl",
        {"document_id": "n1", "text": "The kiln.", "title": "T", "metadata": {"a": 1}, "acl": acl},
        {"document_id": "r/x.pdf", "content_base64": base64.b64encode(b"%PDF-").decode(), "acl": acl},
    )
    assert (text.read(), text.format, text.title, text.metadata) == (b"The kiln.", "md", "T", {"a": 1})
    assert (text.uri, text.path, text.acl, text.acl_error) == ("push:n1", "n1", Acl(("group:hr",)), None)
    assert (data.read(), data.format, data.size) == (b"%PDF-", "pdf", 5)
    assert PushedBatch.name == PushedDocument.name == "push:"
    assert text.mark
    assert text.mark != data.mark


def test_a_batch_opens_again_by_its_spec_and_a_single_document_says_that_it_cannot(tmp_path: Path) -> None:
    batch(tmp_path / "b", {"document_id": "n1", "text": "x", "acl": {"allow": []}})
    source = open_source_spec(PushedBatch(tmp_path / "b").spec)
    assert [item.document_id for item in source.items()] == ["n1"]
    with pytest.raises(ConfigError, match="push it again"):
        open_source_spec(PushedDocument("n", "x", title="", format="md").spec)
    (tmp_path / "b").unlink()
    with pytest.raises(IngestError, match="push them again"):
        list(source.items())


@pytest.mark.parametrize("acl", [{}, {"acl": None}, {"acl": {"alow": []}}])
def test_a_row_without_rights_may_be_read_by_nobody_and_says_so(tmp_path: Path, acl: dict[str, object]) -> None:
    (item,) = batch(tmp_path / "b", {"document_id": "n", "text": "x", **acl})
    assert item.acl == NOBODY
    assert "nobody" in str(item.acl_error)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": "x"}, "document_id"),
        ({"document_id": 5, "text": "x"}, "document_id"),
        ({"document_id": "x" * 1025, "text": "x"}, "document_id"),
        ({"document_id": "n"}, "either"),
        ({"document_id": "n", "text": "x", "content_base64": "eA=="}, "either"),
        ({"document_id": "n", "content_base64": "%%%"}, "base64"),
        ({"document_id": "n", "content_base64": 5}, "base64"),
        ({"document_id": "n", "text": "x", "format": 5}, '"format" must be'),
        ({"document_id": "n", "text": "x", "metadata": []}, '"metadata" must be'),
    ],
)
def test_a_broken_row_refuses_and_the_others_go_on(tmp_path: Path, row: dict[str, object], expected: str) -> None:
    first, bad, last = batch(tmp_path / "b", {"document_id": "1", "text": "x"}, row, {"document_id": "2", "text": "y"})
    with pytest.raises(ParseError, match="line 2") as caught:
        bad.read()
    assert expected in str(caught.value)
    assert (first.read(), last.read(), bad.acl) == (b"x", b"y", NOBODY)


def test_half_a_surrogate_pair_in_an_id_of_a_batch_refuses(tmp_path: Path) -> None:
    (tmp_path / "b").write_text('{"document_id": "\\ud800", "text": "x", "acl": {"allow": []}}\n')
    (item,) = PushedBatch(tmp_path / "b").items()
    assert item.document_id.encode() + item.uri.encode() + item.path.encode()
    with pytest.raises(IngestError, match="Unicode"):
        item.read()
