"""Fingerprints of erased strings: enough to find a copy of one in raw bytes, too little to read it.

A string is cut into blocks of 32 bytes end to end (16 or 8 where it is shorter), and each block's keyed digest is kept. Whoever scans
slides a window over the bytes: every verbatim copy of 63 bytes or more of a string holds a whole block, wherever the copy begins.
A rolling hash picks the few windows worth a digest, as rsync does (Tridgell and Mackerras 1996).

Strings are cut at quotes, backslashes and control characters first, which JSON writes in other ways; what is not ASCII is also
fingerprinted as JSON escapes it. Runs shorter than 8 bytes have no fingerprint: they are everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Container

LENGTHS = (8, 16, 32)
"""Block lengths in bytes, powers of two, ascending."""
MOST = 100_000
"""Most blocks of one receipt; beyond that they are taken evenly, and a copy must be longer to be found."""
_WINDOW = 1 << 20
_RUN = re.compile(r'[^\x00-\x1f\x7f"\\]+')
_DIGEST_BYTES = 16

UInt64Vector = npt.NDArray[np.uint64]


class Fingerprinter:
    """Makes and finds fingerprints under one key; without the key neither can be done, so that short strings cannot be guessed."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.blake2b(key, digest_size=32, person=b"fingerprints").digest()
        drawn = np.frombuffer(hashlib.shake_256(self._key).digest(257 * 8), dtype="<u8").astype(np.uint64)
        self._of_byte, base = drawn[:256], int(drawn[256]) | 1
        self._powers = {half: np.uint64(pow(base, half, 1 << 64)) for half in (1, 2, 4, 8, 16)}

    def of(self, strings: Iterable[str | bytes]) -> tuple[str, ...]:
        """Return the fingerprints, sorted, each once: 2 hex digits of length, 8 of rolling hash, 32 of digest.

        Args:
            strings: text, or bytes as they lie in files, such as a vector's float32 values.
        """
        blocks = {block for string in strings for block in _blocks(string)}
        prints = sorted(self._of_block(block) for block in blocks)
        step = -(-len(prints) // MOST)  # the digest's order is random, so an even choice is one of the blocks too
        return tuple(prints[:: step or 1])

    def _of_block(self, block: bytes) -> str:
        rolled = int(next(hashes for length, hashes in self._rolled(block) if length == len(block))[0])
        return f"{len(block):02x}{rolled >> 32:08x}{self._digest(block)}"

    def _digest(self, block: bytes) -> str:
        return hashlib.blake2b(block, key=self._key, digest_size=_DIGEST_BYTES).hexdigest()

    def _rolled(self, data: bytes) -> Iterator[tuple[int, UInt64Vector]]:
        """Yield for each block length the rolling hash of the window that begins at each place of `data`.

        A window's hash is its first half's times a power plus its second half's, modulo 2**64: five passes reach 32 bytes.
        """
        hashes: UInt64Vector = self._of_byte[np.frombuffer(data, dtype=np.uint8)]
        length = 1
        while length < LENGTHS[-1] and len(hashes) > length:
            hashes = hashes[:-length] * self._powers[length] + hashes[length:]
            length *= 2
            if length in LENGTHS:
                yield length, hashes

    def finder(self, prints: Sequence[str]) -> Finder:
        """Return what finds these fingerprints in bytes."""
        return Finder(self, prints)


class Finder:
    """Looks for fingerprints in streams of bytes. About 50 MB/s."""

    def __init__(self, fingerprinter: Fingerprinter, prints: Sequence[str]) -> None:
        self._of = fingerprinter
        self._known: dict[int, frozenset[str]] = {}
        self._rolled: dict[int, npt.NDArray[np.uint32]] = {}
        self._marked: dict[int, npt.NDArray[np.bool_]] = {}
        self._shift = 32 - min(24, max(12, len(prints).bit_length() + 6))
        for length in LENGTHS:
            own = [each for each in prints if int(each[:2], 16) == length]
            if own:
                self._known[length] = frozenset(own)
                self._rolled[length] = np.unique(np.array([int(each[2:10], 16) for each in own], dtype=np.uint32))
                marked = np.zeros(1 << (32 - self._shift), dtype=np.bool_)
                marked[self._rolled[length] >> np.uint32(self._shift)] = True
                self._marked[length] = marked

    def found(self, pieces: Iterable[bytes], *, known: Container[str] = ()) -> dict[str, int]:
        """Return fingerprint -> first place, in bytes from the start, of those that `pieces`, joined, hold.

        Args:
            known: fingerprints not to look for again.
        """
        found: dict[str, int] = {}
        rest, start = b"", 0
        for piece in pieces:
            data = rest + piece
            for place, print_ in self._in(data, found, known):
                found.setdefault(print_, start + place)
            rest = data[-(LENGTHS[-1] - 1) :]
            start += len(data) - len(rest)
        return found

    def in_texts(self, texts: Iterable[str]) -> set[str]:
        """Return the fingerprints that texts hold, as UTF-8 or as JSON has them."""
        if not self._known:
            return set()
        found: set[str] = set()
        for part in _joined(texts):
            found |= self.found([part.encode("utf-8", "surrogatepass")], known=found).keys()
            if not part.isascii():
                found |= self.found([json.dumps(part).encode("ascii")], known=found).keys()
        return found

    def _in(self, data: bytes, found: Container[str], known: Container[str]) -> Iterator[tuple[int, str]]:
        for begin in range(0, len(data), _WINDOW):
            part = data[begin : begin + _WINDOW + LENGTHS[-1] - 1]
            for length, hashes in self._of._rolled(part):
                if length not in self._known:
                    continue
                high = (hashes >> np.uint64(32)).astype(np.uint32)
                places = np.flatnonzero(self._marked[length][high >> np.uint32(self._shift)])
                for place in places[np.isin(high[places], self._rolled[length])]:
                    block = part[place : place + length]
                    print_ = f"{length:02x}{int(high[place]):08x}{self._of._digest(block)}"
                    if print_ in self._known[length] and print_ not in found and print_ not in known:
                        yield begin + int(place), print_


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """Yield texts together, a million characters at a time; no block of a text reaches over a line's end."""
    part: list[str] = []
    size = 0
    for text in texts:
        part.append(text)
        size += len(text)
        if size > _WINDOW:
            yield "\n".join(part)
            part, size = [], 0
    yield "\n".join(part)


def _blocks(string: str | bytes) -> Iterator[bytes]:
    """Yield the blocks of one string: of its longest length that fits, end to end, and the last one flush with the end."""
    for run in _runs(string):
        fitting = [length for length in LENGTHS if length <= len(run)]
        if fitting:
            length = fitting[-1]
            yield from (run[at : at + length] for at in range(0, len(run) - length + 1, length))
            yield run[-length:]


def _runs(string: str | bytes) -> Iterator[bytes]:
    if isinstance(string, bytes):
        yield string
        return
    for run in _RUN.findall(string):
        stripped = run.strip()
        yield stripped.encode("utf-8", "surrogatepass")
        if not stripped.isascii():
            yield json.dumps(stripped)[1:-1].encode("ascii")
