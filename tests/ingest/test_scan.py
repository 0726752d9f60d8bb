"""Going through a source: nothing is looked at twice, nothing is lost, and every item ends in one count."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import ConfigError
from ingest import prepare
from ingest.report import IngestReport
from ingest.sources import files, marks
from rag import Loremill, Principal

ALICE = Principal("t", "user:alice")
ACL = "tenant: t\ndefault: {allow: [everyone]}\n"
PAST = 1_700_000_000
WriteTree = Callable[..., Path]
OpenMill = Callable[..., Loremill]


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree({"acl.yaml": ACL, "a.md": "# Kiln\n\nThe kiln runs hot.", "b.md": "Lunch is at noon."})


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had been written a while ago: one written this very moment has no mark yet."""
    monkeypatch.setattr(marks, "RACY_NS", 0)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the items that were parsed, as they are."""
    names: list[str] = []
    real = prepare.parse_isolated

    def counting(data: bytes, *, uri: str, **options: Any) -> Any:
        names.append(uri.rsplit("/", 1)[-1])
        return real(data, uri=uri, **options)

    monkeypatch.setattr(prepare, "parse_isolated", counting)
    return names


def ingest(mill: Loremill, docs: Path, **options: Any) -> IngestReport:
    return mill.ingest(docs, collection="c", **options)


def counts(report: IngestReport) -> dict[str, int]:
    return {name: value for name, value in report.to_json()["documents"].items() if value}


def listed(mill: Loremill) -> set[str]:
    return {info.document_id for info in mill.documents(collection="c", principal=ALICE)}


def quarantined(mill: Loremill) -> dict[str, str]:
    return {entry.document_id: entry.error for entry in mill.quarantine("c")}


def mail(subject: str, *attachments: tuple[str, bytes]) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@halden.example", "bob@halden.example", subject
    message["Message-ID"] = f"<{subject.replace(' ', '')}@halden.example>"
    message.set_content(f"See what is attached to {subject}.")
    for name, data in attachments:
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


# -- redone -------------------------------------------------------------------------------------------------------------


def test_what_did_not_change_is_neither_read_nor_parsed(mill: Loremill, docs: Path, parsed: list[str]) -> None:
    ingest(mill, docs)
    parsed.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "open_regular", lambda *_, **__: pytest.fail("it was read"))
        assert counts(ingest(mill, docs)) == {"unchanged": 2}
    assert parsed == []


def test_a_file_that_was_written_this_very_moment_is_read_once_more(
    mill: Loremill, docs: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "RACY_NS", 10**12)
    ingest(mill, docs)
    stat = (docs / "b.md").stat()
    (docs / "b.md").write_text("Lunch is at six.")
    os.utime(docs / "b.md", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert counts(ingest(mill, docs)) == {"unchanged": 1, "updated": 1}


def test_a_file_that_was_touched_is_read_and_not_parsed_again(mill: Loremill, docs: Path, parsed: list[str]) -> None:
    ingest(mill, docs)
    parsed.clear()
    os.utime(docs / "a.md", (PAST + 5, PAST + 5))
    report = ingest(mill, docs)
    assert counts(report) == {"unchanged": 2}
    assert parsed == []


def test_a_moved_file_is_not_parsed_again(mill: Loremill, docs: Path, parsed: list[str]) -> None:
    ingest(mill, docs)
    parsed.clear()
    (docs / "old").mkdir()
    (docs / "a.md").rename(docs / "old/a.md")
    report = ingest(mill, docs)
    assert (counts(report), report.moved, report.chunks.embedded) == ({"added": 1, "deleted": 1, "unchanged": 1}, 1, 0)
    assert parsed == []
    [hit] = [hit for hit in mill.search("kiln", collection="c", principal=ALICE) if hit.document_id == "old/a.md"]
    assert hit.title == "Kiln"


def test_a_bad_file_that_did_not_change_stays_in_quarantine_unparsed_until_a_retry(
    mill: Loremill, docs: Path, parsed: list[str]
) -> None:
    (docs / "bad.pdf").write_bytes(b"%PDF-1.7 nothing more")
    ingest(mill, docs)
    ingest(mill, docs)
    parsed.clear()
    report = ingest(mill, docs)
    assert counts(report) == {"unchanged": 2, "quarantined": 1}
    assert [(entry.error, entry.stage) for entry in report.quarantine] == [("ParseError", "parse")]
    assert parsed == []
    [again] = mill.retry("c")
    assert parsed == ["bad.pdf"]
    assert counts(again) == {"unchanged": 2, "quarantined": 1}
    assert quarantined(mill) == {"bad.pdf": "ParseError"}


def test_a_retry_of_one_item_leaves_the_others_alone_and_an_unknown_one_is_refused(
    mill: Loremill, docs: Path, parsed: list[str]
) -> None:
    for name in ("bad.pdf", "worse.pdf"):
        (docs / name).write_bytes(b"%PDF-1.7 nothing more")
    ingest(mill, docs)
    ingest(mill, docs)
    parsed.clear()
    mill.retry("c", uris=[(docs / "worse.pdf").as_uri()])
    assert parsed == ["worse.pdf"]
    with pytest.raises(ConfigError, match="not in quarantine"):
        mill.retry("c", uris=["file:///nowhere.pdf"])


def test_full_looks_at_everything_again(mill: Loremill, docs: Path, parsed: list[str]) -> None:
    ingest(mill, docs)
    parsed.clear()
    report = ingest(mill, docs, full=True)
    assert (counts(report), report.chunks.embedded) == ({"unchanged": 2}, 0)
    assert sorted(parsed) == ["a.md", "b.md"]


def test_a_chunk_size_and_back_embeds_each_text_once(open_mill: OpenMill, docs: Path, parsed: list[str]) -> None:
    (docs / "long.md").write_text(
        "\n\n".join(f"Paragraph {n} says something of its own about the kiln." for n in range(12))
    )
    mill, finer = open_mill(), open_mill(chunk_tokens=24)
    ingest(mill, docs)
    parsed.clear()
    first = ingest(finer, docs)
    assert first.chunks.embedded == first.chunks.added > 3
    assert ingest(mill, docs).chunks.embedded == 0
    assert ingest(finer, docs).chunks.embedded == 0
    assert mill.verify("c").ok
    assert "long.md" not in parsed, "the stored text is cut, the file is not read"


# -- attachments --------------------------------------------------------------------------------------------------------


def test_attachments_are_documents_of_their_own_and_share_the_rights_and_the_end_of_their_mail(
    mill: Loremill, docs: Path
) -> None:
    inner = mail("inner", ("deep.md", b"The deepest secret is a teapot."))
    (docs / "m.eml").write_bytes(mail("outer", ("note.md", b"The glaze is cobalt."), ("inner.eml", inner)))
    report = ingest(mill, docs)
    attached = {"m.eml#note.md", "m.eml#inner.eml", "m.eml#inner.eml#deep.md"}
    assert counts(report) == {"added": 6}
    assert listed(mill) == {"a.md", "b.md", "m.eml", *attached}
    [hit] = list(mill.search("cobalt glaze", collection="c", principal=ALICE, mode="lexical"))
    assert (hit.document_id, hit.metadata["attached_to"]) == ("m.eml#note.md", "m.eml")
    assert counts(ingest(mill, docs)) == {"unchanged": 6}
    (docs / "acl.yaml").write_text(ACL + "rules:\n  - {path: '*.eml', allow: [user:bob]}\n")
    assert counts(ingest(mill, docs)) == {"unchanged": 6}
    assert listed(mill) == {"a.md", "b.md"}
    (docs / "acl.yaml").write_text(ACL)
    (docs / "m.eml").write_bytes(mail("outer", ("note.md", b"The glaze is green.")))
    assert counts(ingest(mill, docs)) == {"unchanged": 2, "updated": 2, "deleted": 2}
    assert listed(mill) == {"a.md", "b.md", "m.eml", "m.eml#note.md"}
    (docs / "m.eml").unlink()
    assert counts(ingest(mill, docs)) == {"unchanged": 2, "deleted": 2}
    assert listed(mill) == {"a.md", "b.md"}
    assert mill.verify("c").ok


def test_a_bad_attachment_is_quarantined_and_its_mail_is_not(mill: Loremill, docs: Path, parsed: list[str]) -> None:
    (docs / "m.eml").write_bytes(mail("one", ("bad.pdf", b"%PDF-1.7 nothing"), ("blob.bin", b"\x00\x01\x02\xff" * 50)))
    assert counts(ingest(mill, docs)) == {"added": 3, "quarantined": 2}
    assert set(quarantined(mill)) == {"m.eml#bad.pdf", "m.eml#blob.bin"}
    ingest(mill, docs)
    parsed.clear()
    assert counts(ingest(mill, docs)) == {"unchanged": 3, "quarantined": 2}
    assert parsed == []
    mill.retry("c")
    assert "m.eml" in parsed, "the bad attachment can only be had through its mail"
    assert set(quarantined(mill)) == {"m.eml#bad.pdf", "m.eml#blob.bin"}
    assert mill.verify("c").ok


def test_mails_within_mails_have_an_end(mill: Loremill, docs: Path) -> None:
    data = b"The core."
    for depth in range(12):
        data = mail(f"level {depth}", ("next.eml" if depth else "core.md", data))
    (docs / "m.eml").write_bytes(data)
    report = ingest(mill, docs)
    assert report.documents.quarantined >= 1
    assert any("deep" in entry.message for entry in report.quarantine)


# -- contract -----------------------------------------------------------------------------------------------------------


def test_what_breaks_the_contract_is_quarantined_with_the_rule(mill: Loremill, docs: Path) -> None:
    (docs / "contract.yaml").write_text("types: [md]\nsize: {min_chars: 10}\n")
    (docs / "c.txt").write_text("A text file of some length.")
    (docs / "tiny.md").write_text("Hm.")
    report = ingest(mill, docs)
    assert counts(report) == {"added": 2, "quarantined": 2}
    assert {entry.error for entry in report.quarantine} == {"ContractViolation"}
    assert {entry.stage for entry in report.quarantine} == {"contract"}
    (docs / "contract.yaml").write_text("{}")
    report = ingest(mill, docs)
    assert report.documents.quarantined == 0
    assert report.chunks.embedded == 2, "a contract that touches no text embeds nothing but what it lets in"
    assert listed(mill) == {"a.md", "b.md", "c.txt", "tiny.md"}


def test_personal_data_is_redacted_before_anything_is_stored_and_lineage_says_where_it_stood(
    mill: Loremill, docs: Path, home: Path
) -> None:
    (docs / "contract.yaml").write_text("pii: redact\n")
    (docs / "m.eml").write_bytes(mail("Call", ("card.md", b"Pay with 4111 1111 1111 1111 please.")))
    ingest(mill, docs)
    for secret in ("ann@halden.example", "4111 1111 1111 1111"):
        for path in home.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), (secret, path)
    [hit] = list(mill.search("pay", collection="c", principal=ALICE, mode="lexical"))
    assert hit.text == "Pay with <CREDIT_CARD> please."
    assert hit.metadata["pii"] == ["CREDIT_CARD"]
    found = mill.lineage(hit.chunk_id)
    assert found is not None
    assert found["document"]["pii"] == [{"type": "CREDIT_CARD", "start": 9, "end": 22}]


@pytest.mark.parametrize(("policy", "kept"), [("tag", True), ("quarantine", False), ("off", True)])
def test_personal_data_is_tagged_or_kept_out_as_the_contract_says(
    mill: Loremill, docs: Path, policy: str, kept: bool
) -> None:
    (docs / "contract.yaml").write_text(f"pii: '{policy}'\n")
    (docs / "p.md").write_text("Write to ann@halden.example about it.")
    report = ingest(mill, docs)
    assert ("p.md" in listed(mill)) is kept
    assert [entry.error for entry in report.quarantine] == ([] if kept else ["PiiFound"])
    tagged = mill.search("write about it", collection="c", principal=ALICE, where={"pii": "EMAIL_ADDRESS"})
    assert [hit.document_id for hit in tagged] == (["p.md"] if policy == "tag" else [])


def test_a_document_that_grows_stale_is_quarantined_though_it_did_not_change(
    mill: Loremill, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    rows = [{"id": "new", "text": "Fresh.", "metadata": {"updated": "2026-06-01"}}]
    (docs / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (docs / "contract.yaml").write_text("freshness: {field: updated, max_age_days: 365, optional: true}\n")

    class Clock(datetime):
        year_now = 2026

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(cls.year_now, 11, 21, tzinfo=tz or UTC)

    monkeypatch.setattr(prepare, "datetime", Clock)
    assert counts(ingest(mill, docs)) == {"added": 3}
    Clock.year_now = 2028
    assert counts(ingest(mill, docs)) == {"unchanged": 2, "quarantined": 1}
    assert listed(mill) == {"a.md", "b.md"}


# -- duplicates ---------------------------------------------------------------------------------------------------------


def test_duplicates_are_recorded_and_each_keeps_its_own_rights(mill: Loremill, docs: Path) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    (docs / "contract.yaml").write_text("duplicates: {near: 0.8}\n")
    for name, body in {
        "d1.md": text,
        "d2.md": text,
        "d3.md": text.replace("word77 ", "other "),
        "d4.md": text[::-1],
    }.items():
        (docs / name).write_text(body)
    (docs / "acl.yaml").write_text(ACL + "rules:\n  - {path: 'd1.md', allow: [user:bob]}\n")
    report = ingest(mill, docs)
    assert (counts(report), report.duplicates) == ({"added": 6}, 2)
    assert listed(mill) == {"a.md", "b.md", "d2.md", "d3.md", "d4.md"}
    of = {}
    for hit in mill.search("word5", collection="c", principal=ALICE, mode="lexical"):
        found = mill.lineage(hit.chunk_id)
        assert found is not None
        of[hit.document_id] = found["document"]["duplicate_of"]
    assert of["d2.md"] == {"of": "d1.md", "similarity": 1.0}
    assert of["d3.md"]["of"] == "d1.md"
    assert 0.8 <= of["d3.md"]["similarity"] < 1
    (docs / "d1.md").unlink()
    assert ingest(mill, docs).duplicates == 1
