"""Outlook messages (.msg) through python-oxmsg; their text and attachments as `ingest.parsers.mail` gives them."""

from __future__ import annotations

import io
from typing import Any

from indexes.errors import EncryptedDocument
from ingest.formats import format_of
from ingest.parsers import Attachment, Parsed, blocks
from ingest.parsers.archive import safe_name, unique
from ingest.parsers.html import html_to_markdown

_SEALED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


def parse_msg(data: bytes) -> Parsed:
    """The header lines, the text or, without one, the HTML, and the attachments as bytes."""
    from oxmsg import Message

    message = Message.load(io.BytesIO(data))
    headers = {name.lower(): value for name, value in message.message_headers.items()}
    if headers.get("content-type", "").lower().startswith(_SEALED):
        raise EncryptedDocument(f"the message {str(message.subject or '')[:200]!r} is encrypted".replace(" ''", ""))
    attachments: list[Attachment] = []
    skipped: list[str] = []
    names: list[str] = []
    for attachment in message.attachments:
        name = safe_name(attachment.file_name or "attachment")
        names.append(name)
        if attachment.file_bytes:
            attachments.append(Attachment(name, attachment.file_bytes, format_of(name)))
        else:  # a message inside a message is a storage of its own, which the library does not give out
            skipped.append(f"{name}: it holds no bytes of its own")
    shown = {
        "From": message.sender or "",
        "To": ", ".join(f"{entry.name} <{entry.email_address}>" for entry in message.recipients),
        "Date": message.sent_date.isoformat() if message.sent_date else "",
        "Subject": message.subject or "",
        "Attachments": ", ".join(names),
    }
    header = "\n".join(f"{name}: {blocks.inline(value)}" for name, value in shown.items() if value)
    body, hidden = message.body or "", ""
    if not body.strip() and message.html_body:
        page = html_to_markdown(message.html_body)
        body, hidden = page.text, page.hidden
    metadata: dict[str, Any] = {
        "from": shown["From"],
        "to": shown["To"],
        "date": shown["Date"],
        "attachments": names,
        "skipped": skipped,
    }
    kept = {key: value for key, value in metadata.items() if value}
    return Parsed(shown["Subject"], blocks.join([header, body]), kept, unique(attachments), hidden=hidden)
