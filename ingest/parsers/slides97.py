"""PowerPoint presentations of 1997 to 2003 (.ppt): text by slide, from the records of the file.

Read here and not by LibreOffice, as in `ingest.parsers.word97`. Source: [MS-PPT], sections 2.1.2 (persist objects),
2.4.14.3 (SlideListWithText), 2.9.41 (TextCharsAtom).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from indexes.errors import EncryptedDocument, ParseError
from ingest.parsers import Parsed, blocks

_USER_EDIT, _PERSIST_DIRECTORY = 0x0FF5, 0x1772
_SLIDE_LIST, _SLIDE_PERSIST = 0x0FF0, 0x03F3
_TEXT_HEADER, _TEXT_CHARS, _TEXT_BYTES = 0x0F9F, 0x0FA0, 0x0FA8
_TITLES = frozenset([0, 6])  # title, centred title
_LISTED = frozenset([1, 5, 7, 8])  # body, centre body, half body, quarter body
_ENCRYPTED = 0xF3D1C4DF
_MAX_DEPTH = 40


@dataclass(slots=True)
class _Slide:
    persist: int
    title: str = ""
    texts: list[str] = field(default_factory=list)


def parse_ppt(data: bytes) -> Parsed:
    """One `##` section a slide: its title, its outline, its other text, then its speaker notes.

    Raises:
        EncryptedDocument: it needs a password.
        ParseError: its records cannot be followed.
    """
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as container:
        user = container.openstream("Current User").read()
        stream = container.openstream("PowerPoint Document").read()
    token, edit = struct.unpack_from("<II", user, 12)
    if token == _ENCRYPTED:
        raise EncryptedDocument("the presentation needs a password")
    places, document = _places(stream, edit)
    slides: list[_Slide] = []
    notes: list[_Slide] = []
    for kind, instance, start, end in _records(stream, *_body(stream, places.get(document, -1))):
        if kind == _SLIDE_LIST and instance in {0, 2}:
            (slides if instance == 0 else notes).extend(_listed(stream, start, end))
    parts: list[str] = []
    for number, slide in enumerate(slides):
        _add_drawn(stream, places, slide)
        spoken = notes[number] if number < len(notes) and len(notes) == len(slides) else None
        if spoken is not None:
            _add_drawn(stream, places, spoken)
            slide.texts += [blocks.paragraph(f"Notes: {text}") for text in spoken.texts if len(text) > 3]
        if slide.title or slide.texts:
            parts += [blocks.heading(slide.title or f"Slide {number + 1}", 2), *slide.texts]
    title = next((slide.title for slide in slides if slide.title), "")
    return Parsed(title, blocks.join(parts), {"slides": len(slides)})


def _places(stream: bytes, edit: int) -> tuple[dict[int, int], int]:
    """(persist id -> offset, the document's id), the newest edit first: what it holds outdates the older ones."""
    places: dict[int, int] = {}
    document = -1
    for _ in range(1000):
        kind = struct.unpack_from("<2xH", stream, edit)[0]
        if kind != _USER_EDIT:
            raise ParseError("its list of edits cannot be followed")
        previous, directory, root = struct.unpack_from("<8xIII", stream, edit + 8)
        document = root if document < 0 else document
        start, end = _body(stream, directory)
        while start + 4 <= end:
            head = struct.unpack_from("<I", stream, start)[0]
            first, count = head & 0xF_FFFF, head >> 20
            for index, offset in enumerate(struct.unpack_from(f"<{count}I", stream, start + 4)):
                places.setdefault(first + index, offset)
            start += 4 + 4 * count
        if not previous or previous >= edit:
            break
        edit = previous
    return places, document


def _body(stream: bytes, offset: int) -> tuple[int, int]:
    """Where the content of the record at `offset` begins and ends."""
    if not 0 <= offset <= len(stream) - 8:
        return 0, 0
    size = struct.unpack_from("<I", stream, offset + 4)[0]
    return offset + 8, min(offset + 8 + size, len(stream))


def _records(stream: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Kind, instance, start and end of each record in a container."""
    while start + 8 <= end:
        version, kind, size = struct.unpack_from("<HHI", stream, start)
        stop = min(start + 8 + size, end)
        yield kind, version >> 4, start + 8, stop
        start = stop


def _listed(stream: bytes, start: int, end: int) -> Iterator[_Slide]:
    """The slides of a list, each with the texts of its outline."""
    slide: _Slide | None = None
    kind_of_text = -1
    for kind, _, at, stop in _records(stream, start, end):
        if kind == _SLIDE_PERSIST:
            if slide is not None:
                yield slide
            slide = _Slide(struct.unpack_from("<I", stream, at)[0])
        elif kind == _TEXT_HEADER:
            kind_of_text = struct.unpack_from("<I", stream, at)[0]
        elif kind in {_TEXT_CHARS, _TEXT_BYTES} and slide is not None:
            _add(slide, _text(stream, kind, at, stop), kind_of_text)
    if slide is not None:
        yield slide


def _add_drawn(stream: bytes, places: dict[int, int], slide: _Slide) -> None:
    """The texts of the slide's own shapes, which are not in the outline."""
    kind_of_text = -1
    waiting = [(*_body(stream, places.get(slide.persist, -1)), 0)]
    while waiting:
        start, end, depth = waiting.pop()
        inner: list[tuple[int, int, int]] = []
        for kind, _, at, stop in _records(stream, start, end):
            if kind == _TEXT_HEADER:
                kind_of_text = struct.unpack_from("<I", stream, at)[0]
            elif kind in {_TEXT_CHARS, _TEXT_BYTES}:
                _add(slide, _text(stream, kind, at, stop), kind_of_text)
            elif stream[at - 8] & 0xF == 0xF and depth < _MAX_DEPTH:  # a container
                inner.append((at, stop, depth + 1))
        waiting += reversed(inner)


def _text(stream: bytes, kind: int, start: int, end: int) -> str:
    text = stream[start:end].decode("utf-16-le" if kind == _TEXT_CHARS else "latin-1", "replace")
    return text.replace("\r", "\n").replace("\x0b", "\n").strip()


def _add(slide: _Slide, text: str, kind: int) -> None:
    if kind in _TITLES and not slide.title:
        slide.title = blocks.inline(text)
    elif text and text != "*":  # the place of a page number
        lines = [line for line in text.split("\n") if line.strip()]
        listed = kind in _LISTED and len(lines) > 1
        slide.texts.append("\n".join(map(blocks.item, lines)) if listed else blocks.paragraph(text))
