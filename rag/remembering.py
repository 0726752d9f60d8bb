"""Remember: what was said becomes episodes, stored at once in one transaction; what follows from it is derived afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from indexes.batches import batched
from indexes.dialects import Sql
from indexes.errors import ConfigError, TooLarge
from indexes.memory_rows import MemoryRow, add, find
from indexes.vocabulary import digest
from rag.lore.clock import check_past, now_micros, read_time, to_micros
from rag.lore.items import Episode, Role
from rag.lore.scopes import SESSION
from rag.memory_rooms import MemoryRooms, Written, episode_of, terms_of_row

if TYPE_CHECKING:
    from sqlalchemy import Connection

TRUST = {Role.USER: 1.0, Role.SYSTEM: 0.9, Role.ASSISTANT: 0.7, Role.TOOL: 0.5}
PLANTED_TRUST = 0.1
"""Of a text that talks to a model; nothing is derived from it."""
_MAX_METADATA = 20_000
_MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Said:
    """One message, checked."""

    text: str
    role: Role
    speaker: str
    time: datetime


def read_messages(
    text: str | Sequence[Mapping[str, Any]],
    *,
    speaker: str | None,
    role: str,
    time: object,
    max_chars: int,
    max_messages: int,
) -> list[Said]:
    """Return what is to be remembered, checked as a whole.

    Raises:
        ConfigError: a text is empty, a role or a time is none, a message is malformed; the message says which one.
        TooLarge: a text or the number of messages passes its limit.
    """
    given: Sequence[Any] = [{"content": text}] if isinstance(text, str) else text
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise ConfigError('write a text, or a list of messages such as {"role": "user", "content": "..."}')
    if not given:
        raise ConfigError("there are no messages to remember")
    if len(given) > max_messages:
        raise TooLarge(f"{len(given)} messages, the limit is {max_messages} at once; send them in parts")
    now = datetime.now(UTC)
    base = now if time is None else check_past(read_time(time, "time"), "time", now=now)
    said = []
    for number, message in enumerate(given):
        where = "text" if isinstance(text, str) else f"messages[{number}]"
        if not isinstance(message, Mapping):
            raise ConfigError(f'{where} is no message: write {{"role": "user", "content": "..."}}')
        own = message.get("time")
        at = base if own is None else check_past(read_time(own, f"{where}.time"), f"{where}.time", now=now)
        spoken = speaker if message.get("role", role) == role else None  # it names the user, not who answers
        who = message.get("speaker") or message.get("name") or spoken or ""
        said.append(
            Said(
                check_text(message.get("content"), where, max_chars),
                _role(message.get("role", role), where),
                _name(who, f"{where}.speaker"),
                at,
            )
        )
    return said


def rows_of(
    said: Sequence[Said], written: Written, *, session: str, metadata: Mapping[str, Any], by: str
) -> list[MemoryRow]:
    """Return each message's row, in order; equal messages have one row, the first's."""
    from ingest.injection import planted

    scope, stored = written.scope, now_micros()
    owner = json.dumps([scope.acl.allow, scope.acl.deny])
    rows: dict[str, MemoryRow] = {}
    names = []
    for one in said:
        time = to_micros(one.time)
        name = digest("episode", owner, scope.text, session, one.speaker, str(time), one.text)[:32]
        names.append(name)
        trust = min(TRUST[one.role], PLANTED_TRUST if planted(one.text) else 1.0)
        rows.setdefault(
            name,
            MemoryRow(
                name, written.class_id, scope.text, "episode", one.text, time, min(time, stored), stored, by,
                speaker=one.speaker, role=one.role.value, session=session, trust=trust, metadata=metadata,
            ),
        )  # fmt: skip
    return [rows[name] for name in names]


def check_session(session: object, scope: str) -> str:
    """Return the session's name, empty for none.

    Raises:
        ConfigError: it is malformed, or missing where the scope is a session.
    """
    name = _name(session if session is not None else "", "session")
    if scope == SESSION and not name:
        raise ConfigError("the scope session needs session=, the conversation's id")
    return name


def check_metadata(metadata: object) -> Mapping[str, Any]:
    """Return metadata that JSON can hold.

    Raises:
        ConfigError: it is no object, or not JSON; TooLarge where it passes the limit.
    """
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise ConfigError('metadata must be an object such as {"source": "chat"}')
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"metadata is no JSON: {error}") from error
    if len(text) > _MAX_METADATA:
        raise TooLarge(f"metadata takes {len(text)} characters, the limit is {_MAX_METADATA}")
    found: Mapping[str, Any] = json.loads(text)
    return found


def store(rooms: MemoryRooms, rows: Sequence[MemoryRow], *, new_for_sure: bool = False) -> list[Episode]:
    """Write the episodes that are new, in one transaction, and return all of them as they stand in memory.

    Args:
        rows: equal ones are stored once, and returned as often as they are given.
        new_for_sure: they were said just now, so that a look whether they are stored already, before they are embedded, is of no use.
    """
    given = {row.id: row for row in rows}
    known: dict[str, MemoryRow] = {}
    if not new_for_sure:
        with rooms.catalog.read() as db:
            known = _known(db, list(given))
    new = [row for name, row in given.items() if name not in known]
    if new:
        vectors = rooms.embed([row.text for row in new], [row.speaker for row in new])
        terms = [terms_of_row(row.text, row.speaker) for row in new]
        with rooms.changing({new[0].class_id}) as (db, epochs):
            late = _known(db, [row.id for row in new])  # another thread may have been first
            kept = [place for place, row in enumerate(new) if row.id not in late]
            added = add(
                db, [new[place] for place in kept], vectors[kept], [terms[place] for place in kept],
                model_id=rooms.embedder.model_id, epochs=epochs,
            )  # fmt: skip
            _note_pending(db, [row for row in added if row.trust > PLANTED_TRUST])
        known |= late | {row.id: row for row in added}
    return [episode_of(known[row.id]) for row in rows]


_STORED = Sql(
    "SELECT i.seq FROM each_text(?) AS wanted JOIN memory_items AS i ON i.id = wanted.value AND i.retired IS NULL"
)


def _known(db: Connection, names: Sequence[str]) -> dict[str, MemoryRow]:
    """Return those of the episodes that are stored."""
    from indexes.tables import memory_items as items

    seqs = list(db.exec_driver_sql(_STORED.on(db), (json.dumps(names),)).scalars())
    return {row.id: row for batch in batched(seqs) for row in find(db, items.c.seq.in_(batch))}


NOTE_PENDING = Sql("INSERT INTO memory_pending (seq, attempts, error) VALUES (?, 0, '') ON CONFLICT DO NOTHING")


def _note_pending(db: Connection, rows: Sequence[MemoryRow]) -> None:
    if rows:
        db.exec_driver_sql(NOTE_PENDING.on(db), [(row.seq,) for row in rows])


def check_text(text: object, where: str, max_chars: int) -> str:
    """Return a text that can be remembered.

    Raises:
        ConfigError: it is empty or not Unicode; TooLarge: it passes the limit. `where` says which one.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{where} is empty; write what is to be remembered")
    if len(text) > max_chars:
        raise TooLarge(
            f"{where} has {len(text)} characters, the limit is {max_chars}; ingest long texts as documents instead"
        )
    return _unicode(text, where)


def _name(name: object, where: str) -> str:
    if not isinstance(name, str) or len(name) > _MAX_NAME:
        raise ConfigError(f"{where} must be text of at most {_MAX_NAME} characters")
    return _unicode(name.strip(), where)


def _unicode(text: str, where: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ConfigError(f"{where} is not valid Unicode: it holds half of a surrogate pair")
    return text


def _role(role: object, where: str) -> Role:
    try:
        return Role(str(role))
    except ValueError:
        raise ConfigError(f"{where}.role is {str(role)[:60]!r}: use {', '.join(Role)}") from None
