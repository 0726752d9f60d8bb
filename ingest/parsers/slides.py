"""PPTX through python-pptx: one `##` section a slide, in the order of the slides.

Not through unstructured: it calls every short line a title, so that half of a slide's text would become headings.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ingest.parsers import Parsed, blocks


def parse_pptx(data: bytes) -> Parsed:
    """Titles, text, tables, charts' figures and speaker notes. Title: the property, or the first slide's."""
    import pptx

    presentation = pptx.Presentation(io.BytesIO(data))
    parts: list[str] = []
    first_title = ""
    for number, slide in enumerate(presentation.slides, start=1):
        holder = slide.shapes.title
        title = blocks.inline(holder.text_frame.text) if holder is not None else ""
        first_title = first_title or title
        body = [
            block
            for shape in slide.shapes
            if shape is not holder and not _same(shape, holder)
            for block in _shape(shape)
        ]
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if notes is not None and notes.text.strip():
            body.append(blocks.paragraph(f"Notes: {notes.text}"))
        if title or any(body):
            parts += [blocks.heading(title or f"Slide {number}", 2), *body]
    own = (presentation.core_properties.title or "").strip()
    own = "" if own.lower() in {"powerpoint presentation", "untitled"} else own
    return Parsed(own or first_title, blocks.join(parts), {"slides": len(presentation.slides)})


def _same(shape: Any, other: Any) -> bool:
    return other is not None and shape.shape_id == other.shape_id


def _shape(shape: Any) -> Iterator[str]:
    if hasattr(shape, "shapes"):  # a group
        for inner in shape.shapes:
            yield from _shape(inner)
    elif getattr(shape, "has_table", False):
        yield blocks.table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif getattr(shape, "has_chart", False):
        yield from _chart(shape.chart)
    elif shape.has_text_frame:
        yield from _text(shape)
    elif shape.element.tag.endswith("}pic"):
        described: str = shape.element.nvPicPr.cNvPr.get("descr") or ""
        yield blocks.paragraph(described)


def _text(shape: Any) -> Iterator[str]:
    """A body placeholder shows its paragraphs as bullets; a text box does not."""
    paragraphs = [paragraph for paragraph in shape.text_frame.paragraphs if paragraph.text.strip()]
    listed = shape.is_placeholder and str(shape.placeholder_format.type).split(" ")[0] in {"BODY", "OBJECT"}
    for paragraph in paragraphs:
        text = blocks.paragraph(paragraph.text.replace("\v", "\n"))
        bulleted = any(child.tag.endswith(("}buChar", "}buAutoNum")) for child in paragraph._p.iterdescendants())
        if bulleted or paragraph.level or (listed and len(paragraphs) > 1):
            yield blocks.item(text, depth=paragraph.level)
        else:
            yield text


def _chart(chart: Any) -> Iterator[str]:
    """The chart's title and its figures: one row a category, one column a series."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield blocks.paragraph(chart.chart_title.text_frame.text)
    for plot in chart.plots:
        series = list(plot.series)
        header = ["", *(str(entry.name) for entry in series)]
        columns = [list(entry.values) for entry in series]
        rows = [
            [str(category), *(_figure(column[index]) if index < len(column) else "" for column in columns)]
            for index, category in enumerate(plot.categories)
        ]
        yield blocks.table([header, *rows])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"
