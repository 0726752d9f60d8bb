"""Mail by the standard library: it keeps senders and dates, where unstructured keeps the body only."""

from __future__ import annotations

from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from email.utils import parsedate_to_datetime
from typing import Any

from indexes.errors import EncryptedDocument, ParseError
from ingest.parsers import Parsed, blocks
from ingest.parsers.html import html_to_markdown
from ingest.parsers.plain import decode

_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def parse_eml(data: bytes) -> Parsed:
    """One message: its header lines, then its text part, or its HTML part where there is no text.

    Title: the subject. Metadata: `from`, `to`, `date` (ISO 8601) and `attachments`, which are named and not read.
    """
    if (
        data[:2] in {b"\xff\xfe", b"\xfe\xff"} or data[:1] == b"\x00" or data[1:2] == b"\x00"
    ):  # saved as UTF-16 by an editor
        data = decode(data).encode("utf-8", "replace")
    message = BytesParser(policy=default).parsebytes(data.lstrip())
    if not isinstance(message, EmailMessage) or not any(message.get(name) for name in (*_SHOWN, "MIME-Version")):
        raise ParseError("no mail headers were found")
    if message.get_content_type() in {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}:
        raise EncryptedDocument("the message is encrypted")
    header = {name: blocks.inline(_header(message, name)) for name in _SHOWN}
    lines = [f"{name}: {value}" for name, value in header.items() if value]
    attachments = [part.get_filename() or part.get_content_type() for part in message.iter_attachments()]
    if attachments:
        lines.append(f"Attachments: {', '.join(attachments)}")
    metadata: dict[str, Any] = {
        "from": header["From"],
        "to": header["To"],
        "date": _iso(header["Date"]),
        "attachments": attachments,
    }
    body = _body(message)
    return Parsed(header["Subject"], blocks.join(["\n".join(lines), body]), {k: v for k, v in metadata.items() if v})


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name) or "")
    except (MessageError, ValueError, LookupError, AttributeError, TypeError, AssertionError):
        # The standard library's parser of addresses trips over crafted ones.
        return next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")


def _body(message: EmailMessage) -> str:
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        text = _content(part) if part is not None else ""
        if text.strip():
            return html_to_markdown(text).text if kind == "html" else text
    return ""


def _content(part: Any) -> str:
    payload = part.get_payload(decode=True)
    return decode(payload, declared=part.get_content_charset()) if payload else ""


def _iso(date: str) -> str:
    try:
        return parsedate_to_datetime(date).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
