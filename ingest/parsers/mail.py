"""Mail by the standard library: it keeps senders and dates, where unstructured keeps the body only."""

from __future__ import annotations

from contextlib import suppress
from email.errors import MessageError
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import compat32, default
from email.utils import parsedate_to_datetime
from typing import Any

from indexes.errors import EncryptedDocument, ParseError, TooLarge
from ingest.formats import format_of
from ingest.parsers import Attachment, Parsed, blocks
from ingest.parsers.archive import MAX_MEMBERS, safe_name, unique
from ingest.parsers.html import html_to_markdown
from ingest.parsers.ocr import is_available
from ingest.parsers.plain import decode

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_SEALED = frozenset(["application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"])
_HEADER_LINE = 2_000
_SHOWN_CHARACTERS = 10_000


def parse_eml(data: bytes) -> Parsed:
    """One message: its header lines, then its text part, or its HTML part where there is no text.

    Its attachments come as bytes, forwarded messages and the messages of a digest among them (as `.eml`). An image
    that is shown in the text is one only where the OCR extra could read it.
    Title: the subject. Metadata: `from`, `to`, `date` (ISO 8601) and `attachments`, the names of all.
    """
    if (
        data[:2] in {b"\xff\xfe", b"\xfe\xff"} or data[:1] == b"\x00" or data[1:2] == b"\x00"
    ):  # saved as UTF-16 by an editor
        data = decode(data).encode("utf-8", "replace")
    message = BytesParser(policy=default).parsebytes(data.lstrip())
    if not isinstance(message, EmailMessage) or not any(_header(message, name) for name in (*_SHOWN, "MIME-Version")):
        raise ParseError("no mail headers were found")
    if message.get_content_type() in _SEALED:
        _refuse_sealed(message)
    header = {name: blocks.inline(_header(message, name)) for name in _SHOWN}
    lines = [f"{name}: {value[:_SHOWN_CHARACTERS]}" for name, value in header.items() if value]
    texts, files = _sorted_parts(message)
    names = [name for name, _ in files]
    if names:
        lines.append(f"Attachments: {', '.join(names)}")
    attachments, skipped = _attachments(files)
    metadata: dict[str, Any] = {
        "from": header["From"],
        "to": header["To"],
        "date": _iso(header["Date"]),
        "attachments": names,
        "skipped": skipped,
    }
    text = blocks.join(["\n".join(lines), *(part.text for part in texts)])
    hidden = "\n\n".join(part.hidden for part in texts if part.hidden)
    return Parsed(header["Subject"], text, {k: v for k, v in metadata.items() if v}, attachments, hidden=hidden)


def _refuse_sealed(message: EmailMessage) -> None:
    if message.get_param("smime-type") == "signed-data":
        raise ParseError("the message is wrapped in its signature (S/MIME signed-data); save it as clear text")
    raise EncryptedDocument(
        f"the message {blocks.inline(_header(message, 'Subject'))[:200]!r} is encrypted".replace(" ''", "")
    )


def _header(message: EmailMessage, name: str) -> str:
    """The header's text, decoded; as it stands where it is so long or crafted that the standard library trips over it."""
    raw = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    if len(raw) > _HEADER_LINE:
        return raw
    try:
        return str(message.get(name) or "")
    except (MessageError, ValueError, LookupError, AttributeError, TypeError, AssertionError, RecursionError):
        return raw


def _sorted_parts(message: EmailMessage) -> tuple[list[Parsed], list[tuple[str, Message]]]:
    """Part the message's leaves: its texts, and the named rest. What lies inside another message stays there."""
    body = next(
        (found for kind in ("plain", "html") if (found := message.get_body((kind,))) is not None and _has_text(found)),
        None,
    )
    texts: list[Parsed] = []
    files: list[tuple[str, Message]] = []
    waiting: list[tuple[Message, bool]] = [(message, False)]
    while waiting:
        part, alternative = waiting.pop()
        inner = part.get_payload()
        if part.get_content_maintype() == "message" and part is not message:
            files.append((_name(part), part))
        elif part.is_multipart() and isinstance(inner, list):
            alternative = alternative or part.get_content_type() == "multipart/alternative"
            waiting += [(entry, alternative) for entry in reversed(inner) if isinstance(entry, Message)]
        elif part is body or (_is_text(part) and not alternative):
            try:
                texts.append(_text(part))
            except ParseError:  # called text, and none
                files.append((_name(part), part))
        elif part is not message and not _is_text(part):
            files.append((_name(part), part))
        if len(files) > MAX_MEMBERS:
            raise TooLarge(f"the message has more attachments than the limit of {MAX_MEMBERS:,}")
    return texts, files


def _is_text(part: Message) -> bool:
    """A part without a name beside the body is more of the message's text."""
    kind = part.get_content_type() in {"text/plain", "text/html"}
    return kind and not part.get_filename() and part.get_content_disposition() != "attachment"


def _has_text(part: Message) -> bool:
    with suppress(ParseError):
        return bool(_text(part).text.strip())
    return False


def _text(part: Message) -> Parsed:
    payload = part.get_payload(decode=True)
    text = decode(payload, declared=part.get_content_charset()) if isinstance(payload, bytes) and payload else ""
    return html_to_markdown(text) if part.get_content_type() == "text/html" else Parsed("", text)


def _name(part: Message) -> str:
    inner = part.get_payload()
    if part.get_content_type() == "message/rfc822" and isinstance(inner, list) and isinstance(inner[0], EmailMessage):
        subject = blocks.inline(_header(inner[0], "Subject").replace("/", " "))
        return safe_name(f"{(part.get_filename() or subject or 'message').removesuffix('.eml')[:150]}.eml")
    return safe_name(part.get_filename() or part.get_content_type().replace("/", "."))


def _attachments(files: list[tuple[str, Message]]) -> tuple[tuple[Attachment, ...], list[str]]:
    """The files' bytes, and the names of those that have none to give, with the reason."""
    found: list[Attachment] = []
    skipped: list[str] = []
    for name, part in files:
        shown = part.get("Content-ID") and part.get_content_disposition() != "attachment"
        if shown and part.get_content_maintype() == "image" and not (format_of(name) == "image" and is_available()):
            skipped.append(f"{name}: an image in the text")
            continue
        try:
            data = _bytes(part)
        except (MessageError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            skipped.append(f"{name}: it cannot be read ({type(error).__name__})")
            continue
        if data.strip():
            found.append(Attachment(name, data, format_of(name)))
        else:
            skipped.append(f"{name}: it is empty")
    return unique(found), skipped


def _bytes(part: Message) -> bytes:
    inner = part.get_payload()
    if isinstance(inner, list):  # a message inside
        return b"\n".join(entry.as_bytes(policy=compat32) for entry in inner if isinstance(entry, Message))
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _iso(date: str) -> str:
    try:
        return parsedate_to_datetime(date).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
