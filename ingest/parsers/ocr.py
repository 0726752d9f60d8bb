"""Reading scans: images and pages without text, through rapidocr (an extra; its models come in its wheel)."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING, Any

from indexes.errors import EmptyDocument, ParseError, TooLarge
from ingest.parsers import Parsed, blocks
from ingest.parsers.layout import Line, page_blocks

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_SIDE = 1600
"""Pixels; larger pages are scaled down. A4 at 140 dots per inch: 2,000 pixels cost half as much again and read no better."""
MAX_PIXELS = 150_000_000
INSTALL = "reading scans (OCR) needs: pip install 'loremill[ocr]'"


@dataclass(frozen=True, slots=True)
class _Box:
    """One piece of text on a page, in pixels from the upper left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(slots=True)
class Budget:
    """How many pages of a document may still be read, and how many seconds that may take; keeps account of both."""

    pages: int
    seconds: float
    read: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    spent: float = 0.0
    longest: float = 0.0

    def take(self, page: int) -> bool:
        """Is a page (from 1) within the allowance, and another like the slowest so far within the time?"""
        taken = len(self.read) < self.pages and self.spent + self.longest < self.seconds
        (self.read if taken else self.unread).append(page)
        return taken

    @contextmanager
    def page(self) -> Iterator[None]:
        """Time the reading of a page."""
        started = time.monotonic()
        yield
        took = time.monotonic() - started
        self.spent, self.longest = self.spent + took, max(self.longest, took)

    def metadata(self) -> dict[str, Any]:
        """`ocr` with the pages read, `pages_not_read` with those passed over, both as `1-3, 7`."""
        named = {"ocr": bool(self.read), "ocr_pages": ranges(self.read), "pages_not_read": ranges(self.unread)}
        return {key: value for key, value in named.items() if value}


def is_available() -> bool:
    """Is the extra installed? Nothing is imported."""
    return find_spec("rapidocr") is not None


def ranges(pages: list[int]) -> str:
    """Return ascending page numbers as people write them: `1-3, 7`."""
    runs = (list(run) for _, run in groupby(enumerate(pages), key=lambda pair: pair[1] - pair[0]))
    ends = ((run[0][1], run[-1][1]) for run in runs)
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ends)


def parse_image(data: bytes, *, max_ocr_pages: int, ocr_seconds: float) -> Parsed:
    """The text that a picture shows; the pages of a TIFF one after the other.

    Raises:
        ParseError: OCR is not installed, or it is no readable image.
        EmptyDocument: no text is seen in it.
        TooLarge: it has more than MAX_PIXELS pixels.
    """
    if not is_available():
        raise ParseError(INSTALL)
    from PIL import Image, ImageSequence, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # checked below, where the error has a name
    try:
        picture = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise ParseError("it is no image that can be read") from error
    budget = Budget(max_ocr_pages, ocr_seconds)
    found: list[str] = []
    for number, frame in enumerate(ImageSequence.Iterator(picture), start=1):
        if frame.width * frame.height > MAX_PIXELS:
            raise TooLarge(f"{frame.width:,} x {frame.height:,} pixels, more than the limit of {MAX_PIXELS:,}")
        if budget.take(number):
            with budget.page():
                found += page_blocks(read_lines(_prepared(frame)))
    text = blocks.join(found)
    if not text:
        raise EmptyDocument("no text is seen in the image")
    return Parsed("", text, budget.metadata())


def read_lines(image: Image) -> list[Line]:
    """Return the lines that are seen on a page, in reading order.

    Cost: seconds a page on a CPU; memory is bounded by LONGEST_SIDE.
    """
    import numpy as np

    pixels = np.asarray(image)[:, :, ::-1]  # as OpenCV has it: blue first
    seen = _engine()(np.ascontiguousarray(pixels))
    if seen.boxes is None or seen.txts is None:
        return []
    boxes = [
        _Box(text, *map(float, corners.min(axis=0)), *map(float, corners.max(axis=0)))
        for corners, text in zip(seen.boxes, seen.txts, strict=True)
        if text.strip()
    ]
    return [line for column in _columns(boxes, image.width) for line in _lines(column)]


@cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    threads = max(1, (os.cpu_count() or 1) // 2)  # other workers are at work at the same time
    return RapidOCR(params={"Global.log_level": "critical", "EngineConfig.onnxruntime.intra_op_num_threads": threads})


def _prepared(frame: Image) -> Image:
    """Upright, on white, in colour, of bounded size."""
    from PIL import Image, ImageOps

    frame.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a JPEG is decoded at the size wanted
    upright = ImageOps.exif_transpose(frame)
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if upright.has_transparency_data:
        solid = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", solid.size, "white"), solid).convert("RGB")
    return upright.convert("RGB")


def _columns(boxes: list[_Box], width: float) -> list[list[_Box]]:
    """Part a page in two columns: wide boxes on both sides of a gutter near the middle, and nothing across below it."""
    best: list[list[_Box]] = [boxes]
    for gutter in (width * share / 100 for share in range(40, 61)):
        left = [box for box in boxes if box.right <= gutter]
        right = [box for box in boxes if box.left >= gutter]
        if min(len(left), len(right)) < 5 or min(map(_median_width, (left, right))) < width * 0.28:
            continue
        first = min(box.top for box in left + right)
        across = [box for box in boxes if box.left < gutter < box.right]
        above = [box for box in across if box.top < first + 0.25 * (max(box.bottom for box in boxes) - first)]
        if len(above) == len(across):
            level = max((box.bottom for box in above), default=first)
            head = [box for box in boxes if box.bottom <= level]
            return [
                part
                for part in (head, [b for b in left if b.bottom > level], [b for b in right if b.bottom > level])
                if part
            ]
    return best


def _median_width(boxes: list[_Box]) -> float:
    return sorted(box.right - box.left for box in boxes)[len(boxes) // 2]


def _lines(boxes: list[_Box]) -> Iterator[Line]:
    """Join what stands on one level, from left to right; wide gaps part cells."""
    rows: list[list[_Box]] = []
    for box in sorted(boxes, key=lambda box: box.top + box.bottom):
        middle = (box.top + box.bottom) / 2
        if rows and rows[-1][0].top < middle < rows[-1][0].bottom:
            rows[-1].append(box)
        else:
            rows.append([box])
    usual = sorted(box.bottom - box.top for box in boxes)[len(boxes) // 2] if boxes else 0.0
    for row in rows:
        row.sort(key=lambda box: box.left)
        height = max(box.bottom - box.top for box in row)
        size = height if height > 1.5 * usual else usual  # smaller differences come from letters like p and T
        yield Line(" ".join(box.text.strip() for box in row), size, -row[0].top, tuple(box.text.strip() for box in row))
