"""Documents that a program hands over."""

from __future__ import annotations

import pytest

from indexes.errors import ConfigError
from ingest.sources import PushedDocument
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


@pytest.mark.parametrize("metadata", [{"x": float("nan")}, {"x": object()}, {1: "a", "b": 2}, {"x": b"bytes"}], ids=str)
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
