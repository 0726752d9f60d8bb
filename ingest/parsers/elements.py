"""What unstructured reads: Outlook messages, XML and, where LibreOffice is, the Office files before 2007."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from typing import Any

from indexes.errors import DependencyMissing, EncryptedDocument, ParseError
from ingest.parsers import Parsed, blocks
from ingest.parsers.html import html_to_markdown


def light_tokenizer() -> None:
    """Give unstructured a blank sentence splitter; its own would download a spaCy model at the first text.

    The name is private: the version is pinned, and a test fails when it moves.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("SCARF_NO_ANALYTICS", "true")
    os.environ.setdefault("UNSTRUCTURED_DISABLE_NOTICE", "1")
    try:
        import spacy
        from unstructured.nlp import tokenize
    except ImportError as error:
        raise DependencyMissing("unstructured", extra="parse") from error
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    vars(tokenize)["_get_nlp"] = lambda: pipeline


def render(elements: list[Any]) -> Iterator[str]:
    """One Markdown block for each of unstructured's elements."""
    for element in elements:
        depth = element.metadata.category_depth or 0
        if element.category == "Title":
            yield blocks.heading(element.text, depth + 1)
        elif element.category == "ListItem":
            yield blocks.item(element.text, depth=max(depth - 1, 0))
        elif element.category == "Table" and element.metadata.text_as_html:
            yield html_to_markdown(element.metadata.text_as_html).text
        elif element.category == "CodeSnippet":
            yield blocks.code(element.text)
        elif element.category != "PageBreak":
            yield blocks.paragraph(element.text)


def parse_msg(data: bytes) -> Parsed:
    """An Outlook message; as `ingest.parsers.mail.parse_eml`."""
    light_tokenizer()
    from oxmsg import Message
    from unstructured.partition.msg import partition_msg

    message = Message.load(io.BytesIO(data))
    if (
        message.message_headers.get("Content-Type", "")
        .lower()
        .startswith(("multipart/encrypted", "application/pkcs7-mime"))
    ):
        raise EncryptedDocument("the message is encrypted")
    attachments = [attachment.file_name or "attachment" for attachment in message.attachments]
    shown = {
        "From": message.sender or "",
        "To": ", ".join(f"{entry.name} <{entry.email_address}>" for entry in message.recipients),
        "Date": message.sent_date.isoformat() if message.sent_date else "",
        "Subject": message.subject or "",
        "Attachments": ", ".join(attachments),
    }
    header = "\n".join(f"{name}: {blocks.inline(value)}" for name, value in shown.items() if value)
    body = render(partition_msg(file=io.BytesIO(data), process_attachments=False))
    metadata: dict[str, Any] = {
        "from": shown["From"],
        "to": shown["To"],
        "date": shown["Date"],
        "attachments": attachments,
    }
    return Parsed(
        shown["Subject"], blocks.join([header, *body]), {key: value for key, value in metadata.items() if value}
    )


def parse_xml(data: bytes) -> Parsed:
    """The text of the elements, one paragraph each; there is no saying which of them is a heading."""
    light_tokenizer()
    from unstructured.partition.xml import partition_xml

    elements = partition_xml(file=io.BytesIO(data), xml_keep_tags=False)
    return Parsed("", blocks.join(blocks.paragraph(element.text) for element in elements))


def parse_doc(data: bytes) -> Parsed:
    """Word before 2007."""
    from ingest.parsers.word import parse_docx

    return parse_docx(_modern(data, "doc", "docx"))


def parse_ppt(data: bytes) -> Parsed:
    """PowerPoint before 2007."""
    from ingest.parsers.slides import parse_pptx

    return parse_pptx(_modern(data, "ppt", "pptx"))


def _modern(data: bytes, old: str, new: str) -> bytes:
    """Convert by LibreOffice, through unstructured."""
    import tempfile
    from pathlib import Path

    if shutil.which("soffice") is None:
        raise ParseError(
            f".{old} files need LibreOffice (the program soffice), which is not installed; or save it as .{new}"
        )
    light_tokenizer()
    from unstructured.partition.common.common import convert_office_doc

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"document.{old}"
        source.write_bytes(data)
        convert_office_doc(str(source), folder, target_format=new)
        return (Path(folder) / f"document.{new}").read_bytes()
