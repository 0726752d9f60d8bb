"""What is erased is in no byte of the tables and indexes of a catalog in PostgreSQL either, and the receipt that says so can be checked."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexes.errors import Busy
from indexes.tables import feedback
from indexes.vocabulary import Acl, Principal
from rag import receipts
from rag.erasure import postgres as compaction
from rag.erasure.storage import DEAD_ROWS
from rag.loremill import Loremill
from tests.catalogs import PostgresServer
from tests.conftest import OpenMill

ALICE, BOB = Principal("t", "user:alice", ("group:ops",)), Principal("t", "user:bob", ("group:ops",))
EVERYONE = Acl(("everyone",))
SECRET = "The walrus of Alice Kettering weighs 4417 stone and lives in the greenhouse."
_WORD = re.compile(rb"[a-z]\d{3}q[bcdfghjklmnprtvwxz]{12}")


def words(letter: str, count: int = 200) -> list[str]:
    """Return words that nothing else holds, and that do not compress."""
    rng = random.Random(letter)
    return [f"{letter}{number:03d}q" + "".join(rng.choices("bcdfghjklmnprtvwxz", k=12)) for number in range(count)]


def left(*folders: Path) -> set[str]:
    """Return every planted word that a file below the folders holds."""
    found: set[str] = set()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                found.update(word.decode() for word in _WORD.findall(path.read_bytes().lower()))
    return found


@pytest.fixture
def url(postgres: PostgresServer, tmp_path: Path) -> Iterator[str]:
    yield postgres.url_of(tmp_path)
    postgres.free()


@pytest.fixture
def mill(open_mill: OpenMill, url: str) -> Loremill:
    return open_mill(catalog_url=url, audit_queries=True)


def pages(mill: Loremill, tenant: str = "t") -> Path:
    """Have the server write all it has in memory; return the folder of the database's tables and indexes."""
    with mill._tenant(tenant).catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.exec_driver_sql("CHECKPOINT")
        query = "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()"
        return Path(db.exec_driver_sql(query).scalar_one())


def put(mill: Loremill, who: Principal, document_id: str, text: str) -> None:
    metadata = {"subject": who.subject}
    mill.put_document(
        collection="c", principal=who, document_id=document_id, text=text, acl=EVERYONE, metadata=metadata
    )


def plant(mill: Loremill, who: Principal, folder: Path) -> list[str]:
    """Put 200 words into the home through every kind of storage."""
    planted = iter(own := words("a"))
    filler = random.Random(0)
    batch = folder / "batch.jsonl"
    documents = [
        {
            "document_id": f"d{number}", "title": f"About {next(planted)}", "text": f"The word is {next(planted)} now.",
            "metadata": {"subject": who.subject, "keyword": next(planted)}, "acl": {"allow": ["everyone"]},
        }
        for number in range(20)
    ]  # fmt: skip
    batch.write_text("\n".join(map(json.dumps, documents)))
    mill.put_documents(batch, collection="c", tenant="t")
    said = [f"My favourite colour is {next(planted)}.", f"I live in {next(planted)}."]
    said += [f"Note {number}: {next(planted)}." for number in range(70)]
    said += [f"{next(planted)} " + "".join(filler.choices("bcdfghjklmnpqrtvwxz", k=4000)) for _ in range(2)]  # in TOAST
    mill.memory.remember([{"role": "user", "content": text} for text in said], principal=who)
    corrected = mill.memory.remember(f"The gate code is {next(planted)}.", principal=who)
    mill.memory.update(corrected.id, f"The gate code is {next(planted)}.", principal=who)
    answer = mill.ask("What is the word?", collection="c", principal=who).to_json() | {"citations": []}
    for _ in range(10):
        mill.feedback(
            answer, collection="c", principal=who, rating="down", comment=next(planted), correction=next(planted)
        )
    asked = [{"user_input": f"{next(planted)}?", "principal": f"t/{who.subject}"} for _ in range(24)]
    (mill.home / "set.jsonl").write_text("\n".join(map(json.dumps, asked)) + "\n")
    for word in planted:
        mill.memory.recall(f"where is {word}?", principal=who)
    assert mill.memory.settle(60)
    return own


def test_200_words_of_a_subject_are_in_no_byte_and_another_ones_are_all_there(mill: Loremill, tmp_path: Path) -> None:
    hers, his = plant(mill, ALICE, tmp_path), words("b", 20)
    mill.memory.remember([{"role": "user", "content": f"Mine is {word}."} for word in his], principal=BOB)
    assert mill.memory.settle(60)
    with mill._tenant("t").catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.exec_driver_sql("ANALYZE")
    assert left(mill.home, pages(mill)) == {*hers, *his}
    done = mill.erase(subject="user:alice")
    assert left(mill.home, pages(mill)) == {*his}
    assert done.found == ()
    assert (done.receipt.counts["documents"], done.receipt.counts["ratings"]) == (20, 10)
    assert done.receipt.notes == (compaction.ALWAYS,)
    verdict = mill.verify_erasure(done.file)
    assert verdict.ok
    assert verdict.scan is not None
    assert verdict.scan.notes == ()
    forged = receipts.save(tmp_path, receipts.from_json(receipts.to_json(done.receipt) | {"notes": []}))
    assert not mill.verify_erasure(forged).sealed


def test_a_text_that_comes_back_is_found_in_its_table_and_on_its_pages(mill: Loremill) -> None:
    put(mill, ALICE, "walrus.md", SECRET)
    done = mill.erase(document="walrus.md")
    assert mill.verify_erasure(done.file).ok
    catalog = mill._tenant("t").catalog
    row = {
        "id": "x", "collection": "c", "subject": "user:bob", "groups": [], "rating": "up", "question": "?", "answer": "",
        "comment": SECRET, "correction": "", "release": "", "citations": [], "correct_document_ids": [], "created": "",
    }  # fmt: skip
    with catalog.write() as db:
        db.execute(feedback.insert(), row)
    for deleted in (False, True):
        if deleted:
            with catalog.write() as db:
                db.execute(feedback.delete())
        verdict = mill.verify_erasure(done.file)
        assert verdict.scan is not None
        tables = {each.where for each in verdict.scan.found if each.file == "postgresql"}
        assert tables == (set() if deleted else {"table feedback"})
        assert any(each.file.startswith("postgresql/base/") for each in verdict.scan.found)
    mill.compact()
    assert mill.verify_erasure(done.file).ok


def test_a_record_of_an_evaluation_that_repeats_it_goes_too(mill: Loremill) -> None:
    put(mill, ALICE, "walrus.md", SECRET)
    store = mill.evaluations("t")
    told, other = (
        store.submit("gate", collection="c", asked={"note": note}, files={}, subject="user:bob")
        for note in (f"We ask: {SECRET}", "We ask nothing.")
    )
    assert mill.erase(document="walrus.md").receipt.counts["evaluations"] == 1
    assert [store.status(one) is None for one in (told, other)] == [True, False]


def test_a_neighbours_words_are_none_of_the_receipts(mill: Loremill) -> None:
    put(mill, ALICE, "walrus.md", SECRET)
    put(mill, Principal("other", "user:eve"), "walrus.md", SECRET)
    done = mill.erase(document="walrus.md", tenant="t")
    assert done.found == ()
    assert mill.verify_erasure(done.file).ok
    assert mill.document_text("walrus.md", collection="c", principal=Principal("other", "user:eve")) == SECRET


def test_what_memory_forgot_stays_on_its_pages_until_they_are_compacted_and_the_receipt_says_so(mill: Loremill) -> None:
    mill.memory.remember(SECRET, principal=ALICE)
    assert mill.memory.settle(30)
    receipt = mill.memory.forget(principal=ALICE, query="walrus")
    assert receipt.notes == (DEAD_ROWS,)
    verdict = mill.verify_erasure(receipt.id)
    assert verdict.scan is not None
    assert {each.file.split("/")[0] for each in verdict.scan.found} == {"postgresql"}
    mill.compact(tenant="t")
    assert mill.verify_erasure(receipt.id).ok


def test_what_a_killed_ingestion_left_staged_goes_and_is_seen_until_then(mill: Loremill) -> None:
    put(mill, ALICE, "walrus.md", SECRET)
    put(mill, ALICE, "other.md", "Lunch is served at noon.")
    done = mill.erase(document="walrus.md")
    backend = mill._tenant("t").catalog.backend
    path = mill.home / "tenants/t/collections/c/staging-5.db"
    killed = backend.staging(path, "c", dry=False)
    staging = killed.__enter__()
    (schema,) = backend.staged_schemas()
    with staging.connect("stage") as db:
        db.exec_driver_sql(f'ALTER TABLE "{schema}".seen ADD said text')
        db.exec_driver_sql(f'INSERT INTO "{schema}".seen VALUES (%s, %s)', ("x", SECRET))
        db.commit()
    verdict = mill.verify_erasure(done.file)
    assert verdict.scan is not None
    assert any(each.where.endswith("seen") for each in verdict.scan.found)
    mill.erase(document="other.md")
    assert backend.staged_schemas() == []
    assert mill.verify_erasure(done.file).ok


KILL = """
import sys
from rag import Loremill
import rag.erasure.postgres as postgres
postgres._await_old_views = lambda db, wait_s: print("here", flush=True) or sys.stdin.read()
with Loremill.open(sys.argv[1], catalog_url=sys.argv[2]) as mill:
    mill.erase(document="walrus.md")
"""


def test_killed_with_its_process_it_is_finished_by_the_same_command_again(mill: Loremill, url: str) -> None:
    put(mill, ALICE, "walrus.md", SECRET)
    put(mill, ALICE, "lunch.md", "Lunch is served at noon.")
    process = subprocess.Popen(
        [sys.executable, "-c", KILL, str(mill.home), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert b"4417 stone" in b"".join(path.read_bytes() for path in pages(mill).iterdir() if path.is_file())
    assert not any(mill.erase(document="walrus.md").receipt.counts.values())
    kept = [receipts.load(path) for path in (mill.home / "receipts").glob("*.json")]
    assert sorted(receipt.counts["documents"] for receipt in kept) == [0, 1]
    assert all(mill.verify_erasure(receipt.id).ok for receipt in kept)
    assert b"4417 stone" not in b"".join(path.read_bytes() for path in pages(mill).iterdir() if path.is_file())


def test_a_reader_of_an_old_state_keeps_it_from_ending_and_the_next_try_ends_it(
    mill: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction.compact_postgres, "__kwdefaults__", {"wait_s": 0.3})
    put(mill, ALICE, "walrus.md", SECRET)
    with mill._tenant("t").catalog.read() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM state")
        with pytest.raises(Busy, match="again"):
            mill.erase(document="walrus.md")
    (done,) = mill.finish_erasures()
    assert done.receipt.counts["documents"] == 1
    assert mill.verify_erasure(done.file).ok


def test_a_second_home_over_the_catalog_erases_what_it_built_with_the_same_command(
    mill: Loremill, open_mill: OpenMill, url: str, tmp_path: Path
) -> None:
    second = open_mill(tmp_path / "second", catalog_url=url)
    put(mill, ALICE, "lunch.md", "Lunch is served at noon.")
    put(second, ALICE, "walrus.md", SECRET)
    mill.erase(document="walrus.md")
    builds = second.home / "tenants/t/collections/c/builds"
    held = [path for path in builds.iterdir() if "walrus.md" in (path / "documents.json").read_text()]
    assert held != []
    second.erase(subject="user:alice")
    assert not any(path.exists() for path in held)
