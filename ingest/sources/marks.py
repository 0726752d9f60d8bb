"""Version marks: what changes whenever a file's or an object's content does, known without reading it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

RACY_NS = 2_000_000_000
"""The coarsest clocks in use (FAT's, and times in whole seconds on servers) tick no slower."""
DIGESTS = ("ETag", "etag", "md5Hash", "md5", "Content-MD5", "content_md5", "generation", "checksum")
CHANGED = ("LastModified", "last_modified", "Last-Modified", "updated", "modified", "mtime")


def file_mark(status: os.stat_result, now_ns: int) -> str:
    """Return what changes whenever the file's content does, or nothing where that is not certain.

    Modification time and size show a plain write; the time of the last change to the inode one whose modification time
    was set back, as copying tools do; the inode another file that was moved here; the device another disk mounted here,
    for inodes count from the start on each. A file changed just now may change again within the same tick of the clock and
    keep its times ("racy" in git's index), so it has no mark yet.
    """
    if max(status.st_mtime_ns, status.st_ctime_ns) >= now_ns - RACY_NS:
        return ""
    parts = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)
    return "file/1:" + ":".join(str(part) for part in parts)


def object_mark(info: dict[str, Any], now: datetime | None = None) -> str:
    """Return what the store says of the content: a digest or generation, else time of change and size; empty without.

    A weak ETag does not do: it promises the same meaning, not the same bytes.
    """
    size = info.get("size")
    settled = (now or datetime.now(UTC)) - timedelta(microseconds=RACY_NS / 1000)
    for key in DIGESTS:
        value = info.get(key)
        if value and not str(value).startswith("W/"):
            return f"object/1:{key}:{value}:{size}"
    if "CRC" in info:  # a member of a zip archive
        return f"object/1:zip:{info['CRC']}:{size}:{info.get('date_time')}"
    for key in CHANGED:
        changed = _instant(info.get(key))
        if changed is not None and size is not None and changed < settled:
            return f"object/1:{key}:{changed.isoformat()}:{size}:{info.get('ino', '')}:{info.get('created', '')}"
    return ""


def _instant(value: object) -> datetime | None:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if value[:1].isdigit() else parsedate_to_datetime(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
