"""What comes inside a mail, an archive or a PDF is handed on as it is, under a safe name."""

from __future__ import annotations

import base64
import io
import stat
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import EncryptedDocument, ParseError, TooLarge
from ingest.parse import Attachment, Parsed, parse
from ingest.parsers import archive, mail
from ingest.parsers.archive import safe_name
from tests.ingest.hostile import HOSTILE, zipped

SAMPLES = Path(__file__).resolve().parents[3] / "shared/data/documents/unstructured"
PIXEL = b"\x89PNG\r\n\x1a\n" + b"x" * 50


def message(subject: str = "Offer") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@x.org", "bob@x.org", subject
    mail.set_content("See the file.")
    return mail


def parsed_mail(mail: EmailMessage) -> Parsed:
    return parse(mail.as_bytes(), uri="x.eml")


def test_a_mails_attachments_come_as_bytes_with_the_format_their_name_promises() -> None:
    written = message()
    written.add_attachment(b"%PDF-1.7 offer", maintype="application", subtype="pdf", filename="offer.pdf")
    written.add_attachment(b"BEGIN:VCALENDAR", maintype="text", subtype="calendar", filename="date.xyz")
    parsed = parsed_mail(written)
    assert parsed.attachments == (
        Attachment("offer.pdf", b"%PDF-1.7 offer", "pdf"),
        Attachment("date.xyz", b"BEGIN:VCALENDAR", ""),
    )
    assert "Attachments: offer.pdf, date.xyz" in parsed.text


def test_a_forwarded_message_is_an_attachment_with_its_own_attachments_inside() -> None:
    inner = message("The first / one")
    inner.add_attachment(b"data", maintype="application", subtype="octet-stream", filename="a.bin")
    outer = message()
    outer.add_attachment(inner)
    (found,) = parsed_mail(outer).attachments
    assert (found.name, found.format) == ("The first one.eml", "eml")
    again = parse(found.data, uri=found.name)
    assert again.title == "The first / one"
    assert [entry.name for entry in again.attachments] == ["a.bin"]


def test_the_messages_of_a_digest_are_attachments() -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared example documents are not here")
    parsed = parse((SAMPLES / "eml/mime-multipart-digest.eml").read_bytes(), uri="x.eml")
    assert [entry.name for entry in parsed.attachments] == [
        "First Message.eml",
        "Second Message.eml",
        "Third Message.eml",
    ]
    assert b"second message in the digest" in parsed.attachments[1].data


def test_a_nameless_text_part_is_more_of_the_text() -> None:
    written = message()
    written.make_mixed()
    footer = EmailMessage()
    footer.set_content("You are on the list.")
    written.attach(footer)
    parsed = parsed_mail(written)
    assert parsed.text.endswith("See the file.\n\nYou are on the list.")
    assert not parsed.attachments


@pytest.mark.parametrize("readable", [True, False])
def test_an_image_in_the_text_is_an_attachment_only_where_it_could_be_read(
    readable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail, "is_available", lambda: readable)
    written = EmailMessage()
    written["Subject"] = "s"
    written.set_content("<p>See <img src='cid:logo'></p>", subtype="html")
    written.add_related(PIXEL, "image", "png", cid="<logo>", filename="logo.png", disposition="inline")
    parsed = parsed_mail(written)
    assert [entry.name for entry in parsed.attachments] == (["logo.png"] if readable else [])
    assert readable or parsed.metadata["skipped"] == ["logo.png: an image in the text"]


def test_a_part_that_is_called_text_and_is_none_does_not_cost_the_message() -> None:
    written = message()
    written.make_mixed()
    part = EmailMessage()
    part["Content-Type"] = "text/plain"
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload(base64.b64encode(bytes(range(256)) * 20).decode())
    written.attach(part)
    parsed = parsed_mail(written)
    assert parsed.text.endswith("See the file.")
    assert [entry.data for entry in parsed.attachments] == [bytes(range(256)) * 20]


def test_an_encrypted_message_is_named() -> None:
    data = b"From: a@x.org\nSubject: Payroll\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n\nMIIB"
    with pytest.raises(EncryptedDocument, match="Payroll"):
        parse(data, uri="x.eml")


def test_an_outlook_messages_attachment_comes_as_bytes() -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared example documents are not here")
    parsed = parse((SAMPLES / "fake-email-attachment.msg").read_bytes(), uri="x.msg")
    (found,) = parsed.attachments
    assert found.name == parsed.metadata["attachments"][0]
    assert parse(found.data, uri=found.name).text


# -- archives ----------------------------------------------------------------------------------------------------------


def test_an_archives_members_are_attachments_in_order_and_it_has_no_text() -> None:
    parsed = parse(zipped({"a/b.md": b"# B", "empty/": b"", "inner.zip": zipped({"c.txt": b"c"})}), uri="x.zip")
    assert parsed.text == ""
    assert [(entry.name, entry.format) for entry in parsed.attachments] == [("a/b.md", "md"), ("inner.zip", "zip")]


def test_names_lead_nowhere_else_and_are_unique() -> None:
    parsed = parse(HOSTILE["names.zip"](), uri="x.zip")
    names = [entry.name for entry in parsed.attachments]
    assert names[:5] == ["etc/passwd", "etc/shadow", "windows/a.txt", "a b [31m.txt", "attachment"]
    assert names[6:] == ["same.txt", "same (2).txt"]
    assert parsed.metadata["skipped"] == ["link.txt: a symbolic link"]


@given(st.text(max_size=100) | st.text(alphabet="./\\:C\n ", max_size=30))
def test_any_name_becomes_a_relative_one_without_steps_upwards(name: str) -> None:
    found = safe_name(name)
    assert found
    assert not found.startswith("/")
    assert "\\" not in found
    assert not {"", ".", ".."} & set(found.split("/"))
    assert found.isprintable() or not any(character < " " for character in found)
    assert safe_name(found) == found


def test_an_encrypted_member_is_named() -> None:
    data = bytearray(zipped({"secret.txt": b"x" * 50}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(magic) + offset] |= 1
    with pytest.raises(EncryptedDocument, match=r"secret\.txt"):
        parse(bytes(data), uri="x.zip")


@pytest.mark.parametrize(
    ("limit", "value", "members"),
    [
        ("MAX_MEMBERS", 2, {f"{n}.txt": b"x" for n in range(3)}),
        ("MAX_UNPACKED_BYTES", 99, {"a": b"x" * 60, "b": b"x" * 60}),
    ],
)
def test_an_archive_beyond_a_limit_is_too_large(
    limit: str, value: int, members: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, limit, value)
    with pytest.raises(TooLarge):
        parse(zipped(members), uri="x.zip")


def test_a_member_beyond_the_size_of_a_document_is_too_large_and_named() -> None:
    with pytest.raises(TooLarge, match=r"big\.txt"):
        parse(zipped({"big.txt": b"x" * 2_000}), uri="x.zip", max_bytes=1_000)


def test_a_broken_member_is_named() -> None:
    data = zipped({"good.txt": b"good", "bad.txt": b"0123456789" * 5}, compression=zipfile.ZIP_STORED)
    with pytest.raises(ParseError, match=r"bad\.txt"):
        parse(data.replace(b"0123456789", b"9876543210", 1), uri="x.zip")


def test_what_a_file_manager_adds_is_left_out_and_named() -> None:
    parsed = parse(zipped({"__MACOSX/._a.md": b"x", ".DS_Store": b"x", "a.md": b"# A"}), uri="x.zip")
    assert [entry.name for entry in parsed.attachments] == ["a.md"]
    assert len(parsed.metadata["skipped"]) == 2


def test_the_files_in_a_pdf_are_attachments() -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    document.new_page(100, 100)
    document.new_attachment("invoice.xml").set_data(b"<total>7</total>")
    file = io.BytesIO()
    document.save(file)
    assert parse(file.getvalue(), uri="x.pdf").attachments == (Attachment("invoice.xml", b"<total>7</total>", "xml"),)


def test_a_link_in_an_archive_is_told_by_its_mode() -> None:
    entry = zipfile.ZipInfo("a")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert archive._why_not(entry, "a") == "a symbolic link"
