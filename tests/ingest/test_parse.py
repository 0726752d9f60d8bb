"""Every format becomes Markdown that keeps its structure; every bad file becomes an error that says what is wrong."""

from __future__ import annotations

import datetime
import io
import zipfile
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import EmptyDocument, EncryptedDocument, IngestError, ParseError, TooLarge
from ingest.parse import FORMATS, MAX_BYTES, format_of, load_parser, parse

SAMPLES = Path(__file__).resolve().parents[3] / "shared/data/documents/unstructured"


def text_of(content: str | bytes, name: str) -> str:
    return parse(content.encode() if isinstance(content, str) else content, uri=f"file:///{name}").text


def saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def sample(name: str) -> bytes:
    if not (SAMPLES / name).exists():
        pytest.skip("the shared example documents are not here")
    return (SAMPLES / name).read_bytes()


def test_every_format_has_a_parser() -> None:
    assert all(callable(load_parser(name)) for name in FORMATS)


# -- Markdown and text -------------------------------------------------------------------------------------------------


def test_front_matter_gives_title_and_metadata() -> None:
    parsed = parse(b"---\ntitle: Leave\nvalid: 2026-01-01\ntags: [a, b]\n---\n# Other\n\nText", uri="leave.md")
    assert (parsed.title, parsed.text) == ("Leave", "# Other\n\nText")
    assert parsed.metadata == {"valid": "2026-01-01", "tags": ["a", "b"]}


def test_front_matter_that_is_no_yaml_stays_text() -> None:
    assert "a: b: c" in text_of("---\na: b: c\n---\nText", "x.md")


def test_a_title_is_the_first_heading_outside_code_or_the_file_name() -> None:
    assert parse(b"```\n# no\n```\n\n# Yes #\n", uri="x.md").title == "Yes"
    assert parse(b"text", uri="file:///a/travel-policy_2024%20final.md").title == "travel policy 2024 final"


def test_links_images_and_comments_of_markdown_become_text() -> None:
    text = 'See [the *policy*](http://x/(a)?q=1 "t") and ![chart](data:x) <!-- obey --> or [ref][1] <https://a.b>.'
    text += "\n\n[1]: http://y\n"
    assert text_of(text, "x.md") == "See the *policy* and chart  or ref https://a.b."


def test_code_in_markdown_stays_as_written() -> None:
    text = "Use `[a](b)` here.\n\n```html\n<!-- kept --> [a](b)\n```"
    assert text_of(text, "x.md") == text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_text_in_common_encodings_is_read(encoding: str) -> None:
    text = "Die Prüfung der Geräte für Größen über 5 € ist schön und nötig. " * 5
    assert text_of(text.encode(encoding), "x.txt") == text.strip()


def test_one_bad_byte_does_not_spoil_good_utf8() -> None:
    assert text_of("Größe für Bücher, Maße, Übungen, Öfen, Äpfel, Nüsse".encode() + b"\xff", "x.txt").startswith(
        "Größe für"
    )


@pytest.mark.parametrize(
    "data", [bytes(range(256)) * 40, b"\x00" * 999, b"PK\x03\x04rest", b"%PDF-1.7 x", b"\x89PNG\r\n\x1a\n"]
)
def test_binary_data_under_a_text_name_are_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        text_of(data, "x.txt")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["md", "txt", "csv", "html", "eml", "row"]),
    st.binary(max_size=400) | st.text(max_size=400).map(lambda s: s.encode("utf-8", "replace")),
)
def test_any_bytes_give_text_or_an_ingest_error(format: str, data: bytes) -> None:
    with suppress(IngestError):
        assert parse(data, uri=f"x.{format}", format=format).text.strip()


# -- HTML ------------------------------------------------------------------------------------------------------------


def test_html_keeps_headings_lists_tables_and_code() -> None:
    text = text_of(
        "<title>T</title><h1>Head</h1><p>One <b>two</b><br>three</p><ul><li>a<ul><li>b</li></ul></li></ul>"
        "<ol start=3><li>c</ol>"
        "<table><tr><th>Item</th><th>Price</th></tr><tr><td rowspan=2>x|y</td><td>1</td></tr>"
        "<tr><td>2</td></tr></table>"
        "<pre>a\n  b</pre>",
        "x.html",
    )
    assert text == (
        "# Head\n\nOne two\nthree\n\n- a\n  - b\n3. c\n\n"
        "| Item | Price |\n| --- | --- |\n| x\\|y | 1 |\n| x\\|y | 2 |\n\n```\na\n  b\n```"
    )


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>SECRET</script>",
        "<style>SECRET</style>",
        "<!-- SECRET -->",
        "<p style='display: none'>SECRET</p>",
        "<p style='color:red;visibility:hidden'>SECRET</p>",
        "<p style='font-size:0'>SECRET</p>",
        "<div hidden><p>SECRET</p></div>",
        "<span aria-hidden='true'>SECRET</span>",
        "<template>SECRET</template>",
        "<noscript>SECRET</noscript>",
        "<style>.off { color: red; display:none }</style><p class='a off'>SECRET</p>",
        "<ul><li style='display:none'>SECRET</li></ul>",
        "<table><tr hidden><td>SECRET</td><td>SECRET</td></tr></table>",
        "<nav>SECRET</nav>",
    ],
)
def test_what_a_page_does_not_display_is_dropped(hidden: str) -> None:
    assert text_of(f"<body><p>Before</p>{hidden}<p>After</p></body>", "x.html") == "Before\n\nAfter"


def test_links_and_images_of_html_become_text() -> None:
    assert (
        text_of("<p>See <a href='http://x'>this</a> <img src=a alt='a chart'> now</p>", "x.html")
        == "See this a chart now"
    )


def test_a_layout_table_becomes_its_content() -> None:
    page = (
        "<table><tr><td><h2>Left</h2><p>text</p></td><td><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>"
    )
    assert text_of(page, "x.html") == "## Left\n\ntext\n\n| a | b |\n| --- | --- |"


def test_text_in_html_cannot_pose_as_a_heading() -> None:
    assert text_of("<p># not a heading</p>", "x.html") == "\\# not a heading"


def test_html_in_its_declared_encoding_is_read() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body>Prüfung</body></html>'
    assert text_of(page.encode("iso-8859-1"), "x.html") == "Prüfung"


def test_a_list_straight_inside_a_list_stays_a_list_below_it() -> None:
    assert text_of("<ul><li>a</li><ul><li>b</li><li>c</li></ul><li>d</li></ul>", "x.html") == "- a\n  - b\n  - c\n- d"


def test_deep_nesting_gives_the_text_alone_and_absurd_nesting_an_error() -> None:
    page = "<p>before</p>" + "<div>" * 900 + "deep<p hidden>SECRET</p>" + "</div>" * 900 + "<p>after"
    assert text_of(page, "x.html") == "before\ndeep\nafter"
    with pytest.raises(ParseError, match="nested too deeply"):
        text_of("<div>" * 20_000 + "deep", "x.html")


# -- Office ------------------------------------------------------------------------------------------------------------


def test_docx_keeps_headings_lists_tables_and_page_headers() -> None:
    import docx

    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Version 2, valid from May"
    document.add_paragraph("Equipment policy", style="Title")
    document.add_heading("Laptops", 1)
    document.add_paragraph("Everyone gets one.")
    document.add_paragraph("small", style="List Bullet")
    document.add_paragraph("smaller", style="List Bullet 2")
    document.add_paragraph("first", style="List Number")
    document.add_paragraph("second", style="List Number")
    table = document.add_table(rows=3, cols=2)
    for row, values in enumerate([("Model", "Price"), ("A", "900"), ("", "950")]):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    table.cell(1, 0).merge(table.cell(2, 0))
    hidden = document.add_paragraph("Seen. ").add_run("SECRET")
    hidden.font.hidden = True
    parsed = parse(saved(document), uri="x.docx")
    assert parsed.title == "Equipment policy"
    assert parsed.text == (
        "Version 2, valid from May\n\n# Equipment policy\n\n## Laptops\n\nEveryone gets one.\n\n"
        "- small\n  - smaller\n1. first\n2. second\n\n"
        "| Model | Price |\n| --- | --- |\n| A | 900 |\n| A | 950 |\n\nSeen."
    )


def test_pptx_gives_a_section_for_each_slide_with_tables_charts_and_notes() -> None:
    import pptx
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    show = pptx.Presentation()
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = "Plan"
    first.placeholders[1].text = "one\ntwo"
    first.notes_slide.notes_text_frame.text = "Say it slowly"
    second = show.slides.add_slide(show.slide_layouts[6])
    grid = second.shapes.add_table(2, 2, 0, 0, Inches(2), Inches(1)).table
    for index, value in enumerate(["Gate", "Date", "G1", "May"]):
        grid.cell(index // 2, index % 2).text = value
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("Sales", (1.5, 2))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(3), Inches(3), data)
    parsed = parse(saved(show), uri="x.pptx")
    assert parsed.title == "Plan"
    assert parsed.text.startswith(
        "## Plan\n\n- one\n- two\n\nNotes: Say it slowly\n\n## Slide 2\n\n| Gate | Date |\n| --- | --- |\n| G1 | May |"
    )
    assert "|  | Sales |\n| --- | --- |\n| Q1 | 1.5 |\n| Q2 | 2 |" in parsed.text


def test_xlsx_gives_a_table_for_each_sheet_with_values_as_shown() -> None:
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    sheet.append(["As of May"])
    sheet.append([])
    sheet.append(["Item", "Price", "Since", "Share", "Total"])
    sheet.append(["A", 6.4, datetime.datetime(2026, 5, 4), 0.125, "=B4*2"])
    sheet["B4"].number_format = "#,##0.00"
    sheet["D4"].number_format = "0.0%"
    book.create_sheet("Other").append(["x", True])
    assert text_of(saved(book), "x.xlsx") == (
        "## Prices\n\nAs of May\n\n| Item | Price | Since | Share | Total |\n| --- | --- | --- | --- | --- |\n"
        "| A | 6.40 | 2026-05-04 | 12.5% | =B4*2 |\n\n## Other\n\n| x | TRUE |\n| --- | --- |"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_delimiters_are_recognised_and_quoted_ones_are_not_delimiters(delimiter: str) -> None:
    rows = [["Name", "Note"], ["Ann", f'"a{delimiter}b"'], ["Bob", "1.5"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    cell = f"a{delimiter}b".replace("|", "\\|").replace("\t", " ")
    assert text_of(text, "x.csv") == f"| Name | Note |\n| --- | --- |\n| Ann | {cell} |\n| Bob | 1.5 |"


def test_mail_gives_its_header_lines_and_prefers_plain_text() -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Ann <a@x.org>", "b@x.org", "Prüfung"
    mail["Date"] = "Mon, 03 Feb 2025 10:00:00 +0100"
    mail.set_content("Plain text.")
    mail.add_alternative("<p>Rich text.</p>", subtype="html")
    mail.add_attachment(b"x", maintype="application", subtype="pdf", filename="offer.pdf")
    parsed = parse(mail.as_bytes(), uri="x.eml")
    assert parsed.title == "Prüfung"
    assert parsed.text == (
        "From: Ann <a@x.org>\nTo: b@x.org\nDate: Mon, 03 Feb 2025 10:00:00 +0100\n"
        "Subject: Prüfung\nAttachments: offer.pdf\n\nPlain text."
    )
    assert parsed.metadata["date"] == "2025-02-03T10:00:00+01:00"
    assert parsed.metadata["attachments"] == ["offer.pdf"]


def test_mail_in_html_alone_is_read() -> None:
    mail = EmailMessage()
    mail["Subject"] = "S"
    mail.set_content("<h1>Rich</h1><p style='display:none'>SECRET</p>", subtype="html")
    assert text_of(mail.as_bytes(), "x.eml") == "Subject: S\n\n# Rich"


@pytest.mark.parametrize(
    "directive", [".. include:: {path}", ".. literalinclude:: {path}", ".. csv-table::\n   :file: {path}"]
)
def test_a_document_cannot_include_files_of_this_machine(tmp_path: Path, directive: str) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    text = "Title\n=====\n\nText.\n\n" + directive.format(path=tmp_path / "secret.txt") + "\n"
    with suppress(ParseError):
        assert "SECRET" not in text_of(text, "x.rst")


def test_rows_of_rtf_that_share_a_definition_stay_apart() -> None:
    rows = "".join(rf"\pard\intbl {n}a\cell {n}b\cell\row" for n in "123")
    text = text_of(r"{\rtf1{\trowd\cellx3000\cellx6000 " + rows + r"}\pard After.\par}", "x.rtf")
    assert text == "| 1a | 1b |\n| --- | --- |\n| 2a | 2b |\n| 3a | 3b |\n\nAfter."


def test_sections_stand_below_a_title_that_pandoc_shows() -> None:
    assert text_of("Guide\n=====\n\nFirst\n-----\n\nText.\n\nSecond\n------\n\nMore.\n", "x.rst") == (
        "# Guide\n\n## First\n\nText.\n\n## Second\n\nMore."
    )


def test_json_is_read_as_names_with_values_and_records_as_a_table() -> None:
    assert text_of('{"a": {"b": "x \\u00e4", "c": [1, true, null]}, "d": 2.0}', "x.json") == (
        "- a:\n  - b: x ä\n  - c:\n    - 1\n    - true\n- d: 2.0"
    )
    table = "| sku | price |\n| --- | --- |\n| A | 1 |\n| B | 2 |"
    assert text_of('[{"sku": "A", "price": 1}, {"sku": "B", "price": 2}]', "x.json") == table
    assert text_of('{"sku": "A", "price": 1}\n{"sku": "B", "price": 2}\n', "x.ndjson") == table


def test_broken_json_is_read_as_the_text_it_is() -> None:
    assert text_of('{"a": 1', "x.json") == '{"a": 1'


def test_xml_is_read_as_names_with_values_and_its_prose_as_paragraphs() -> None:
    prose = "A sentence that is long enough to be no value but prose, as one finds it in a manual or in a book of the old kind."
    data = (
        f"<b><c><name>Oslo</name><land>Norway</land></c><c><name>Bern</name></c><p>{prose} <i>Mind</i> the gap.</p></b>"
    )
    assert text_of(data, "x.xml") == f"name: Oslo\nland: Norway\n\nname: Bern\n\n{prose}\n\ni: Mind\nthe gap."


def test_an_entity_of_an_xml_files_own_is_not_resolved_and_takes_no_text_with_it() -> None:
    data = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>before &x; after</a>'
    assert text_of(data, "x.xml") == "before\n\nafter"


@pytest.mark.parametrize("name", ["simple", "duplicate-paragraphs", "fake", "fake-doc-emphasized-text"])
def test_an_old_word_file_reads_as_the_new_one_does(name: str) -> None:
    old, new = (parse(sample(f"{name}.{kind}"), uri=f"x.{kind}") for kind in ("doc", "docx"))
    assert (old.text, old.title) == (new.text, new.title)


def test_an_old_presentation_reads_as_the_new_one_does_but_for_the_depth_of_lists() -> None:
    old, new = (parse(sample(f"fake-power-point.{kind}"), uri=f"x.{kind}") for kind in ("ppt", "pptx"))
    assert old.title == new.title
    assert old.text.split() == [word for word in new.text.split() if word != "-"]


def test_a_sheet_with_thousands_of_blank_rows_keeps_what_stands_below_them() -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"], book.active["A30000"] = "top", "bottom"
    assert text_of(saved(book), "x.xlsx") == "## Sheet\n\ntop\n\nbottom"


def test_rows_of_very_different_length_are_not_filled_up() -> None:
    text = text_of("a,b\n" * 3_000 + ",".join("x" * 3_000), "x.csv")
    assert len(text) < 100_000
    assert text.endswith("x | x |")


def test_a_front_matter_that_unfolds_to_millions_of_values_stays_text() -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    parsed = parse(f"---\nl0: &l0 [x]\n{levels}---\nText".encode(), uri="x.md")
    assert parsed.metadata == {}
    assert "l8" in parsed.text


def test_a_word_parted_at_the_end_of_a_pdfs_line_is_whole_again_and_a_compound_keeps_its_hyphen() -> None:
    from ingest.parsers.layout import Line
    from ingest.parsers.pdf import _mend_words

    page = [
        Line("an im\x02portant and well\x02known case", 10, 90),
        Line("It is known well enough.", 10, 80),
        Line("pre\x022020", 10, 70),
    ]
    texts = [line.text for line in _mend_words([page])[0]]
    assert texts[0] == "an important and well-known case"
    assert texts[2] == "pre-2020"


def pdf(*pages: list[tuple[int, int, int, str]]) -> bytes:
    """A PDF of pages of (x, y, font size, text)."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        stream = "".join(f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET\n" for x, y, size, text in page)
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}endstream")
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>"
    body = "".join(f"{number} 0 obj\n{content}\nendobj\n" for number, content in enumerate(objects, start=1))
    return f"%PDF-1.4\n{body}trailer << /Root 1 0 R >>\n%%EOF\n".encode()


def test_pdf_lines_become_headings_paragraphs_and_tables() -> None:
    page = [(50, 780, 20, "Results")]
    page += [
        (50, 740, 10, "The first line of the paragraph is long enough to be a full line"),
        (50, 728, 10, "and it ends here."),
    ]
    page += [
        (x, 700 - 12 * row, 10, text)
        for row, cells in enumerate(["Item Price", "A 1", "B 2"])
        for x, text in zip((50, 200), cells.split(), strict=True)
    ]
    parsed = parse(pdf(page, [(50, 780, 10, "Second page")]), uri="x.pdf")
    assert parsed.title == "Results"
    assert parsed.metadata == {"pages": 2}
    assert parsed.text == (
        "# Results\n\nThe first line of the paragraph is long enough to be a full line and it ends here.\n\n"
        "| Item | Price |\n| --- | --- |\n| A | 1 |\n| B | 2 |\n\nSecond page"
    )


def test_a_line_that_stands_on_every_pdf_page_is_kept_once() -> None:
    pages = [
        [(50, 800, 10, "Confidential"), (50, 700, 10, f"Text of page {n}."), (50, 30, 10, f"Page {n} of 5")]
        for n in range(1, 6)
    ]
    text = text_of(pdf(*pages), "x.pdf")
    assert text.count("Confidential") == text.count("Page ") == 1
    assert all(f"Text of page {n}." in text for n in range(1, 6))


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("pdf/password.pdf", EncryptedDocument),
        ("password_protected.xlsx", EncryptedDocument),
        ("fake-encrypted.msg", EncryptedDocument),
        ("eml/fake-encrypted.eml", EncryptedDocument),
        ("fake-text-all-whitespace.txt", EmptyDocument),
        ("empty.xlsx", EmptyDocument),
    ],
)
def test_documents_that_cannot_be_read_say_why(name: str, error: type[IngestError]) -> None:
    with pytest.raises(error, match=name.rsplit("/", 1)[-1].replace(".", r"\.")):
        parse(sample(name), uri=name)


@pytest.mark.parametrize("name", ["pdf/DA-1p.pdf", "simple.docx", "simple.pptx", "stanley-cups.xlsx", "simple.odt"])
def test_a_document_cut_in_half_is_a_parse_error_or_gives_some_text(name: str) -> None:
    data = sample(name)
    with suppress(ParseError, EmptyDocument):
        assert parse(data[: len(data) // 2], uri=name).text


def test_an_archive_that_would_fill_the_memory_is_refused_unread() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"\x00" * 5_000_000)
    with pytest.raises(TooLarge, match="unpacks to 5,000,000 bytes"):
        parse(file.getvalue(), uri="bomb.docx", max_expanded_bytes=1_000_000)


def test_data_above_the_limit_are_refused() -> None:
    with pytest.raises(TooLarge, match="limit of 10"):
        parse(b"x" * 11, uri="x.txt", max_bytes=10)
    assert MAX_BYTES == 100_000_000


def test_binary_data_under_an_unknown_extension_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ParseError, match=r"\.dat files of binary data: not supported; supported are .*\.docx"):
        parse(bytes(range(256)) * 4, uri="x.dat")


def test_a_document_of_invisible_characters_is_empty() -> None:
    with pytest.raises(EmptyDocument):
        parse("\u200b\u2060".encode(), uri="x.md")


def test_the_format_is_told_by_the_extension_in_any_case() -> None:
    assert [format_of(name) for name in ("a/B.DOCX", "x.htm", "x", "x.unknown")] == ["docx", "html", "", ""]
