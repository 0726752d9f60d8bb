"""Erases text from the audit log: what the subject asked, and what others asked in the very words of what is erased.

Who saw which chunk of which document, and when, stays: that is what the log is for. It holds names and ids, no text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from indexes.audit import AuditLog
from indexes.audit_redact import Wanted
from rag.erasure.target import Eraser, Found, Target

if TYPE_CHECKING:
    from rag.fingerprints import Finder


class AuditEraser(Eraser):
    """Of one tenant's log. `by` is the subject of who erases."""

    def __init__(self, log: AuditLog, *, by: str) -> None:
        self._log = log
        self._by = by

    def find(self, target: Target) -> Found:
        texts = [text for record, text in self._log.texts() if _asked_by(target, record)] if target.subject else []
        return Found({"audit_texts": len(texts)}, said=tuple(texts))

    def others(self, target: Target) -> Iterator[str]:
        return (text for record, text in self._log.texts() if not _asked_by(target, record))

    def repeated(self, target: Target, finder: Finder) -> Mapping[str, int]:
        wanted = _wanted(target, finder)
        return {"audit_texts": sum(wanted(record, text) for record, text in self._log.texts())}

    def erase(self, target: Target, finder: Finder) -> None:
        self._log.redact(_wanted(target, finder), subject=self._by)


def _wanted(target: Target, finder: Finder) -> Wanted:
    def wanted(record: Mapping[str, Any], text: str) -> bool:
        return _asked_by(target, record) or bool(finder.found([text.encode("utf-8", "surrogatepass")]))

    return wanted


def _asked_by(target: Target, record: Mapping[str, Any]) -> bool:
    return bool(target.subject) and target.subject in (record["subject"], record["actor"])
