"""Near-duplicates by MinHash: a signature of a few hundred bytes tells how much of two texts is the same.

A text is the set of its shingles: every run of three words after case folding, where a character of a script without
blanks (Chinese, Japanese, Thai, ...) is a word of its own. The Jaccard similarity of two such sets is the share of
shingles in both among those in either. One changed word in a text of 250 changes three shingles: similarity 0.976.

MinHash keeps, for each of 128 hash functions, the least hash of any shingle. Two texts agree in one place with a
probability that is their similarity J, so the share of places where they agree estimates J with a standard error of
sqrt(J (1 - J) / 128): 0.027 at 0.9, at most 0.044.

To find the pairs worth comparing, a signature is cut into bands of `rows` values; two texts are candidates if one band
is the same in both, which happens with probability 1 - (1 - J^rows)^bands. A band is a key for an SQL index. At the
default threshold of 0.9, 12 bands of 10 rows:

    J                 0.5    0.6    0.7    0.8    0.85   0.9    0.95
    candidate with    .012   .070   .291   .744   .928   .994   1.000

Source: Broder, "On the resemblance and containment of documents", 1997; Leskovec, Rajaraman and Ullman, "Mining of
Massive Datasets", chapter 3. The hashing is rensa's R-MinHash.
"""

from __future__ import annotations

import re
import struct
from functools import cache

from indexes.errors import DependencyMissing

PLACES = 128
WORDS = 3
SEED = 1
METHOD = f"minhash/1 rensa-r {PLACES} places {WORDS} words seed {SEED}"
"""Names how a signature was made. Signatures of different methods must never be compared: store it beside them."""

THRESHOLD = 0.9
CERTAINTY = 0.99
"""Least probability that a pair at the threshold is a candidate."""

# Scripts that put no blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_FORMAT = struct.Struct(f"<{PLACES}I")


def signature(text: str) -> bytes:
    """Return the MinHash signature of a text: 128 unsigned integers of 32 bits, little-endian, 512 bytes.

    The same text gives the same bytes in every process and on every machine. A text of fewer than three words is one
    shingle; one without words is the shingle of its characters but the blanks, so that all blank texts are alike.

    Raises:
        DependencyMissing: rensa is not installed.
    Cost: linear; about 0.1 ms for 250 words.
    """
    try:
        from rensa import RMinHash
    except ImportError as error:
        raise DependencyMissing("rensa", extra="policy") from error
    minhash = RMinHash(PLACES, SEED)
    minhash.update(_runs(text))  # what comes twice changes nothing
    return _FORMAT.pack(*minhash.digest())


def shingles(text: str) -> set[str]:
    """Return every run of WORDS words of the text after case folding; never empty."""
    return set(_runs(text))


def similarity(one: bytes, other: bytes) -> float:
    """Estimate the Jaccard similarity of two texts from their signatures.

    Returns:
        In [0, 1], a multiple of 1/128, unbiased; standard error sqrt(J (1 - J) / 128), at most 0.044.
    Raises:
        ValueError: one of them is no signature of this method.
    """
    return sum(a == b for a, b in zip(_values(one), _values(other), strict=True)) / PLACES


def bands(signature: bytes, *, threshold: float = THRESHOLD) -> tuple[bytes, ...]:
    """Return the keys under which a text is found by those similar to it.

    Two texts whose similarity is `threshold` or more share a key in the same place with probability >= 0.99. Keys of
    different places or thresholds mean different things: store the place beside the key.

    Args:
        signature: of the text.
        threshold: least similarity that is to be found, in [0.04, 1]; the higher, the fewer keys and candidates.
    Raises:
        ValueError: the threshold is out of range, or that is no signature of this method.
    """
    _values(signature)
    width = 4 * rows(threshold)
    return tuple(signature[at : at + width] for at in range(0, len(signature) - width + 1, width))


@cache
def rows(threshold: float) -> int:
    """Return the most rows a band can have, so that a pair at `threshold` becomes a candidate with CERTAINTY."""
    fitting = [count for count in range(1, PLACES + 1) if candidate_probability(threshold, count) >= CERTAINTY]
    if not fitting or not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is out of range: near-duplicates are found from 0.04 up to 1")
    return fitting[-1]


def candidate_probability(similarity: float, rows: int) -> float:
    """Return the probability that two texts of that Jaccard similarity share a band of `rows` rows, in [0, 1]."""
    return 1.0 - float((1.0 - similarity**rows) ** (PLACES // rows))


def _runs(text: str) -> list[str]:
    words = _WORD.findall(text.casefold())
    if len(words) < WORDS:
        return [" ".join(words or text.split())]
    return list(map(" ".join, zip(*(words[offset:] for offset in range(WORDS)), strict=False)))


def _values(signature: bytes) -> tuple[int, ...]:
    if len(signature) != _FORMAT.size:
        raise ValueError(f"a signature has {_FORMAT.size} bytes, not {len(signature)}: it was made by another method")
    return _FORMAT.unpack(signature)
