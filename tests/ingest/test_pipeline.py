"""Ingestion: every source item ends in exactly one count, and what is served is what the source and its rights say now."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import ConfigError, IngestError
from indexes.minilm import MiniLM
from ingest.report import IngestReport
from ingest.sources import files
from rag import Acl, Loremill, Principal

ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
MODES = ("hybrid", "dense", "lexical")
ACL = "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: 'finance/**', allow: [group:finance]}\n"
DOCS = {
    "acl.yaml": ACL,
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "finance/budget.md": "# Budget\n\nThe marketing budget is 340,000 euros.\n",
    "notes/kiln.txt": "The kiln runs at 900 degrees.\n",
}
WriteTree = Callable[..., Path]


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree(DOCS)


def counts(report: IngestReport) -> dict[str, int]:
    return {name: value for name, value in report.to_json()["documents"].items() if value}


def ingest(mill: Loremill, docs: Path, **options: Any) -> IngestReport:
    return mill.ingest(docs, collection="company", **options)


def found(mill: Loremill, query: str, principal: Principal = ALICE, mode: str = "hybrid") -> set[str]:
    return {
        hit.document_id for hit in mill.search(query, collection="company", principal=principal, mode=mode, top_k=50)
    }


def everything(mill: Loremill, principal: Principal = ALICE, *, sources: bool = True) -> set[str]:
    """What dense search, which returns all that may be read, and the listing agree on, and the sources hold."""
    listed = {info.document_id for info in mill.documents(collection="company", principal=principal)}
    assert found(mill, "anything", principal, "dense") == listed
    assert mill.verify("company", sources=sources).faults == ()
    return listed


# -- counts ------------------------------------------------------------------------------------------------------------


def test_every_item_ends_in_exactly_one_count(mill: Loremill, docs: Path, write_tree: WriteTree) -> None:
    first = ingest(mill, docs)
    assert counts(first) == {"added": 3}
    write_tree(
        {"leave.md": "# Parental leave\n\nParental leave is 26 weeks.\n", "finance/budget.md": None, "new.md": "A new page.",
         "broken.pdf": b"%PDF-1.7 nothing more", "empty.md": "   "}
    )  # fmt: skip
    second = ingest(mill, docs)
    assert counts(second) == {"added": 1, "updated": 1, "unchanged": 1, "deleted": 1, "quarantined": 2}
    assert {entry["error"] for entry in second.to_json()["quarantine"]} == {"ParseError", "EmptyDocument"}
    assert everything(mill) == {"leave.md", "notes/kiln.txt", "new.md"}
    assert second.chunks.added == 2
    assert second.chunks.removed == 2


def test_a_second_run_embeds_nothing_and_keeps_the_build(
    mill: Loremill, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ingest(mill, docs)

    def encode(*_: object) -> None:
        raise AssertionError("something was embedded again")

    monkeypatch.setattr(MiniLM, "embed_passages", encode)
    for full in (False, True):
        again = ingest(mill, docs, full=full)
        assert (again.build, again.release, counts(again)) == (first.build, first.release, {"unchanged": 3})
        assert again.chunks.embedded == again.chunks.added == again.chunks.removed == 0


def test_a_renamed_file_is_one_document_more_and_one_less_and_its_text_is_not_embedded_again(
    mill: Loremill, docs: Path
) -> None:
    ingest(mill, docs)
    (docs / "leave.md").rename(docs / "absence.md")
    report = ingest(mill, docs)
    assert counts(report) == {"added": 1, "deleted": 1, "unchanged": 2}
    assert report.moved == 1
    assert (report.chunks.embedded, report.chunks.reused) == (0, 1)


def test_a_source_that_comes_back_to_an_older_state_comes_back_to_its_build(mill: Loremill, docs: Path) -> None:
    first = ingest(mill, docs)
    (docs / "more.md").write_text("More.")
    assert ingest(mill, docs).build != first.build
    (docs / "more.md").unlink()
    assert ingest(mill, docs).build == first.build


def test_the_order_and_the_runs_in_which_documents_came_do_not_matter(
    open_mill: Callable[..., Loremill], tmp_path: Path, docs: Path
) -> None:
    at_once = ingest(open_mill(tmp_path / "one"), docs)
    other, aside = open_mill(tmp_path / "two"), tmp_path / "aside.txt"
    shutil.move(docs / "notes/kiln.txt", aside)
    ingest(other, docs)
    shutil.move(aside, docs / "notes/kiln.txt")
    assert ingest(other, docs).build == at_once.build


def test_progress_tells_what_is_done(mill: Loremill, docs: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    ingest(mill, docs, progress=lambda *step: seen.append(step))
    assert [step for step in seen if step[0] == "parse"] == [("parse", 1, None), ("parse", 2, None), ("parse", 3, None)]
    assert ("embed", 3, None) in seen
    assert seen[-1] == ("build", 1, 1)


# -- rights ------------------------------------------------------------------------------------------------------------


def test_a_changed_acl_file_moves_no_vector_and_holds_at_the_next_search(mill: Loremill, docs: Path) -> None:
    first = ingest(mill, docs)
    assert everything(mill, BOB) == {"leave.md", "notes/kiln.txt"}
    (docs / "acl.yaml").write_text(
        "tenant: halden\ndefault: {allow: [group:finance]}\nrules:\n  - {path: 'finance/**', allow: [everyone]}\n"
    )
    report = ingest(mill, docs)
    assert (report.build, report.chunks.embedded, counts(report)) == (first.build, 0, {"unchanged": 3})
    for mode in MODES:
        assert found(mill, "budget leave kiln", BOB, mode) == {"finance/budget.md"}
    assert everything(mill, ALICE) == {"leave.md", "finance/budget.md", "notes/kiln.txt"}


@pytest.mark.parametrize("content", [b"default: {allow: everyone}", b"\xff\xfe\x00", b"rules: [", b"allow: [everyone]"])
def test_an_acl_file_that_cannot_be_read_stops_the_ingestion_before_anything_is_indexed(
    mill: Loremill, docs: Path, content: bytes
) -> None:
    (docs / "acl.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"acl\.yaml"):
        ingest(mill, docs, tenant="halden")
    assert mill.collections(principal=ALICE) == []


def test_an_acl_file_that_became_unreadable_opens_nothing(mill: Loremill, docs: Path) -> None:
    ingest(mill, docs)
    (docs / "acl.yaml").write_text("default: {allow: everyone}")
    with pytest.raises(ConfigError):
        ingest(mill, docs, tenant="halden")
    assert everything(mill, BOB) == {"leave.md", "notes/kiln.txt"}


def test_without_rules_nobody_may_read_and_the_report_says_so(mill: Loremill, write_tree: WriteTree) -> None:
    docs = write_tree({"a.md": "Some text."})
    report = ingest(mill, docs, tenant="halden")
    assert (counts(report), report.unreadable_by_anyone) == ({"added": 1}, 1)
    assert everything(mill) == set()


def test_a_rows_own_rights_stand_above_the_files_rules_and_malformed_ones_mean_nobody(
    mill: Loremill, write_tree: WriteTree
) -> None:
    rows = [
        {"id": "open", "text": "The canteen opens at noon."},
        {"id": "own", "text": "The canteen closes at two.", "acl": {"allow": ["user:bob"]}},
        {"id": "bad", "text": "The canteen is haunted.", "acl": {"allow": "everyone"}},
        {"id": "null", "text": "The canteen is green.", "acl": None},
    ]
    docs = write_tree({"acl.yaml": ACL, "rows.jsonl": "\n".join(map(json.dumps, rows))})
    report = ingest(mill, docs)
    assert (counts(report), report.unreadable_by_anyone) == ({"added": 4}, 2)
    assert len(report.warnings) == 2
    assert all("nobody may read it" in warning for warning in report.warnings)
    assert everything(mill, ALICE) == {"rows.jsonl#open"}
    assert everything(mill, BOB) == {"rows.jsonl#open", "rows.jsonl#own"}


# -- bad documents -----------------------------------------------------------------------------------------------------


def test_a_document_that_becomes_corrupt_is_quarantined_and_no_longer_served(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    ingest(mill, docs)
    write_tree({"leave.md": b"PK\x03\x04 no markdown"})
    report = ingest(mill, docs)
    assert counts(report) == {"unchanged": 2, "quarantined": 1}
    assert report.quarantine[0].uri.endswith("leave.md")
    for mode in MODES:
        assert "leave.md" not in found(mill, "parental leave", mode=mode)
    write_tree({"leave.md": DOCS["leave.md"]})
    assert counts(ingest(mill, docs)) == {"added": 1, "unchanged": 2}


def test_a_document_that_is_too_large_is_quarantined_unread(
    open_mill: Callable[..., Loremill], docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mill = open_mill(max_document_bytes=1000)
    (docs / "big.md").write_text("word " * 1000)
    opened = files.open_regular
    monkeypatch.setattr(
        files,
        "open_regular",
        lambda path, **options: pytest.fail("read") if path.endswith("big.md") else opened(path, **options),
    )
    report = ingest(mill, docs)
    assert [(entry.error, entry.stage) for entry in report.quarantine] == [("TooLarge", "read")]
    assert "max_document_bytes" in report.quarantine[0].message
    assert counts(report) == {"added": 3, "quarantined": 1}


# -- deletion ----------------------------------------------------------------------------------------------------------


def test_a_deleted_document_is_found_in_no_mode(mill: Loremill, docs: Path) -> None:
    ingest(mill, docs)
    assert "leave.md" in found(mill, "parental leave")
    (docs / "leave.md").unlink()
    ingest(mill, docs)
    for mode in MODES:
        assert "leave.md" not in found(mill, "parental leave", mode=mode)
    assert everything(mill) == {"finance/budget.md", "notes/kiln.txt"}


def test_an_emptied_source_is_taken_for_a_mistake_and_deletes_nothing(mill: Loremill, docs: Path) -> None:
    ingest(mill, docs)
    for name in ("leave.md", "finance/budget.md", "notes/kiln.txt"):
        (docs / name).unlink()
    with pytest.raises(IngestError, match="nothing was changed"):
        ingest(mill, docs)
    assert len(everything(mill)) == 3


@pytest.fixture
def unlistable(docs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a folder refuse to be listed, as a share that is off line does."""

    def refuse(folder: str) -> None:
        scan = os.scandir

        def scandir(path: Any) -> Any:
            if Path(path) == docs / folder:
                raise PermissionError(13, "Permission denied")
            return scan(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return refuse


def test_a_folder_that_cannot_be_listed_loses_no_document_below_it(
    mill: Loremill, docs: Path, write_tree: WriteTree, unlistable: Callable[[str], None]
) -> None:
    write_tree({"finance/deep/plan.md": "The plan is secret.", "finance.md": "About finance."})
    ingest(mill, docs)
    (docs / "finance.md").unlink()
    unlistable("finance")
    report = ingest(mill, docs)
    assert counts(report) == {"unchanged": 4, "deleted": 1, "quarantined": 1}
    assert any(warning.startswith("2 documents below finance ") for warning in report.warnings)
    assert everything(mill) == {"leave.md", "notes/kiln.txt", "finance/budget.md", "finance/deep/plan.md"}
    assert everything(mill, BOB) == {"leave.md", "notes/kiln.txt"}


def test_a_source_that_cannot_be_listed_at_all_loses_nothing(
    mill: Loremill, docs: Path, unlistable: Callable[[str], None]
) -> None:
    ingest(mill, docs)
    unlistable("")
    assert counts(ingest(mill, docs)) == {"unchanged": 3, "quarantined": 1}
    assert len(everything(mill)) == 3


def test_new_rules_hold_for_documents_of_a_folder_that_cannot_be_listed(
    mill: Loremill, docs: Path, write_tree: WriteTree, unlistable: Callable[[str], None]
) -> None:
    rows = [{"id": "plain", "text": "Row one."}, {"id": "own", "text": "Row two.", "acl": {"allow": ["user:bob"]}}]
    write_tree({"notes/rows.jsonl": "\n".join(map(json.dumps, rows))})
    ingest(mill, docs)
    write_tree({"acl.yaml": ACL + "  - {path: 'notes/**', allow: [group:finance]}\n"})
    unlistable("notes")
    ingest(mill, docs)
    assert everything(mill, BOB) == {"leave.md"}
    assert everything(mill, ALICE) == {"leave.md", "finance/budget.md", "notes/kiln.txt"}, (
        "a row may have rights of its own"
    )


# -- several sources ---------------------------------------------------------------------------------------------------


def test_other_sources_of_the_collection_are_not_touched(mill: Loremill, docs: Path, write_tree: WriteTree) -> None:
    ingest(mill, docs)
    other = write_tree({"acl.yaml": ACL, "x.md": "Something else."}, "other")
    assert counts(ingest(mill, other)) == {"added": 1}
    assert len(everything(mill)) == 4
    (docs / "leave.md").unlink()
    assert counts(ingest(mill, docs)) == {"unchanged": 2, "deleted": 1}
    assert "x.md" in everything(mill)


def test_equal_ids_in_two_sources_are_two_documents_under_their_own_rights(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    ingest(mill, docs)
    other = write_tree(
        {"acl.yaml": "tenant: halden\ndefault: {allow: [user:alice]}\n", "leave.md": "Other leave text."}, "other"
    )
    assert counts(ingest(mill, other)) == {"added": 1}
    assert counts(ingest(mill, other)) == {"unchanged": 1}
    assert counts(ingest(mill, docs)) == {"unchanged": 3}
    assert len(everything(mill)) == 4
    assert everything(mill, BOB) == {"leave.md", "notes/kiln.txt"}
    (docs / "leave.md").unlink()
    ingest(mill, docs)
    assert everything(mill, BOB) == {"notes/kiln.txt"}, "the other source's document took over the id and its rights"
    assert len(found(mill, "Other leave text", mode="lexical")) == 1


def test_a_moved_source_folder_is_adopted(mill: Loremill, docs: Path) -> None:
    ingest(mill, docs)
    moved = docs.rename(docs.with_name("moved"))
    report = ingest(mill, moved)
    assert counts(report) == {"unchanged": 3}
    assert report.chunks.embedded == 0
    assert everything(mill) == {"leave.md", "finance/budget.md", "notes/kiln.txt"}
    assert mill.document("leave.md", collection="company", principal=ALICE).uri.startswith(moved.as_uri())  # type: ignore[union-attr]
    (moved / "leave.md").unlink()
    assert counts(ingest(mill, moved)) == {"unchanged": 2, "deleted": 1}


# -- cutting -----------------------------------------------------------------------------------------------------------


def test_another_chunk_size_cuts_every_document_anew_also_those_of_other_sources(
    open_mill: Callable[..., Loremill], docs: Path, write_tree: WriteTree
) -> None:
    long = "\n\n".join(f"Paragraph {number} says something of its own about the kiln." for number in range(12))
    other = write_tree({"acl.yaml": ACL, "long.md": long}, "other")
    mill = open_mill()
    ingest(mill, docs)
    ingest(mill, other)
    mill.put_document(
        collection="company", principal=ALICE, document_id="p", text=long + " Pushed.", acl=Acl(("everyone",))
    )
    before = {info.document_id: info.chunks for info in mill.documents(collection="company", principal=ALICE)}
    finer = open_mill(chunk_tokens=24)
    report = ingest(finer, docs)
    assert counts(report) == {"unchanged": 3}
    after = {info.document_id: info.chunks for info in finer.documents(collection="company", principal=ALICE)}
    assert after["long.md"] > before["long.md"]
    assert after["p"] > before["p"]
    assert after["leave.md"] == before["leave.md"]
    assert everything(finer) == {"leave.md", "finance/budget.md", "notes/kiln.txt", "long.md", "p"}


# -- crashes and rivals ------------------------------------------------------------------------------------------------


def test_a_second_ingestion_of_the_collection_is_refused_while_one_runs(
    open_mill: Callable[..., Loremill], docs: Path
) -> None:
    mill, rival = open_mill(), open_mill()
    refused: list[str] = []

    def meanwhile(stage: str, _done: int, _total: int | None) -> None:
        if stage == "parse" and not refused:
            with pytest.raises(IngestError, match="another ingestion"):
                ingest(rival, docs)
            refused.append(stage)
            rival.ingest(docs, collection="elsewhere")  # another collection is free

    ingest(mill, docs, progress=meanwhile)
    assert refused
    assert counts(ingest(rival, docs)) == {"unchanged": 3}


@pytest.mark.parametrize("stage", ["parse", "embed", "build"])
def test_a_crash_before_the_commit_leaves_the_old_state_served_and_a_second_run_completes(
    open_mill: Callable[..., Loremill], docs: Path, write_tree: WriteTree, stage: str
) -> None:
    mill = open_mill()
    before = ingest(mill, docs)
    write_tree({"leave.md": "# Leave\n\nNow 26 weeks.\n", "finance/budget.md": None, "new.md": "A new page."})

    def crash(at: str, done: int, _total: int | None) -> None:
        if at == stage and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(mill, docs, progress=crash)
    reader = open_mill()
    assert everything(reader, sources=False) == {"leave.md", "finance/budget.md", "notes/kiln.txt"}
    assert reader.search_result("leave", collection="company", principal=ALICE).build == before.build
    report = ingest(mill, docs)
    assert counts(report) == {"added": 1, "updated": 1, "unchanged": 1, "deleted": 1}
    assert everything(reader) == {"leave.md", "new.md", "notes/kiln.txt"}


def test_a_first_ingestion_that_crashed_serves_nothing_and_can_be_repeated(mill: Loremill, docs: Path) -> None:
    def crash(stage: str, *_: object) -> None:
        if stage == "build":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(mill, docs, progress=crash)
    with pytest.raises(Exception, match="first ingestion did not end"):
        mill.search("leave", collection="company", principal=ALICE)
    assert mill.collections(principal=ALICE) == []
    assert counts(ingest(mill, docs)) == {"added": 3}
