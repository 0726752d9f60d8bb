"""ZIP archives: no text of their own; every member is an attachment, to be read as a document of its own."""

from __future__ import annotations

import io
import re
import stat
import zipfile
from pathlib import PurePosixPath
from typing import Any

from indexes.errors import ParseError, TooLarge
from ingest.formats import format_of
from ingest.parsers import Attachment, Parsed

MAX_MEMBERS = 1_000
MAX_UNPACKED_BYTES = 500_000_000


def parse_zip(data: bytes, *, max_bytes: int, max_expanded_bytes: int) -> Parsed:
    """The members as attachments, in the archive's order; an inner archive is a member like others.

    What is left out stands in the metadata under `skipped`, with the reason: symbolic links, and what a file manager
    adds for itself.

    Raises:
        TooLarge: more than MAX_MEMBERS members, one above `max_bytes`, or more than MAX_UNPACKED_BYTES in all. Sizes
            are checked before anything is unpacked, and no member gives more than it has declared.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check(entries, max_bytes, min(max_expanded_bytes, MAX_UNPACKED_BYTES))
        attachments: list[Attachment] = []
        skipped: list[str] = []
        for entry in entries:
            name = safe_name(entry.filename)
            reason = _why_not(entry, name)
            if reason:
                skipped.append(f"{name}: {reason}")
                continue
            try:
                attachments.append(Attachment(name, archive.read(entry), format_of(name)))
            except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
                raise ParseError(f"its member {name!r} cannot be unpacked: {error}") from error
    metadata: dict[str, Any] = {"members": len(attachments)}
    if skipped:
        metadata["skipped"] = skipped
    return Parsed("", "", metadata, unique(attachments))


def safe_name(name: str) -> str:
    """Return a relative path with `/` that leads nowhere else and holds no control characters; never empty."""
    name = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", name.replace("\\", "/"))
    name = re.sub(r"[\ud800-\udfff]", "\ufffd", name)
    parts = (part[-200:].strip() for part in name.split("/"))
    kept = [part for part in parts if part not in {"", ".", ".."} and not re.fullmatch(r"[A-Za-z]:", part)]
    return "/".join(kept[-20:]) or "attachment"


def _check(entries: list[zipfile.ZipInfo], max_bytes: int, max_all: int) -> None:
    if len(entries) > MAX_MEMBERS:
        raise TooLarge(f"the archive has {len(entries):,} members, more than the limit of {MAX_MEMBERS:,}")
    largest = max(entries, key=lambda entry: entry.file_size, default=None)
    if largest is not None and largest.file_size > max_bytes:
        raise TooLarge(
            f"its member {safe_name(largest.filename)!r} unpacks to {largest.file_size:,} bytes, "
            f"more than the limit of {max_bytes:,}"
        )
    declared = sum(entry.file_size for entry in entries)
    if declared > max_all:
        raise TooLarge(f"it unpacks to {declared:,} bytes, more than the limit of {max_all:,}")


def _why_not(entry: zipfile.ZipInfo, name: str) -> str:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a symbolic link"
    path = PurePosixPath(name)
    if path.parts[0] == "__MACOSX" or path.name in {".DS_Store", "Thumbs.db", "desktop.ini"}:
        return "a file manager's own file"
    return ""


def unique(attachments: list[Attachment]) -> tuple[Attachment, ...]:
    """Number the second and later members of one name, so that each can be told from the others."""
    seen: dict[str, int] = {}
    found: list[Attachment] = []
    for attachment in attachments:
        count = seen[attachment.name] = seen.get(attachment.name, 0) + 1
        name = attachment.name
        if count > 1:
            path = PurePosixPath(name)
            name = path.with_name(f"{path.stem} ({count}){path.suffix}").as_posix()
        found.append(Attachment(name, attachment.data, attachment.format))
    return tuple(found)
