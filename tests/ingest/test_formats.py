"""A document is read as what it is: by its name where the bytes agree, by its bytes where they do not."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from indexes.errors import EncryptedDocument, ParseError
from ingest.formats import FORMATS, format_of, parser_version, sniff
from ingest.parse import parse
from tests.ingest.hostile import zipped

SAMPLES = Path(__file__).resolve().parents[3] / "shared/data/documents/unstructured"
MAIL = b"From: a@x.org\nTo: b@x.org\nSubject: Hello\n\nThe text.\n"


def sample(name: str) -> bytes:
    if not (SAMPLES / name).exists():
        pytest.skip("the shared example documents are not here")
    return (SAMPLES / name).read_bytes()


def workbook() -> bytes:
    import openpyxl

    book, file = openpyxl.Workbook(), io.BytesIO()
    book.active.append(["Item", "Price"])
    book.save(file)
    return file.getvalue()


def document() -> bytes:
    import docx

    written, file = docx.Document(), io.BytesIO()
    written.add_paragraph("Some text.")
    written.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"%PDF-1.7", "pdf"),
        (b"junk before\n%PDF-1.7", "pdf"),
        (b"{\\rtf1 text}", "rtf"),
        (b"\x89PNG\r\n\x1a\nrest", "image"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image"),
        (b"<!DOCTYPE html><p>x", "html"),
        (b"\xef\xbb\xbf  <html><p>x", "html"),
        (b"<?xml version='1.0'?><a>x</a>", "xml"),
        (MAIL, "eml"),
        (b'{"a": 1}', "json"),
        (b"{not json}", ""),
        (b"Plain text.", ""),
        (b"\0\1\2\3" * 100, ""),
    ],
)
def test_bytes_show_their_format(data: bytes, expected: str) -> None:
    assert sniff(data) == expected


@pytest.mark.parametrize(
    ("build", "expected"), [(workbook, "xlsx"), (document, "docx"), (lambda: zipped({"a.txt": b"x"}), "zip")]
)
def test_containers_are_told_apart_by_what_they_hold(build: Callable[[], bytes], expected: str) -> None:
    assert sniff(build()) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simple.doc", "doc"),
        ("fake-power-point.ppt", "ppt"),
        ("tests-example.xls", "xls"),
        ("fake-email.msg", "msg"),
        ("simple.odt", "odt"),
        ("winter-sports.epub", "epub"),
        ("password_protected.xlsx", "encrypted"),
    ],
)
def test_old_and_open_office_files_are_told_apart(name: str, expected: str) -> None:
    assert sniff(sample(name)) == expected


@pytest.mark.parametrize("name", ["notes", "notes.unknown", "Makefile", "notes.conf"])
def test_text_under_an_unknown_name_is_read(name: str) -> None:
    parsed = parse(b"all: build\n\tmake", uri=name)
    assert (parsed.text, parsed.format) == ("all: build\n\tmake", "txt")


@pytest.mark.parametrize(
    ("name", "data", "format"),
    [
        ("page.doc", b"<html><p>Text</p></html>", "html"),
        ("report.xls", b"<?xml version='1.0'?><a>x</a>", "xml"),
        ("letter.doc", b"{\\rtf1 Text}", "rtf"),
        ("letter.txt", b"{\\rtf1 Text}", "rtf"),
        ("mail", MAIL, "eml"),
        ("data", b'[{"a": 1, "b": 2}, {"a": 3, "b": 4}]', "json"),
    ],
)
def test_a_wrong_name_does_not_hide_what_a_file_is(name: str, data: bytes, format: str) -> None:
    assert parse(data, uri=name).format == format


def test_text_under_a_text_name_is_read_as_its_name_says() -> None:
    assert parse(b"<html><p>markup shown to readers</p></html>", uri="x.txt").text.startswith("<html>")
    assert parse(MAIL, uri="x.md").format == "md"


def test_a_document_under_another_offices_name_is_read() -> None:
    assert parse(workbook(), uri="x.docx").format == "xlsx"
    assert parse(document(), uri="x.zip").format == "docx"


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("x.txt", b"\x7fELF\2\1\1\0\0", "a program"),
        ("x", b"\x1f\x8b\x08\0\0", "a gzip archive"),
        ("x.odg", zipped({"mimetype": b"application/vnd.oasis.opendocument.graphics"}), "OpenDocument"),
        ("x.pdf", b"Not found", "begins with %PDF-"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_it_is(name: str, data: bytes, what: str) -> None:
    with pytest.raises(ParseError, match=what):
        parse(data, uri=name)


def test_an_encrypted_office_file_is_named_so_under_any_name() -> None:
    with pytest.raises(EncryptedDocument):
        parse(sample("password_protected.xlsx"), uri="anything")


def test_the_parser_version_names_the_libraries_and_imports_none() -> None:
    version = parser_version("xlsx")
    assert version.startswith(f"xlsx/{FORMATS['xlsx'].version} openpyxl ")
    assert version.split()[-1][0].isdigit()
    code = (
        "import sys; from ingest.formats import FORMATS, parser_version; [parser_version(name) for name in FORMATS];"
        "assert not {'openpyxl', 'lxml', 'pypdfium2', 'docx', 'rapidocr'} & set(sys.modules)"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_library_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    entry = dataclasses.replace(FORMATS["xlsx"], packages=("no-such-package",))
    monkeypatch.setitem(FORMATS, "xlsx", entry)
    assert parser_version("xlsx").endswith("no-such-package -")


def test_extensions_are_unique_and_known_in_any_case() -> None:
    extensions = [extension for entry in FORMATS.values() for extension in entry.extensions]
    assert len(extensions) == len(set(extensions))
    assert [format_of(name) for name in ("a/B.DOCX", "x.TIFF", "x", "x.zip")] == ["docx", "image", "", "zip"]
