"""Conversations with questions about them: what memory is evaluated on.

Three kinds of file, told apart by their shape:

    LoCoMo         a JSON list of {"sample_id", "conversation": {"session_1": [...], "session_1_date_time": ...}, "qa": [...]}
    LongMemEval    a JSON list of {"question_id", "haystack_sessions", "haystack_dates", "question", "answer", ...}, one question each;
                   also {"data": [{"id", "conversation": [...], "questions": [...]}]}
    an agents' log JSON Lines of {"id", "user", "session", "speaker", "role", "time", "text"}, with the questions in `questions.jsonl` beside it
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from indexes.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Turn:
    """What one message says; `id` is unique in its conversation."""

    id: str
    text: str
    speaker: str
    role: str
    session: str
    time: datetime | None


@dataclass(frozen=True, slots=True)
class MemoryQuestion:
    """A question about a conversation.

    Args:
        evidence: ids of the turns that prove the answer; empty where the file names none.
        unknown: how many ids it names that are no turn's.
        outdated: ids of turns that say what held before; the newer evidence must come before them.
    """

    id: str
    text: str
    category: str
    answers: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    unknown: int = 0
    outdated: tuple[str, ...] = ()
    answerable: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in the order in which they were said, remembered as one user's, and what is asked about them."""

    id: str
    turns: tuple[Turn, ...]
    questions: tuple[MemoryQuestion, ...]

    def sessions(self) -> Iterator[tuple[str, list[Turn]]]:
        """Yield the turns by session, in the order in which the sessions begin."""
        found: dict[str, list[Turn]] = {}
        for turn in self.turns:
            found.setdefault(turn.session, []).append(turn)
        yield from found.items()


@dataclass(frozen=True, slots=True)
class Field:
    """A value of a file and where it stands, so that each fault can say so."""

    path: str
    where: str
    value: Any
    line: int | None = None

    def fault(self, message: str) -> DatasetError:
        return DatasetError(f"{self.where}: {message}" if self.where else message, path=self.path, line=self.line)

    def get(self, key: str | int) -> Field:
        """Return a member; DatasetError if there is none."""
        held = self.value
        if isinstance(key, str) and not isinstance(held, dict):
            raise self.fault(f"expected an object with {key!r}, got {type(held).__name__}")
        if isinstance(key, str) and key not in held:
            raise self.fault(f"{key!r} is missing")
        return Field(
            self.path,
            f"{self.where}[{key}]" if isinstance(key, int) else f"{self.where}.{key}".lstrip("."),
            held[key],
            self.line,
        )

    def has(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def items(self) -> list[Field]:
        """Return the members of a list."""
        if not isinstance(self.value, list):
            raise self.fault(f"expected a list, got {type(self.value).__name__}")
        return [self.get(place) for place in range(len(self.value))]

    def text(self) -> str:
        """Return a text that is not blank; a number as it is written."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return str(self.value)
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.fault(f"expected a text, got {str(self.value)[:40]!r}")
        return self.value

    def time(self, *formats: str) -> datetime:
        """Return a moment written in one of the formats, or in ISO 8601."""
        text = self.text().strip()
        for form in formats:
            try:
                return datetime.strptime(text, form)
            except ValueError:
                continue
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise self.fault(f"{text[:60]!r} is no time that is understood here") from None


def read_conversations(path: str | Path) -> list[Conversation]:
    """Return the conversations of a LoCoMo or LongMemEval file or of an agents' log.

    Raises:
        DatasetError: the file cannot be read, is of no known shape, or is broken; the message says where.
    """
    from eval.agents_log import read_agents_log
    from eval.locomo import read_locomo
    from eval.longmemeval import read_longmemeval

    file = Path(path)
    if file.suffix == ".jsonl":
        return _checked(read_agents_log(file), file)
    root = _loaded(file)
    items = (root.get("data") if root.has("data") else root).items()
    if not items:
        raise root.fault("it holds no conversation")
    if items[0].has("qa"):
        return _checked([read_locomo(item) for item in items], file)
    if items[0].has("haystack_sessions") or items[0].has("questions"):
        return _checked([read_longmemeval(item) for item in items], file)
    raise root.fault("neither LoCoMo (qa), LongMemEval (haystack_sessions) nor an agents' log (.jsonl)")


def _loaded(file: Path) -> Field:
    try:
        return Field(str(file), "", json.loads(file.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", path=str(file)) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"not UTF-8 at byte {error.start}", path=str(file)) from error
    except json.JSONDecodeError as error:
        raise DatasetError(f"not JSON: {error.msg}", path=str(file), line=error.lineno) from error


def _checked(conversations: list[Conversation], file: Path) -> list[Conversation]:
    ids: set[str] = set()
    for one in conversations:
        if one.id in ids:
            raise DatasetError(f"the conversation {one.id!r} comes twice", path=str(file))
        if not one.turns:
            raise DatasetError(f"the conversation {one.id!r} has no turn", path=str(file))
        ids.add(one.id)
    return conversations
