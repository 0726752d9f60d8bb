"""Tables: CSV, XLSX through openpyxl, XLS through xlrd.

Not through unstructured: it cuts a sheet into several tables, titles and list items by the look of single cells, so
that rows lose their header.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any

from indexes.errors import EncryptedDocument
from ingest.parsers import Parsed, blocks
from ingest.parsers.plain import decode


def parse_csv(data: bytes) -> Parsed:
    """A table with its first row as the header; the delimiter is the one that cuts the first lines alike."""
    text = decode(data).removeprefix("\ufeff")
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    return Parsed("", blocks.table(list(reader)))


def _delimiter(text: str) -> str:
    """Of comma, semicolon, tab and bar: the one that gives the most columns in the most of the first lines."""
    sample = text[:20_000]
    if len(text) > len(sample):
        sample = sample[: sample.rfind("\n") + 1] or sample

    def score(delimiter: str) -> tuple[float, int]:
        rows = [row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if any(row)]
        widths = [len(row) for row in rows]
        common = max(set(widths), key=lambda width: (widths.count(width), width), default=1)
        return (widths.count(common) / len(widths) if common > 1 else 0.0, common)

    return max(",;\t|", key=score)


def parse_xlsx(data: bytes) -> Parsed:
    """Each sheet under a `##` heading: cached values of formulas, dates as ISO, percentages as shown."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    formulas = openpyxl.load_workbook(io.BytesIO(data), read_only=True) if _has_uncached_formulas(data) else None
    parts: list[str] = []
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # what the file declares is often wrong
        rows = (list(map(_shown, row)) for row in sheet.iter_rows())
        if formulas is not None:
            written = formulas[sheet.title]
            written.reset_dimensions()
            rows = (_with_formulas(*pair) for pair in zip(rows, written.iter_rows(), strict=False))
        parts += _sheet(sheet.title, _rows(rows))
    title = (book.properties.title or "").strip()
    return Parsed(title, blocks.join(parts), {"sheets": book.sheetnames})


def _has_uncached_formulas(data: bytes) -> bool:
    """Files written by scripts hold formulas without values; then the formula itself is shown."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
    return any(
        b"</f><v></v>" in sheet or b"</f><v/>" in sheet or b"</f><v />" in sheet or b"</f></c>" in sheet
        for sheet in sheets
    )


def _shown(cell: Any) -> str:
    value = cell.value
    return "" if value is None else _cell(value, cell.number_format)


def _with_formulas(values: list[str], cells: tuple[Any, ...]) -> list[str]:
    stated = (str(cell.value or "") for cell in cells)
    return [
        value or (text if text.startswith("=") else "") for value, text in zip_longest(values, stated, fillvalue="")
    ]


def _rows(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """Keep one blank row of many: some sheets are formatted down to row 1,048,576."""
    blank = False
    for row in rows:
        empty = not any(row)
        if not (empty and blank):
            yield row
        blank = empty


def parse_xls(data: bytes) -> Parsed:
    """As `parse_xlsx`, for the format before 2007."""
    import xlrd

    try:
        book = xlrd.open_workbook(file_contents=data, on_demand=True)
    except xlrd.XLRDError as error:
        if "encrypted" in str(error).lower():
            raise EncryptedDocument("the workbook needs a password") from error
        raise
    parts: list[str] = []
    for sheet in book.sheets():
        rows = [[_xls_cell(cell, book.datemode) for cell in sheet.row(index)] for index in range(sheet.nrows)]
        parts += _sheet(sheet.name, rows)
    return Parsed("", blocks.join(parts), {"sheets": book.sheet_names()})


def _xls_cell(cell: Any, datemode: int) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        return _cell(xlrd.xldate_as_datetime(cell.value, datemode), "")
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return _cell(bool(cell.value), "")
    return "" if cell.ctype == xlrd.XL_CELL_ERROR else _cell(cell.value, "")


def _sheet(name: str, rows: Iterable[list[str]]) -> list[str]:
    """A heading, then a table for every run of rows without a blank one; single cells above a table are paragraphs."""
    parts: list[str] = []
    run: list[list[str]] = []
    for row in [*rows, []]:
        filled = [cell for cell in row if cell.strip()]
        if len(filled) == 1 and not run:
            parts.append(blocks.paragraph(filled[0]))
        elif filled:
            run.append(row)
        elif run:
            parts.append(blocks.table(run))
            run = []
    return [blocks.heading(name, 2), *parts] if parts else []


def _cell(value: object, number_format: str) -> str:
    """Return the value as a person reads it in the sheet."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "seconds")
    if isinstance(value, int | float):
        if "%" in number_format:
            return f"{value * 100:.10g}%"
        decimals = re.search(r"0\.(0+)(?![0#?E])", number_format)
        if decimals:  # 6.40 is how a price reads
            return f"{value:.{len(decimals.group(1))}f}"
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    return str(value)
