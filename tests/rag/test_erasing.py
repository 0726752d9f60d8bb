"""What is erased is in no file of the home any more, and the receipt that says so can be checked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import BuildCorrupt, Busy, ConfigError, ReceiptNotFound, ReleaseNotFound
from indexes.vocabulary import Acl, Principal
from rag import receipts
from rag.loremill import Loremill
from tests.catalogs import sqlite_only
from tests.conftest import OpenMill, WriteTree

ALICE, BOB = Principal("t", "user:alice"), Principal("t", "user:bob")
EVERYONE = Acl(("everyone",))
SECRET = "The walrus of Alice Kettering weighs 4417 stone and lives in the greenhouse."
OTHER = "Lunch is served at noon in the canteen, and the menu changes every week."


def planted(number: int) -> str:
    return f"plant-{number:04d}-{number * 7919 % 10007:05d}"


def raw(home: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


def put(mill: Loremill, document_id: str, text: str, *, collection: str = "c", **more: Any) -> None:
    mill.put_document(collection=collection, principal=ALICE, document_id=document_id, text=text, acl=EVERYONE, **more)


@pytest.fixture
def mill(open_mill: OpenMill) -> Loremill:
    """One secret document beside another, both live."""
    opened = open_mill(audit_queries=True)
    put(opened, "walrus.md", SECRET, title="Walrus of the greenhouse")
    put(opened, "lunch.md", OTHER)
    return opened


def found_by(mill: Loremill, query: str) -> set[str]:
    return {hit.document_id for hit in mill.search(query, collection="c", principal=BOB)}


def test_an_erased_document_is_in_no_search_and_in_no_file(mill: Loremill) -> None:
    done = mill.erase(document="walrus.md")
    assert done.found == ()
    content = raw(mill.home)
    assert b"4417 stone" not in content
    assert b"greenhouse" not in content
    assert found_by(mill, "walrus greenhouse") <= {"lunch.md"}
    counts = {name: number for name, number in done.receipt.counts.items() if number}
    assert counts == {"documents": 1, "chunks": 1, "vectors": 1, "builds": 2}
    assert mill.verify("c", tenant="t").ok
    assert mill.verify_erasure(done.file).ok


def test_the_rest_is_served_as_before(mill: Loremill) -> None:
    before = mill.search("lunch", collection="c", principal=BOB)
    mill.erase(document="walrus.md")
    after = mill.search("lunch", collection="c", principal=BOB)
    assert [hit.text for hit in after if hit.document_id == "lunch.md"] == [OTHER]
    assert after[0].document_id == before[0].document_id == "lunch.md"


def test_earlier_versions_and_builds_go_too(mill: Loremill) -> None:
    put(mill, "walrus.md", "It was moved to the boathouse, which has 8123 shingles on its roof.")
    release = mill.releases("c", tenant="t")[-1].id
    mill.erase(document="walrus.md")
    builds = mill.home / "tenants/t/collections/c/builds"
    assert all("walrus.md" not in (path / "documents.json").read_text() for path in builds.iterdir())
    assert b"8123 shingles" not in raw(mill.home)
    with pytest.raises(ReleaseNotFound, match="not kept"):
        mill.search("walrus", collection="c", principal=BOB, release=release)


def test_what_was_deleted_or_changed_before_goes_from_old_builds_with_a_subject(mill: Loremill) -> None:
    put(mill, "note.md", "Her garden has 8123 shingles.", metadata={"subject": "user:alice"})
    put(mill, "lunch.md", "Lunch is served at one.")
    mill.delete_document("note.md", collection="c", principal=BOB)
    mill.search("lunch", collection="c", principal=ALICE)
    builds = mill.home / "tenants/t/collections/c/builds"
    assert len(list(builds.iterdir())) > 1
    done = mill.erase(subject="user:alice")
    assert [path.name for path in builds.iterdir()] == [mill.releases("c", tenant="t")[0].build]
    assert done.receipt.counts["documents"] == 0
    assert done.receipt.counts["builds"] >= 1
    assert mill.search("lunch", collection="c", principal=BOB)


def test_the_last_document_of_a_collection_can_go(mill: Loremill) -> None:
    mill.erase(document="walrus.md")
    mill.erase(document="lunch.md")
    assert mill.search("lunch", collection="c", principal=BOB) == []
    assert mill.verify("c", tenant="t").ok


def test_what_another_document_says_too_stays_and_is_not_missed(mill: Loremill) -> None:
    put(mill, "copy.md", SECRET, title="Walrus of the greenhouse")
    done = mill.erase(document="walrus.md")
    assert done.found == ()
    assert done.receipt.counts["vectors"] == 0
    assert found_by(mill, "walrus greenhouse") >= {"copy.md"}
    assert mill.verify_erasure(done.file).ok


def test_a_document_is_erased_from_every_collection_or_from_the_one_named(mill: Loremill) -> None:
    put(mill, "walrus.md", SECRET, collection="d")
    mill.erase(document="walrus.md", collection="d")
    assert found_by(mill, "walrus") >= {"walrus.md"}
    put(mill, "walrus.md", SECRET, collection="d")
    assert mill.erase(document="walrus.md").receipt.counts["documents"] == 2


@sqlite_only
def test_attachments_and_quarantined_items_go_with_their_uri(mill: Loremill, write_tree: WriteTree) -> None:
    message = (
        "From: a@example.com\r\nTo: b@example.com\r\nSubject: Greenhouse\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n'
        f"The letter says: {planted(1)} indeed.\r\n--x\r\nContent-Type: text/plain\r\n"
        f'Content-Disposition: attachment; filename="a.txt"\r\n\r\nThe attachment says: {planted(2)} indeed.\r\n--x--\r\n'
    )
    folder = write_tree({"letter.eml": message, "bad.pdf": b"%PDF-1.4 broken", "good.md": OTHER})
    mill.ingest(folder, collection="mail", tenant="t", allow=["everyone"])
    (bad,) = mill.quarantine("mail", tenant="t")
    listed = mill.documents(collection="mail", principal=ALICE)
    letter = next(info for info in listed if info.document_id.endswith("letter.eml"))
    assert planted(2).encode() in raw(mill.home)
    done = mill.erase(document=letter.uri)
    assert done.receipt.counts["documents"] == 2
    assert planted(1).encode() not in raw(mill.home)
    assert planted(2).encode() not in raw(mill.home)
    assert mill.erase(document=bad.uri).receipt.counts["quarantined"] == 1
    assert mill.quarantine("mail", tenant="t") == []


def test_again_there_is_nothing_and_a_receipt_says_so(mill: Loremill) -> None:
    mill.erase(document="walrus.md")
    again = mill.erase(document="walrus.md")
    assert not any(again.receipt.counts.values())
    assert again.receipt.digests == ()
    assert mill.verify_erasure(again.file).ok


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"document": "none.md"}, "no document"),
        ({"subject": "user:nobody"}, "knows no subject"),
        ({"subject": "alice"}, "user:alice"),
        ({}, "either"),
        ({"document": "walrus.md", "subject": "user:alice"}, "either"),
        ({"subject": "user:alice", "collection": "c"}, "collection"),
        ({"document": "walrus.md", "tenant": "u"}, "no tenant"),
        ({"document": "walrus.md", "collection": "other"}, "no document"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(mill: Loremill, asked: dict[str, Any], match: str) -> None:
    (mill.home / "judge.db").write_bytes(b"replies")
    with pytest.raises(ConfigError, match=match):
        mill.erase(**asked)
    assert (mill.home / "judge.db").exists()
    assert found_by(mill, "walrus") >= {"walrus.md"}
    assert not list((mill.home / "erasing").glob("*.json"))


def test_an_empty_home_has_nothing_to_erase(open_mill: OpenMill) -> None:
    for asked in ({"document": "a"}, {"subject": "user:alice"}):
        with pytest.raises(ConfigError, match=r"no document|nothing"):
            open_mill().erase(**asked)  # type: ignore[arg-type]


def test_two_tenants_with_one_uri_are_told_apart(mill: Loremill) -> None:
    rival = Principal("u", "user:alice")
    mill.put_document(collection="c", principal=rival, document_id="walrus.md", text=OTHER, acl=EVERYONE)
    with pytest.raises(ConfigError, match="--tenant"):
        mill.erase(document="walrus.md")
    mill.erase(document="walrus.md", tenant="t")
    assert mill.documents(collection="c", principal=rival)
    assert b"4417 stone" not in raw(mill.home)


@sqlite_only
def test_a_subject_goes_with_its_questions_its_documents_and_its_rows(mill: Loremill) -> None:
    put(mill, "file-on-alice.md", f"Her nickname is {planted(3)}.", metadata={"subject": "user:alice"})
    put(mill, "file-on-both.md", f"They meet at {planted(4)}.", metadata={"subject": ["user:bob", "user:alice"]})
    put(mill, "file-on-bob.md", f"His nickname is {planted(5)}.", metadata={"subject": "user:bob"})
    mill.search(f"where is {planted(6)}", collection="c", principal=ALICE)
    mill.ask(f"what is {planted(7)} for?", collection="c", principal=ALICE)
    mill.search(f"where is {planted(8)}", collection="c", principal=BOB)
    rows = [
        {"id": "1", "user_input": planted(9), "principal": "t/user:alice,group:x"},
        {"id": "2", "user_input": planted(10), "principal": "bob"},
    ]
    dataset = mill.home / "sets" / "questions.jsonl"
    dataset.parent.mkdir()
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (mill.home / "judge.db").write_bytes(b"replies")
    done = mill.erase(subject="user:alice", by="user:root")
    content = raw(mill.home)
    gone = [number for number in range(3, 11) if planted(number).encode() not in content]
    assert gone == [3, 4, 6, 7, 9]
    assert done.found == ()
    counts = done.receipt.counts
    assert {name: counts[name] for name in ("documents", "audit_texts", "evaluation_rows", "judge_caches")} == {
        "documents": 2, "audit_texts": 2, "evaluation_rows": 1, "judge_caches": 1,
    }  # fmt: skip
    assert (done.receipt.by, done.receipt.about) == ("user:root", "subject user:alice")
    assert not any(mill.erase(subject="user:alice").receipt.counts.values())


def test_the_audit_log_still_verifies_and_says_who_erased_what(mill: Loremill) -> None:
    from indexes.audit import AuditLog

    mill.search(SECRET, collection="c", principal=BOB)
    done = mill.erase(document="walrus.md", by="user:root")
    log = AuditLog.of(mill.home / "tenants/t", mill.settings)
    assert log.verify().ok
    texts, whole = log.read(kind="erasure")
    assert texts["detail"]["redacted"]
    assert whole["subject"] == "user:root"
    assert whole["detail"]["receipt"] == done.receipt.id
    assert "walrus.md" in {chunk["document_id"] for record in log.read(kind="search") for chunk in record["chunks"]}


def test_files_that_repeat_it_go_and_others_stay(mill: Loremill) -> None:
    reports = mill.home / "reports"
    reports.mkdir()
    (reports / "report.html").write_text(f"<p>{SECRET}</p>")
    (reports / "other.html").write_text(f"<p>{OTHER}</p>")
    lines = [json.dumps({"user_input": "a", "reference_contexts": [SECRET]}), json.dumps({"user_input": "b"})]
    (reports / "set.jsonl").write_text("\n".join(lines) + "\n")
    done = mill.erase(document="walrus.md")
    assert sorted(path.name for path in reports.iterdir()) == ["other.html", "set.jsonl"]
    assert (reports / "set.jsonl").read_text() == lines[1] + "\n"
    assert (done.receipt.counts["files"], done.receipt.counts["evaluation_rows"]) == (1, 1)


def test_what_waits_in_the_inbox_and_what_reports_say_of_it_goes(mill: Loremill) -> None:
    documents = [{"document_id": "walrus.md", "text": planted(1)}, {"document_id": "b.md", "text": planted(2)}]
    mill.submit_documents(documents, collection="c", principal=ALICE)
    done = mill.erase(document="walrus.md")
    assert done.receipt.counts["waiting_documents"] == 1
    content = raw(mill.home)
    assert [planted(number).encode() in content for number in (1, 2)] == [False, True]


def test_what_a_subject_asked_to_be_ingested_still_is_but_is_no_longer_its_own(mill: Loremill) -> None:
    inbox = mill.inbox("t")
    ended = inbox.submit([{"document_id": "a", "text": "x"}], collection="c", principal=ALICE)
    inbox.next()
    inbox.close(ended, report={})
    mill.submit_documents([{"document_id": "b", "text": "y"}], collection="c", principal=ALICE)
    assert mill.erase(subject="user:alice").receipt.counts["ingestions"] == 2
    taken = inbox.next()
    assert taken is not None
    assert inbox.payload(taken[0]).exists()
    assert inbox.status(ended, principal=ALICE) is None


def test_a_text_that_comes_back_is_found_and_named(mill: Loremill) -> None:
    done = mill.erase(document="walrus.md")
    (mill.home / "prompts").mkdir()
    (mill.home / "prompts" / "note.md").write_text(f"As an example: {SECRET}")
    verdict = mill.verify_erasure(done.file)
    assert not verdict.ok
    assert verdict.scan is not None
    assert {sighting.file for sighting in verdict.scan.found} == {"prompts/note.md"}


def test_what_an_erasure_may_not_touch_is_named_at_once(mill: Loremill) -> None:
    (mill.home / "prompts").mkdir()
    (mill.home / "prompts" / "note.md").write_text(f"As an example: {SECRET}")
    done = mill.erase(document="walrus.md")
    assert {sighting.file for sighting in done.found} == {"prompts/note.md"}


@sqlite_only
@pytest.mark.parametrize("how", ["free page", "long value", "vector", "chunk id", "zip"])
def test_verification_sees_what_is_not_plain_text(mill: Loremill, how: str, tmp_path: Path) -> None:
    import zipfile

    catalog = mill.home / "tenants/t/catalog.db"
    with sqlite3.connect(catalog) as database:
        (vector,) = database.execute(
            "SELECT vector FROM embeddings JOIN chunks ON embed_hash = text_hash WHERE document_id = 'walrus.md'"
        ).fetchone()
        (chunk_id,) = database.execute("SELECT chunk_id FROM chunks WHERE document_id = 'walrus.md'").fetchone()
    done = mill.erase(document="walrus.md")
    place = mill.home / "tenants/t/collections/c/builds/old"
    if how in {"free page", "long value"}:
        database = sqlite3.connect(mill.home / "some.db")
        if how == "free page":
            database.execute("PRAGMA secure_delete=OFF")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (?)", ("." * 4000 + SECRET + "." * 9000,))
        database.commit()
        if how == "free page":
            database.execute("DELETE FROM t")
            database.commit()
        database.close()
    elif how == "zip":
        with zipfile.ZipFile(mill.home / "report.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("report.html", SECRET)
    else:
        place.mkdir()
        (place / "rows").write_bytes(b"\1" * 77 + (vector if how == "vector" else chunk_id.encode()) + b"\2" * 77)
    verdict = mill.verify_erasure(done.file)
    assert verdict.sealed
    assert not verdict.ok


def test_a_changed_receipt_one_of_another_home_and_no_receipt_do_not_verify(
    mill: Loremill, open_mill: OpenMill, tmp_path: Path
) -> None:
    done = mill.erase(document="walrus.md")
    forged = receipts.save(tmp_path, replace(done.receipt, counts={"documents": 2}))
    assert not mill.verify_erasure(forged).sealed
    elsewhere = open_mill(tmp_path / "elsewhere").verify_erasure(done.file)
    assert (elsewhere.sealed, elsewhere.ok) == (False, False)
    with pytest.raises(ReceiptNotFound, match=r"none\.json"):
        mill.verify_erasure(tmp_path / "none.json")
    assert mill.verify_erasure(done.receipt.id).ok


class Killed(BaseException):
    """The process ends here."""


def dying(calls: Iterator[int], at: int, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == at:
            raise Killed
        return function(*args, **kwargs)

    return wrapped


@sqlite_only
def test_stopped_at_any_step_it_is_finished_by_whoever_comes_next(
    open_mill: OpenMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps are the erasers, the compaction, the scan and the sealing, each before and after."""
    from rag.erasure import audit, compact, documents, files, ingestions

    finished = False
    first = open_mill(tmp_path / "first", audit_queries=True)
    put(first, "walrus.md", SECRET)
    first.search(SECRET, collection="c", principal=BOB)
    first.close()
    for at in range(20):
        home = shutil.copytree(tmp_path / "first", tmp_path / str(at))
        opened = open_mill(home, audit_queries=True)
        calls = count()
        with monkeypatch.context() as patch:
            for owner, name in (
                (audit.AuditEraser, "erase"), (files.FileEraser, "erase"), (compact, "compact"),
                (documents, "remove_build"), (ingestions.IngestionEraser, "erase"), (receipts, "sealed"), (receipts, "save"),
                (receipts, "write_json"), (documents.DocumentEraser, "erase"), (Loremill, "_forget_caches"),
            ):  # fmt: skip
                patch.setattr(owner, name, dying(calls, at, getattr(owner, name)))
            try:
                opened.erase(document="walrus.md")
                finished = True
            except Killed:
                pass
        again = open_mill(home, audit_queries=True)
        if list((home / "erasing").glob("*.json")):
            (done,) = again.finish_erasures()
            assert done.found == ()
            assert done.receipt.counts["documents"] == 1
            assert done.receipt.counts["audit_texts"] == 1
            assert again.verify_erasure(done.file).ok
            assert b"4417 stone" not in raw(home)
        elif not finished:
            assert again.erase(document="walrus.md").receipt.counts["documents"] == 1
        assert again.finish_erasures() == []
        if finished:
            return
    pytest.fail("it never came to its end")


KILL = """
import sys
from rag import Loremill
import rag.erasure.compact as compact
compact.compact = lambda path: print("here", flush=True) or sys.stdin.read()
with Loremill.open(sys.argv[1]) as mill:
    mill.erase(document="walrus.md")
"""


@sqlite_only
def test_killed_with_its_process_it_is_finished_by_the_same_command_again(mill: Loremill) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILL, str(mill.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    assert found_by(mill, "walrus greenhouse") <= {"lunch.md"}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (journal,) = (mill.home / "erasing").glob("*.json")
    assert "stone" not in journal.read_text()
    again = mill.erase(document="walrus.md")
    assert not any(again.receipt.counts.values())
    kept = [receipts.load(path) for path in (mill.home / "receipts").glob("*.json")]
    assert sorted(receipt.counts["documents"] for receipt in kept) == [0, 1]
    assert all(mill.verify_erasure(receipt.id).ok for receipt in kept)


@sqlite_only
def test_a_reader_of_an_old_state_keeps_it_from_ending_and_the_next_try_ends_it(
    mill: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag.erasure import compact

    monkeypatch.setattr(compact.compact, "__kwdefaults__", {"wait_s": 0.3})
    reader = sqlite3.connect(mill.home / "tenants/t/catalog.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM documents").fetchone()
    with pytest.raises(Busy, match="again"):
        mill.erase(document="walrus.md")
    reader.close()
    (done,) = mill.finish_erasures()
    assert done.receipt.counts["documents"] == 1
    assert b"4417 stone" not in raw(mill.home)


def test_a_live_build_that_does_not_agree_with_the_catalog_is_told_and_kept(mill: Loremill) -> None:
    (release,) = [one for one in mill.releases("c", tenant="t") if one.live]
    mill.search("who", collection="c", principal=ALICE)
    rows = mill.home / "tenants/t/collections/c/builds" / release.build / "rows.npz"
    rows.write_bytes(b"broken")
    with pytest.raises(BuildCorrupt, match="--full"):
        mill.erase(subject="user:alice")
    assert rows.exists()


def test_a_writer_beside_it_loses_nothing(mill: Loremill) -> None:
    from threading import Thread

    from indexes.tables import ingestions

    inbox, stop, written = mill.inbox("t"), [], []

    def write() -> None:
        while not stop:
            written.append(inbox.submit([{"document_id": "x", "text": "y"}], collection="other", principal=BOB))

    thread = Thread(target=write)
    thread.start()
    try:
        mill.erase(document="walrus.md")
    finally:
        stop.append(True)
        thread.join()
    with mill._tenant("t").catalog.read() as db:
        rows = {row.id for row in db.execute(ingestions.select())}
    assert rows == {*written}
