"""Receipts of what was forgotten: made, sealed, kept under the home, and told from forged ones.

The key lies in `receipts.key` in the home, readable by its owner alone. The same key, with the receipt's salt, makes the fingerprints:
a receipt that leaves the house gives no short string away to whoever tries them all. Without the key a receipt proves nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import ConfigFileError, IndexBackendError, ReceiptNotFound
from rag.lore.items import Receipt

if TYPE_CHECKING:
    from rag.fingerprints import Fingerprinter

KEY_FILE = "receipts.key"
FOLDER = "receipts"
IN_BUILDS = "b"
"""Begins a digest that is looked for in builds alone."""
IN_MEMORY = "m"
"""Begins the digest of a row of memory by its number, which no other row ever has."""
LONG = "20"
"""Begins a digest of 32 bytes: shorter strings are no proof that one text repeats another."""
_KEY_BYTES = 32


def issue(
    home: Path,
    *,
    tenant: str,
    by: str,
    about: str,
    counts: Mapping[str, int],
    strings: Iterable[str | bytes] = (),
    said: Iterable[str] = (),
    chunk_ids: Iterable[str] = (),
    memory_rows: Iterable[int] = (),
    kept: Iterable[str] = (),
    others: Iterable[str] = (),
    notes: Sequence[str] = (),
    at: datetime | None = None,
) -> Receipt:
    """Return a sealed receipt; `save` keeps it. It is `draft` and `sealed` in one.

    Args:
        by: subject of who had it forgotten.
        about: what was named, in names: `subject user:alice`, `document notes/a.md`, `memory 3f..`. No text.
        counts: how many of each kind are gone.
        strings: what is gone, as text or as raw bytes; see `rag.fingerprints`.
        said: the same, of what others may say too, such as questions.
        chunk_ids: of what is gone; they are looked for in builds alone, for the audit log keeps on saying who saw which chunk.
        memory_rows: numbers of what is gone from memory. Such a receipt is compared with what else there is when it is verified: see
            `rag.erasure.looking`.
        kept: texts that stay. What they have in common with what is gone cannot be missed and has no fingerprint.
        others: the same for what others said. Of `strings` it takes away fingerprints of short strings alone.
        notes: what stays where it cannot be reached, a sentence each.
    Cost: a few microseconds a block of 32 bytes.
    """
    made = draft(
        home, tenant=tenant, by=by, about=about, counts=counts, strings=strings, said=said, chunk_ids=chunk_ids,
        memory_rows=memory_rows, kept=kept, others=others, notes=notes, at=at,
    )  # fmt: skip
    return sealed(home, made.receipt)


@dataclass(frozen=True, slots=True)
class Draft:
    """A receipt without a seal, and those of its digests by which repetitions of erased text are known anywhere."""

    receipt: Receipt
    repeats: tuple[str, ...]


def draft(
    home: Path,
    *,
    tenant: str,
    by: str,
    about: str,
    counts: Mapping[str, int],
    strings: Iterable[str | bytes] = (),
    said: Iterable[str] = (),
    chunk_ids: Iterable[str] = (),
    memory_rows: Iterable[int] = (),
    kept: Iterable[str] = (),
    others: Iterable[str] = (),
    notes: Sequence[str] = (),
    at: datetime | None = None,
) -> Draft:
    """As `issue`, without a seal: what is about to be forgotten, told before its text is gone."""
    salt = secrets.token_hex(16)
    fingerprinter = fingerprints_of(home, salt, create=True)
    own = fingerprinter.of(strings)
    digests = {*own, *fingerprinter.of(said)}
    finder = fingerprinter.finder(sorted(digests))
    digests -= finder.in_texts(kept)
    long = {each for each in own if each.startswith(LONG)}
    digests -= finder.in_texts(others) - long
    in_builds = tuple(IN_BUILDS + each for each in fingerprinter.of(name.encode() for name in chunk_ids))
    in_memory = tuple(IN_MEMORY + each for each in fingerprinter.of(map(row_name, memory_rows)))
    receipt = Receipt(
        id=uuid.uuid4().hex,
        at=(at or datetime.now(UTC)).astimezone(UTC),
        tenant=tenant,
        by=by,
        about=about,
        counts=dict(counts),
        digests=tuple(sorted(digests)) + in_builds + in_memory,
        salt=salt,
        seal="",
        notes=tuple(notes),
    )
    return Draft(receipt, tuple(sorted(digests & long)))


def row_name(seq: int) -> str:
    """Return what the number of a row of memory is fingerprinted as: one block."""
    return f"{seq:032d}"


def of_texts(digests: Iterable[str]) -> list[str]:
    """Return those of a receipt's digests that are looked for everywhere."""
    return [each for each in digests if not each.startswith((IN_BUILDS, IN_MEMORY))]


def sealed(home: Path, receipt: Receipt) -> Receipt:
    """Return the receipt with the seal that belongs to what it says."""
    return replace(receipt, seal=_seal(receipt, _key(home, create=True)))


def seal_holds(home: Path, receipt: Receipt) -> bool:
    """Return whether the home issued the receipt just as it is. One of another home, or of a home whose key is lost, does not hold."""
    key = _key(home, create=False)
    return key is not None and hmac.compare_digest(_seal(receipt, key).encode(), receipt.seal.encode())


def fingerprints_of(home: Path, salt: str, *, create: bool = False) -> Fingerprinter:
    """Return what makes and finds the fingerprints of a receipt with this salt."""
    from rag.fingerprints import Fingerprinter

    key = _key(home, create=create)
    if key is None:
        raise ConfigFileError(f"{home / KEY_FILE} is missing: this home has issued no receipt, or its key is lost")
    return Fingerprinter(hmac.digest(key, b"fingerprints" + salt.encode(), "sha256"))


def save(home: Path, receipt: Receipt) -> Path:
    """Keep a receipt as `receipts/ID.json` of the home, and return the file."""
    path = home / FOLDER / f"{receipt.id}.json"
    write_json(path, to_json(receipt))
    return path


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a file at once, lasting before this returns, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def load(path: Path) -> Receipt:
    """Read a receipt, whether its seal holds or not.

    Raises:
        ReceiptNotFound: there is no such file.
        ConfigFileError: it cannot be read, or is no receipt.
    """
    try:
        return from_json(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise ReceiptNotFound(f"there is no receipt {path.name!r}; give the file that an erasure wrote") from None
    except OSError as error:
        raise ConfigFileError(f"{path}: {error.strerror}; give the file that an erasure wrote") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigFileError(f"{path}: not a receipt ({error}); give the file that an erasure wrote") from error


def to_json(receipt: Receipt) -> dict[str, Any]:
    data = asdict(receipt) | {"at": receipt.at.isoformat(), "digests": list(receipt.digests)}
    notes = data.pop("notes")
    return data | (
        {"notes": list(notes)} if notes else {}
    )  # without any it is what it was before there were notes, to the seal too


def from_json(data: Mapping[str, Any]) -> Receipt:
    """Read what `to_json` gives.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    names = ("id", "tenant", "by", "about", "salt", "seal")
    texts = {name: data[name] for name in names}
    counts, digests, at = dict(data["counts"]), tuple(data["digests"]), datetime.fromisoformat(data["at"])
    notes = tuple(data.get("notes", ()))
    if not all(isinstance(each, str) for each in (*texts.values(), *counts, *digests, *notes)):
        raise ValueError("a field is not text")
    if not all(type(count) is int for count in counts.values()) or at.tzinfo is None:
        raise ValueError("a count is no whole number, or the time has no zone")
    if unknown := sorted(data.keys() - {*names, "counts", "digests", "at", "notes"}):
        raise ValueError(f"unknown fields {', '.join(unknown)}")
    return Receipt(at=at, counts=counts, digests=digests, notes=notes, **texts)


def _seal(receipt: Receipt, key: bytes | None) -> str:
    assert key is not None
    fields = {name: value for name, value in to_json(receipt).items() if name != "seal"}
    said = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, b"loremill receipt\n" + said.encode("ascii"), hashlib.sha256).hexdigest()


def _key(home: Path, *, create: bool) -> bytes | None:
    """Return the home's key, made if `create`; None where there is none. Of two that make it at once, one wins for both."""
    path = home / KEY_FILE
    try:
        if create and not path.exists():
            home.mkdir(parents=True, exist_ok=True)
            aside = home / f".{KEY_FILE}.{uuid.uuid4().hex}.tmp"
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(aside, path)
            except FileExistsError:
                pass
            finally:
                aside.unlink()
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IndexBackendError(f"{path} cannot be used: {error.strerror}") from error
    if len(key) != _KEY_BYTES:
        raise ConfigFileError(f"{path} has {len(key)} bytes instead of {_KEY_BYTES}: put the home's own key back")
    return key
