"""The chain of an audit log: sealed lines, and a head, which says where the chain stands.

A line is a record in JSON whose last member, `hash`, is the HMAC-SHA256 (plain SHA-256 without a key) of all bytes of the
line before the hash's 64 digits. A record names the hash before it as `prev`, so each hash vouches for every byte so far.
The head is sealed the same way, by its last member `mac`. It is written in place, 512 bytes, after each record: a crash
leaves it one record behind and never torn, and whoever drops the last records leaves it ahead of them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from indexes.errors import ConfigError

GENESIS = "0" * 64
"""The hash before the first record."""
HEAD_BYTES = 512
_DIGITS = 64
_END = b'"}\n'

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def json_bytes(value: object) -> bytes:
    """Return JSON as lines have it: ASCII, without spaces."""
    return _encode(value).encode("ascii")


class Sealer:
    """Seals lines with a key, and knows its own seal. Without a key it finds accidents, but anyone can seal."""

    def __init__(self, key: str) -> None:
        self._mac = hmac.new(key.encode(), digestmod="sha256") if key else hashlib.sha256()
        self.key_id = self._digest(b"loremill audit key")[:16]
        """Tells one key from another and gives none away."""

    def _digest(self, data: bytes) -> str:
        mac = self._mac.copy()
        mac.update(data)
        return mac.hexdigest()

    def seal(self, fields: Mapping[str, Any], name: str = "hash") -> tuple[bytes, str]:
        """Return the line of `fields` with its seal as the last member, called `name`, and the seal."""
        start = json_bytes(fields)[:-1] + b',"%s":"' % name.encode()
        digits = self._digest(start)
        return start + digits.encode() + _END, digits

    def open(self, line: bytes, name: str = "hash") -> dict[str, Any] | None:
        """Return what a line says, None if not every byte of it is as it was sealed."""
        start = line[: -_DIGITS - len(_END)]
        if line != start + self._digest(start).encode() + _END or not start.endswith(b',"%s":"' % name.encode()):
            return None
        try:
            fields = json.loads(line)
        except ValueError:  # without a key, anything can be sealed
            return None
        return fields if isinstance(fields, dict) else None

    def open_record(self, line: bytes) -> dict[str, Any] | None:
        """As `open`, for what has the members that the chain goes by."""
        fields = self.open(line)
        if fields is None or not isinstance(fields.get("seq"), int) or not isinstance(fields.get("detail"), dict):
            return None
        return fields if fields.keys() >= {"time", "kind", "subject", "actor", "chunks", "prev"} else None


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain stands.

    `seq`, `hash` and `time` are the last record's. It ends at byte `size` of `segment`, which holds `count` records.
    `first` is the oldest segment that is kept; `anchor_seq` and `anchor` are the last record before it.
    """

    seq: int = 0
    hash: str = GENESIS
    time: str = ""
    segment: int = 1
    size: int = 0
    count: int = 0
    first: int = 1
    anchor_seq: int = 0
    anchor: str = GENESIS

    def after(self, record: Mapping[str, Any], line: bytes, digits: str) -> Head:
        """Return the head that follows once `line` is written."""
        size, count = self.size + len(line), self.count + 1
        return replace(self, seq=record["seq"], hash=digits, time=record["time"], size=size, count=count)

    def next_segment(self) -> Head:
        return replace(self, segment=self.segment + 1, size=0, count=0)

    def precedes(self, record: Mapping[str, Any]) -> bool:
        """Whether `record` is the next of the chain."""
        return record.get("seq") == self.seq + 1 and record.get("prev") == self.hash

    def precedes_torn(self, rest: bytes) -> bool:
        """Whether `rest` is the beginning of the next record, cut off by a crash."""
        start = b'{"seq":%d,"time":"' % (self.seq + 1)
        return b"\n" not in rest and start.startswith(rest[: len(start)])

    def encode(self, sealer: Sealer) -> bytes:
        members = {name: getattr(self, name) for name in self.__slots__}  # asdict copies deeply: a third of an append
        line, _ = sealer.seal({**members, "key": sealer.key_id}, "mac")
        return _padded(line)

    @classmethod
    def decode(cls, raw: bytes, sealer: Sealer) -> Head | None:
        """Read a head, None if it is not as it was written.

        Raises:
            ConfigError: it was sealed with another key.
        """
        line = raw.rstrip(b" \n") + b"\n"
        fields = sealer.open(line, "mac")
        if fields is None or raw != _padded(line):
            _refuse_other_key(raw, sealer)
            return None
        try:
            return cls(**{name: value for name, value in fields.items() if name not in {"key", "mac"}})
        except TypeError:
            return None


def _padded(line: bytes) -> bytes:
    return line[:-1].ljust(HEAD_BYTES - 1) + b"\n"


def _refuse_other_key(raw: bytes, sealer: Sealer) -> None:
    try:
        key_id = json.loads(raw)["key"]
    except (ValueError, LookupError, TypeError):
        return
    if key_id != sealer.key_id:
        raise ConfigError(
            "the audit log was written with another audit_key: set that one again, or move the log's folder away to begin anew"
        )
