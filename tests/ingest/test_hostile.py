"""No file hangs, crashes or fills anything: each is parsed, or refused under a named error, in bounded time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from indexes.errors import IngestError
from ingest.isolate import parse_isolated
from ingest.parse import Parsed
from tests.ingest.hostile import HOSTILE

SAMPLES = Path(__file__).resolve().parents[3] / "shared/data/documents/unstructured"
TIMEOUT_S = 60
"""What ingestion allows a file."""


SOUND = [
    *(
        "simple.docx",
        "simple.pptx",
        "stanley-cups.xlsx",
        "simple.odt",
        "simple.doc",
        "fake-power-point.ppt",
        "simple.zip",
    ),
    *("tests-example.xls", "fake-email-attachment.msg", "pdf/fake-memo.pdf", "fake-doc.rtf"),
    "eml/fake-email-attachment.eml",
]


def outcome(data: bytes, name: str) -> Parsed | IngestError:
    started = time.monotonic()
    found: Parsed | IngestError
    try:
        found = parse_isolated(data, uri=f"file:///{name}", timeout_s=TIMEOUT_S)
    except IngestError as error:
        found = error
    assert time.monotonic() - started < TIMEOUT_S + 5
    if isinstance(found, IngestError):
        assert name in str(found)
        assert "crashed" not in str(found), "a crash has a name, but should not happen"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_parsed_or_refused_by_name(name: str) -> None:
    found = outcome(HOSTILE[name](), name)
    if isinstance(found, Parsed):
        assert found.text or found.attachments
        assert "root:" not in found.text
        assert found.text.count("lol") < 100
        assert len(found.attachments) <= 1_000


@pytest.mark.slow
def test_a_file_cut_off_anywhere_is_parsed_or_refused_by_name() -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared example documents are not here")
    chosen = random.Random(3)
    for name in SOUND:
        data = (SAMPLES / name).read_bytes()
        for _ in range(5):
            outcome(data[: chosen.randrange(1, len(data))], Path(name).name)
            spoiled = bytearray(data)
            for _ in range(20):
                spoiled[chosen.randrange(len(data))] = chosen.randrange(256)
            outcome(bytes(spoiled), Path(name).name)


@pytest.mark.slow
def test_a_file_under_any_other_name_is_parsed_or_refused_by_name() -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared example documents are not here")
    for name in ("simple.docx", "simple.doc", "stanley-cups.csv", "pdf/fake-memo.pdf", "eml/fake-email.eml"):
        data = (SAMPLES / name).read_bytes()
        for extension in ("pdf", "docx", "xls", "doc", "md", "zip", "msg", "png", "unknown", "html", "rtf"):
            outcome(data, f"file.{extension}")
