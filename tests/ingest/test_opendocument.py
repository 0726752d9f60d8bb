"""Spreadsheets and presentations of LibreOffice keep their sheets, tables, slides and lists."""

from __future__ import annotations

from ingest.parse import parse
from tests.ingest.hostile import zipped

SPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in [
        *(("office", "office"), ("table", "table"), ("text", "text"), ("draw", "drawing")),
        ("presentation", "presentation"),
    ]
)


def document(kind: str, body: str) -> bytes:
    content = f"<office:document-content {SPACES}><office:body>{body}</office:body></office:document-content>"
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    return zipped({"mimetype": mimetype.encode(), "content.xml": content.encode()})


def cell(text: str, more: str = "") -> str:
    return f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>"


def test_each_sheet_is_a_table_and_endless_formatting_is_no_content() -> None:
    filler = '<table:table-cell table:number-columns-repeated="16384"/>'
    rows = [
        cell("Item") + cell("Price") + filler,
        cell("Tea<text:s/>pot") + cell("4.50<office:annotation><text:p>a remark</text:p></office:annotation>"),
        cell("same", 'table:number-columns-repeated="2"'),
    ]
    blank = f'<table:table-row table:number-rows-repeated="1048576">{filler}</table:table-row>'
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    parsed = parse(
        document("spreadsheet", f'<table:table table:name="Stock">{table}{blank}</table:table>'), uri="stock.ods"
    )
    assert parsed.text == ("## Stock\n\n| Item | Price |\n| --- | --- |\n| Tea pot | 4.50 a remark |\n| same | same |")
    assert parsed.metadata == {"sheets": ["Stock"]}


def test_each_slide_is_a_section_with_its_lists_and_notes() -> None:
    item = "<text:list-item><text:p>{}</text:p>{}</text:list-item>"
    inner = "<text:list>" + item.format("below", "") + "</text:list>"
    slide = (
        '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>Plan</text:p></draw:text-box></draw:frame>'
        f"<draw:frame><draw:text-box><text:list>{item.format('first', inner)}</text:list></draw:text-box></draw:frame>"
        "<presentation:notes><draw:frame><draw:text-box><text:p>Slowly</text:p></draw:text-box></draw:frame>"
        "</presentation:notes></draw:page>"
    )
    parsed = parse(document("presentation", slide), uri="plan.odp")
    assert (parsed.title, parsed.text) == ("Plan", "## Plan\n\n- first\n  - below\n\nNotes: Slowly")
