"""What a person reads in the example documents is in their parsed text."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from indexes.errors import IngestError
from ingest.isolate import parse_isolated
from ingest.parsers.ocr import is_available

SAMPLES = Path(__file__).resolve().parents[3] / "shared/data/documents/unstructured"
PHRASES: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("expected_phrases.yaml").read_text("utf-8"))
SCANS = {f"pdf/{name}.pdf" for name in ("loremipsum-flat", "single_table", "table-multi-row-column-cells")}
WANTED = 0.97


def spoken(text: str) -> str:
    """The words alone: a table's bars, list marks and line ends are no part of a phrase."""
    return re.sub(r"[\s|]+", " ", text)


def everything_in(data: bytes, name: str) -> str:
    """The document's text and, a level deep, that of its attachments."""
    parsed = parse_isolated(data, uri=name, timeout_s=120)
    texts = [parsed.title, parsed.text]
    for entry in parsed.attachments:
        with suppress(IngestError):  # a signature, a sound: quarantined on their own
            texts.append(parse_isolated(entry.data, uri=entry.name, timeout_s=120).text)
    return spoken("\n".join(texts))


def test_the_table_of_phrases_is_large_enough() -> None:
    assert len(PHRASES) >= 70
    assert len({Path(name).suffix for name in PHRASES}) >= 20
    assert all(isinstance(phrase, str) and phrase.strip() for phrases in PHRASES.values() for phrase in phrases)


@pytest.mark.slow
def test_expected_phrases_are_in_the_parsed_text() -> None:
    if not SAMPLES.exists():
        pytest.skip("the shared example documents are not here")
    names = [name for name in PHRASES if name not in SCANS or is_available()]
    found = {name: everything_in((SAMPLES / name).read_bytes(), name) for name in names}
    missing = [(name, phrase) for name in names for phrase in PHRASES[name] if spoken(phrase) not in found[name]]
    total = sum(len(PHRASES[name]) for name in names)
    assert len(missing) <= (1 - WANTED) * total, f"{len(missing)} of {total} are missing: {missing}"
