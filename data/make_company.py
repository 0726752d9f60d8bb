"""Build the binary documents of the sample company from readable sources.

    data/company_sources/legal/memo.pdf.md        ->  data/company/legal/memo.pdf
    data/company_sources/hr/letter.docx.md        ->  data/company/hr/letter.docx
    data/company_sources/hr/survey.pptx.yaml      ->  data/company/hr/survey.pptx
    data/company_sources/sales/prices.xlsx.yaml   ->  data/company/sales/prices.xlsx

A source is named after its target plus the notation it is written in: Markdown for pdf and docx (headings, paragraphs,
bullets, tables, `---` for a new page), YAML for pptx and xlsx. The same source always gives the same bytes.

    python data/make_company.py            write every binary document
    python data/make_company.py --check    exit 1 if the text of a binary document differs from its source
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

import docx
import openpyxl
import pptx
import pypdfium2
import yaml
from docx.table import Table as DocxTable
from docx.text.paragraph import Paragraph as DocxParagraph
from openpyxl.styles import Font
from pptx.util import Emu, Inches
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.platypus import (
    Flowable,
    ListFlowable,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "company_sources"
COMPANY = HERE / "company"
AUTHOR = "Halden Instruments"
BULLET = "\N{BULLET}"  # what a pdf draws before a list item
FIXED_TIME = datetime(2026, 1, 15, 9, 0, 0)

Kind = Literal["h1", "h2", "h3", "bullet", "text", "table", "page"]


@dataclass(frozen=True)
class Block:
    """One piece of a Markdown source: a heading, a bullet, a paragraph, a table or a page break."""

    kind: Kind
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()

    def fragments(self) -> Iterator[str]:
        """Yield the visible texts of the block in reading order."""
        if self.text:
            yield self.text
        for row in self.rows:
            yield from row


# Sources


def parse_markdown(source: str) -> list[Block]:
    """Split the small Markdown subset into blocks; a blank line ends a paragraph."""
    blocks: list[Block] = []
    for part in re.split(r"\n\s*\n", source.strip()):
        lines = [line.strip() for line in part.splitlines()]
        if lines[0].startswith("|"):
            blocks.append(Block("table", rows=tuple(_cells(line) for line in lines if line.strip("|-: "))))
        elif lines[0].startswith("- "):
            blocks.extend(Block("bullet", line.removeprefix("- ")) for line in lines)
        elif lines == ["---"]:
            blocks.append(Block("page"))
        elif heading := re.fullmatch(r"(#{1,3}) (.+)", lines[0]):
            level: list[Kind] = ["h1", "h2", "h3"]
            blocks.append(Block(level[len(heading[1]) - 1], heading[2]))
        else:
            blocks.append(Block("text", " ".join(lines)))
    return blocks


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


def title_of(blocks: list[Block]) -> str:
    """Return the first top-level heading."""
    return next(block.text for block in blocks if block.kind == "h1")


# Writers: source text -> bytes


def write_pdf(source: str) -> bytes:
    """Lay the blocks out on A4 pages."""
    blocks = parse_markdown(source)
    buffer = io.BytesIO()
    template = SimpleDocTemplate(buffer, pagesize=A4, title=title_of(blocks), author=AUTHOR, invariant=1)
    template.build([flowable for block in blocks for flowable in _pdf_flowables(block)])
    return buffer.getvalue()


def _pdf_flowables(block: Block) -> list[Flowable]:
    styles = getSampleStyleSheet()
    if block.kind == "page":
        return [PageBreak()]
    if block.kind == "table":
        small = ParagraphStyle("cell", parent=styles["BodyText"], fontSize=9, leading=11)
        table = Table([[Paragraph(escape(cell), small) for cell in row] for row in block.rows], repeatRows=1)
        grid = [("GRID", (0, 0), (-1, -1), 0.5, colors.grey), ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke)]
        table.setStyle(TableStyle(grid))
        return [table, Spacer(1, 10)]
    if block.kind == "bullet":
        return [ListFlowable([Paragraph(escape(block.text), styles["BodyText"])], bulletType="bullet", start=BULLET)]
    name = {"h1": "Title", "h2": "Heading2", "h3": "Heading3"}.get(block.kind, "BodyText")
    return [Paragraph(escape(block.text), styles[name])]


def write_docx(source: str) -> bytes:
    """Write the blocks with Word's built-in heading, list and table styles."""
    blocks = parse_markdown(source)
    document = docx.Document()
    _stamp(document.core_properties, title_of(blocks))
    for block in blocks:
        if block.kind == "page":
            document.add_page_break()  # type: ignore[no-untyped-call]
        elif block.kind == "table":
            table = document.add_table(rows=0, cols=len(block.rows[0]), style="Table Grid")
            for row in block.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
        elif block.kind == "bullet":
            document.add_paragraph(block.text, style="List Bullet")
        elif block.kind == "text":
            document.add_paragraph(block.text)
        else:
            document.add_heading(block.text, level=int(block.kind[1]))
    return _saved(document.save)


def write_pptx(source: str) -> bytes:
    """Write one slide per entry: a title, then bullets or a table, and speaker notes if there are any."""
    deck = yaml.safe_load(source)
    presentation = pptx.Presentation()
    _stamp(presentation.core_properties, deck["title"])
    for entry in deck["slides"]:
        has_table = "table" in entry
        slide = presentation.slides.add_slide(presentation.slide_layouts[5 if has_table else 1])
        slide.shapes.title.text = entry["title"]
        if has_table:
            _add_pptx_table(slide, entry["table"])
        else:
            slide.placeholders[1].text_frame.text = "\n".join(entry["bullets"])
        if "notes" in entry:
            slide.notes_slide.notes_text_frame.text = entry["notes"]
    return _saved(presentation.save)


def _add_pptx_table(slide: Any, rows: list[list[Any]]) -> None:
    height = Emu(Inches(0.4) * len(rows))
    table = slide.shapes.add_table(len(rows), len(rows[0]), Inches(0.5), Inches(1.8), Inches(9), height).table
    for r, row in enumerate(rows):
        for c, value in enumerate(row):
            table.cell(r, c).text = str(value)


def write_xlsx(source: str) -> bytes:
    """Write one worksheet per entry, its first row in bold."""
    book = yaml.safe_load(source)
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    workbook.properties.title, workbook.properties.creator = book["title"], AUTHOR
    workbook.properties.created = FIXED_TIME
    for entry in book["sheets"]:
        sheet = workbook.create_sheet(entry["name"])
        for row in entry["rows"]:
            sheet.append(row)
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        sheet.freeze_panes = "A2"
    return _saved(workbook.save)


def _stamp(properties: Any, title: str) -> None:
    properties.title, properties.author = title, AUTHOR
    properties.created = properties.modified = FIXED_TIME


def _saved(save: Callable[[io.BytesIO], Any]) -> bytes:
    """Return the saved package as a zip whose bytes depend on nothing but its content."""
    raw, fixed = io.BytesIO(), io.BytesIO()
    save(raw)
    modified = f"{FIXED_TIME:%Y-%m-%dT%H:%M:%SZ}</dcterms:modified>".encode()
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(fixed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"[^>]*</dcterms:modified>", modified, data)
            new.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return fixed.getvalue()


# Checks: what the source says, and what the written file says


def markdown_fragments(source: str) -> Iterator[str]:
    """Yield the texts that a pdf or docx source asks for."""
    for block in parse_markdown(source):
        yield from block.fragments()


def deck_fragments(source: str) -> Iterator[str]:
    """Yield the texts that a pptx source asks for."""
    for entry in yaml.safe_load(source)["slides"]:
        yield entry["title"]
        yield from entry.get("bullets", [])
        yield from (str(value) for row in entry.get("table", []) for value in row)
        yield entry.get("notes", "")


def book_fragments(source: str) -> Iterator[str]:
    """Yield the cell texts that an xlsx source asks for."""
    for entry in yaml.safe_load(source)["sheets"]:
        yield from (str(value) for row in entry["rows"] for value in row if value is not None)


def read_pdf(path: Path) -> Iterator[str]:
    """Yield the text of each page."""
    with pypdfium2.PdfDocument(path) as document:
        for page in document:
            yield page.get_textpage().get_text_range().replace(BULLET, "")


def read_docx(path: Path) -> Iterator[str]:
    """Yield paragraphs and table cells in document order."""
    for item in docx.Document(str(path)).iter_inner_content():
        if isinstance(item, DocxParagraph):
            yield item.text
        elif isinstance(item, DocxTable):
            yield from (cell.text for row in item.rows for cell in row.cells)


def read_pptx(path: Path) -> Iterator[str]:
    """Yield titles, bullets, table cells and speaker notes, slide by slide."""
    for slide in pptx.Presentation(str(path)).slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                yield shape.text_frame.text
            if shape.has_table:
                yield from (cell.text for row in shape.table.rows for cell in row.cells)
        if slide.has_notes_slide:
            yield slide.notes_slide.notes_text_frame.text


def read_xlsx(path: Path) -> Iterator[str]:
    """Yield the cells of every sheet, row by row."""
    for sheet in openpyxl.load_workbook(path).worksheets:
        yield from (str(value) for row in sheet.iter_rows(values_only=True) for value in row if value is not None)


@dataclass(frozen=True)
class Format:
    """How one binary format is written, read back, and what its source promises."""

    write: Callable[[str], bytes]
    read: Callable[[Path], Iterator[str]]
    promised: Callable[[str], Iterator[str]]


FORMATS = {
    ".pdf": Format(write_pdf, read_pdf, markdown_fragments),
    ".docx": Format(write_docx, read_docx, markdown_fragments),
    ".pptx": Format(write_pptx, read_pptx, deck_fragments),
    ".xlsx": Format(write_xlsx, read_xlsx, book_fragments),
}


def targets() -> Iterator[tuple[Path, Path]]:
    """Yield each source with the file it makes, in a fixed order."""
    for source in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        yield source, COMPANY / source.relative_to(SOURCES).with_suffix("")


def build() -> None:
    """Write every binary document."""
    for source, target in targets():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(FORMATS[target.suffix].write(source.read_text("utf-8")))


def stale() -> list[Path]:
    """Return the targets that are missing or do not say what their source says, whitespace aside."""
    return [target for source, target in targets() if not _is_current(source, target)]


def _is_current(source: Path, target: Path) -> bool:
    form = FORMATS[target.suffix]
    return target.exists() and _squeezed(form.read(target)) == _squeezed(form.promised(source.read_text("utf-8")))


def _squeezed(fragments: Iterator[str]) -> str:
    return re.sub(r"\s+", "", "".join(fragments))


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Build the binary documents of the sample company.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a document is stale")
    if not parser.parse_args().check:
        build()
    for path in (differing := stale()):
        print(f"differs from its source: {path.relative_to(HERE)}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
