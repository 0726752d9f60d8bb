"""Scans are read: what a camera or a scanner made of a page becomes text again, within bounds."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import EmptyDocument, ParseError, TooLarge
from ingest.parse import parse
from ingest.parsers import ocr
from ingest.parsers.ocr import Budget, ranges

LINES = ("Invoice number 4711", "Delivery of twelve office chairs", "Payable within thirty days")

scans = pytest.mark.skipif(not ocr.is_available(), reason="the OCR extra is not installed")


def page(lines: Sequence[str], *, turned: float = 0.0, noise: int = 0) -> Any:
    """A page as a scanner sees it: black on grey, slightly turned, with specks."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (900, 160 + 70 * len(lines)), "#eeeeee")
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        pen.text((80, 70 + 70 * number), line, fill="#222222", font=ImageFont.load_default(32))
    picture = picture.rotate(turned, fillcolor="#eeeeee", resample=Image.Resampling.BICUBIC)
    chosen = random.Random(7)
    for _ in range(noise):
        picture.putpixel((chosen.randrange(picture.width), chosen.randrange(picture.height)), (90, 90, 90))
    return picture


def saved(picture: Any, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def spoken(text: str) -> str:
    return " ".join(text.split())


@scans
@pytest.mark.slow
@pytest.mark.parametrize(("format", "name"), [("PNG", "scan.png"), ("JPEG", "scan.jpg"), ("WEBP", "scan.webp")])
def test_a_crooked_and_noisy_scan_is_read_in_order(format: str, name: str) -> None:
    parsed = parse(saved(page(LINES, turned=1.0, noise=800), format), uri=name)
    assert spoken(parsed.text) == " ".join(LINES)
    assert parsed.metadata == {"ocr": True, "ocr_pages": "1"}
    assert parsed.format == "image"


@scans
@pytest.mark.slow
def test_a_pdf_without_text_is_read_page_by_page_and_what_is_left_out_is_named() -> None:
    pages = [page([f"This is page {number}", LINES[number]]) for number in range(3)]
    data = saved(pages[0], "PDF", save_all=True, append_images=pages[1:])
    parsed = parse(data, uri="scan.pdf", max_ocr_pages=2)
    assert spoken(parsed.text) == f"This is page 0 {LINES[0]} This is page 1 {LINES[1]}"
    assert parsed.metadata == {"pages": 3, "ocr": True, "ocr_pages": "1-2", "pages_not_read": "3"}


@scans
@pytest.mark.slow
def test_the_pages_of_a_tiff_are_read_one_after_the_other() -> None:
    data = saved(page([LINES[0]]), "TIFF", save_all=True, append_images=[page([LINES[1]])])
    assert spoken(parse(data, uri="scan.tif").text) == f"{LINES[0]} {LINES[1]}"


@scans
@pytest.mark.slow
def test_an_image_without_text_is_empty() -> None:
    with pytest.raises(EmptyDocument, match="no text is seen"):
        parse(saved(page([]), "PNG"), uri="blank.png")


def test_without_the_extra_a_scan_is_refused_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest.parsers import pdf

    monkeypatch.setattr(ocr, "is_available", lambda: False)
    monkeypatch.setattr(pdf, "is_available", lambda: False)
    with pytest.raises(ParseError, match=r"pip install 'loremill\[ocr\]'"):
        parse(saved(page(LINES), "PNG"), uri="scan.png")
    with pytest.raises(EmptyDocument, match=r"looks scanned.*pip install 'loremill\[ocr\]'"):
        parse(saved(page(LINES), "PDF"), uri="scan.pdf")


def test_an_image_of_too_many_pixels_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "is_available", lambda: True)
    monkeypatch.setattr(ocr, "MAX_PIXELS", 1_000)
    with pytest.raises(TooLarge, match="limit of 1,000"):
        parse(saved(page(LINES), "PNG"), uri="scan.png")


def test_no_page_is_begun_that_would_probably_pass_the_time() -> None:
    budget = Budget(pages=10, seconds=10.0)
    assert budget.take(1)
    budget.spent, budget.longest = 6.0, 6.0
    assert not budget.take(2)
    assert budget.metadata() == {"ocr": True, "ocr_pages": "1", "pages_not_read": "2"}


def test_pages_are_named_as_people_do() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges([]) == ""


def test_two_columns_are_read_one_after_the_other_and_a_table_row_by_row() -> None:
    def box(text: str, left: float, top: float, right: float) -> ocr._Box:
        return ocr._Box(text, left, top, right, top + 20)

    head = box("Head", 100, 0, 900)
    columns = [
        box(f"{side}{n}", *((50, 100 + 30 * n, 460) if side == "l" else (540, 100 + 30 * n, 950)))
        for n in range(6)
        for side in "lr"
    ]
    read = [line.text for part in ocr._columns([head, *columns], 1000) for line in ocr._lines(part)]
    assert read == ["Head", *(f"l{n}" for n in range(6)), *(f"r{n}" for n in range(6))]
    cells = [
        box(f"{side}{n}", *((50, 30 * n, 120) if side == "l" else (600, 30 * n, 700)))
        for n in range(6)
        for side in "rl"
    ]
    lines = [line for part in ocr._columns(cells, 1000) for line in ocr._lines(part)]
    assert [line.cells for line in lines] == [(f"l{n}", f"r{n}") for n in range(6)]


@scans
@pytest.mark.slow
def test_the_shared_scans_are_read() -> None:
    samples = Path(__file__).resolve().parents[3] / "shared/data/documents/unstructured"
    if not samples.exists():
        pytest.skip("the shared example documents are not here")
    text = spoken(parse((samples / "pdf/table-multi-row-column-cells.pdf").read_bytes(), uri="x.pdf").text)
    assert "Dexterity" in text
    assert "1672.1 sec, n=4" in text
