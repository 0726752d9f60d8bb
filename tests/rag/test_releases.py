"""A collection serves one release at a time, named by what it is made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import CollectionNotFound
from rag import Acl, Loremill, Principal
from rag.releases import Release
from service.cli import main

OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]

ALICE = Principal("halden", "user:alice")
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "kiln.txt": "The kiln runs at 900 degrees.\n",
}


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree(DOCS)


def live(mill: Loremill, collection: str = "company") -> Release:
    """The one release that is served."""
    [found] = [release for release in mill.releases(collection) if release.live]
    return found


def test_the_first_ingestion_makes_the_first_release_and_puts_it_live(mill: Loremill, docs: Path) -> None:
    before = datetime.now(UTC)
    report = mill.ingest(docs, collection="company")
    [release] = mill.releases("company")
    assert (release.id, release.build, release.live) == (report.release, report.build, True)
    assert (release.collection, release.generator, release.gate) == ("company", "extractive", None)
    assert before <= datetime.fromisoformat(release.created) <= datetime.now(UTC)
    result = mill.search_result("leave", collection="company", principal=ALICE)
    assert (result.build, result.release) == (report.build, report.release)
    assert mill.ask("How long is parental leave?", collection="company", principal=ALICE).release == report.release


def test_a_further_ingestion_makes_a_new_release_and_puts_that_one_live(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    first = mill.ingest(docs, collection="company")
    write_tree({"new.md": "A new page."})
    second = mill.ingest(docs, collection="company")
    assert second.release != first.release
    newest, oldest = mill.releases("company")
    assert (newest.id, newest.build, newest.live) == (second.release, second.build, True)
    assert (oldest.id, oldest.build, oldest.live) == (first.release, first.build, False)
    assert mill.search_result("page", collection="company", principal=ALICE).release == second.release


def test_a_put_and_a_deleted_document_make_releases_too(mill: Loremill, docs: Path) -> None:
    first = mill.ingest(docs, collection="company").release
    put = mill.put_document(
        collection="company", principal=ALICE, document_id="p", text="Pushed.", acl=Acl(("everyone",))
    )
    assert live(mill).id == put.release != first
    assert mill.delete_document("p", collection="company", principal=ALICE)
    assert live(mill).id == first, "the same documents as at first are the same release"


def test_an_ingestion_that_changes_nothing_makes_no_release(mill: Loremill, docs: Path) -> None:
    mill.ingest(docs, collection="company")
    before = mill.releases("company")
    mill.ingest(docs, collection="company", full=True)
    assert mill.releases("company") == before


def test_changed_rights_are_no_new_release(mill: Loremill, docs: Path, write_tree: WriteTree) -> None:
    before = mill.ingest(docs, collection="company").release
    write_tree({"acl.yaml": "tenant: halden\ndefault: {allow: [user:bob]}\n"})
    assert mill.ingest(docs, collection="company").release == before
    assert [release.live for release in mill.releases("company")] == [True]


def test_a_source_that_comes_back_to_an_older_state_puts_the_older_release_live_again(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    first = mill.ingest(docs, collection="company").release
    write_tree({"new.md": "A new page."})
    mill.ingest(docs, collection="company")
    write_tree({"new.md": None})
    mill.ingest(docs, collection="company")
    assert live(mill).id == first
    assert len(mill.releases("company")) == 2


def test_the_same_documents_and_settings_have_the_same_ids_in_another_home_and_folder(
    open_mill: OpenMill, tmp_path: Path, write_tree: WriteTree
) -> None:
    reports = [
        open_mill(tmp_path / name).ingest(write_tree(DOCS, f"docs of {name}"), collection=collection)
        for name, collection in (("one", "company"), ("two", "firm"))
    ]
    assert reports[0].build == reports[1].build
    assert reports[0].release == reports[1].release


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"generator": "openai"}, {"release"}),
        ({"chunk_tokens": 24}, {"build", "release"}),
        ({"chunk_overlap": 8}, {"build", "release"}),
        ({"threads": 1, "max_query_chars": 100}, set()),
    ],
)
def test_settings_that_decide_results_and_no_others_change_the_ids(
    open_mill: OpenMill, tmp_path: Path, docs: Path, settings: dict[str, Any], changed: set[str]
) -> None:
    plain = open_mill(tmp_path / "one").ingest(docs, collection="company")
    other = open_mill(tmp_path / "two", **settings).ingest(docs, collection="company")
    assert {name for name in ("build", "release") if getattr(plain, name) != getattr(other, name)} == changed


def test_one_changed_letter_changes_the_ids(open_mill: OpenMill, tmp_path: Path, write_tree: WriteTree) -> None:
    plain = open_mill(tmp_path / "one").ingest(write_tree(DOCS, "a"), collection="company")
    other = open_mill(tmp_path / "two").ingest(
        write_tree({**DOCS, "kiln.txt": "The kiln runs at 901 degrees.\n"}, "b"), collection="company"
    )
    assert plain.build != other.build
    assert plain.release != other.release


def test_releases_of_all_collections_and_tenants_are_listed_or_those_asked_for(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    rival = write_tree({"acl.yaml": "tenant: rival\ndefault: {allow: [everyone]}\n", "x.md": "X."}, "rival")
    mill.ingest(docs, collection="company")
    mill.ingest(docs, collection="copy")
    mill.ingest(rival, collection="plans")
    assert [release.collection for release in mill.releases()] == ["company", "copy", "plans"]
    assert [release.collection for release in mill.releases(tenant="rival")] == ["plans"]
    assert [release.collection for release in mill.releases("copy")] == ["copy"]
    with pytest.raises(CollectionNotFound):
        mill.releases("nowhere")
    with pytest.raises(CollectionNotFound):
        mill.releases("plans", tenant="halden")


def test_the_listing_has_the_fields_of_the_contract(
    home: Path, open_mill: OpenMill, docs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_mill() as mill:
        report = mill.ingest(docs, collection="company")
        [release] = mill.releases("company")
    assert main(["release", "list", "--json", "--home", str(home)]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == ["releases"]
    assert listed["releases"] == [json.loads(json.dumps(release.to_json()))]
    [row] = listed["releases"]
    contract = {"id", "collection", "live", "build", "prompt", "generator", "created", "gate"}
    assert row.keys() >= contract
    assert {name: row[name] for name in contract - {"created", "prompt"}} == {
        "id": report.release,
        "collection": "company",
        "live": True,
        "build": report.build,
        "generator": "extractive",
        "gate": None,
    }
    assert row["id"].startswith("r")
    name, _, version = row["prompt"].partition("@")
    assert name == "answer"
    assert version.isdecimal()
