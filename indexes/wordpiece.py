"""WordPiece tokens of many texts: each distinct word is cut once, by the model's own tokenizer, and remembered.

Why: BERT's normaliser and pre-tokenizer never look across a blank, so a text's tokens are those of its words, and words repeat.
Counting took a sixth of the tokenizer's own processor time once the words were known, and no more than it while they were not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from indexes.arrays import Int32Vector
from indexes.errors import DependencyMissing

_words = re.compile(r"[^ \t\n\r]+").findall
"""Only what every version of Unicode calls a blank parts words here; the tokenizer parts them further."""
_KEPT_WORDS = 1 << 18
"""Words remembered, some 40 MB; then the memory starts anew."""
_LONGEST_KEPT = 64
"""Longer words (links, blobs) rarely come twice."""
_ID = np.dtype("<i4")


class WordPiece:
    """Token ids and counts as the tokenizer in `file` gives them. Safe for many threads.

    Args:
        file: a tokenizer.json with BERT's normaliser, pre-tokenizer and special tokens.
        max_tokens: longer texts are cut to so many tokens, without the two special ones.
    Raises:
        DependencyMissing: tokenizers is not installed.
    """

    def __init__(self, file: Path, *, max_tokens: int) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise DependencyMissing("tokenizers", extra="embed") from error
        self._tokenizer: Any = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._first, self._last = (_packed([special]) for special in self._tokenizer.encode("").ids)
        self._body = max_tokens * _ID.itemsize
        self._known: dict[str, bytes] = {}
        self._lock = Lock()

    def tokenize(self, texts: Sequence[str]) -> list[Int32Vector]:
        """Return each text's token ids with [CLS] before and [SEP] behind, cut to the model's length."""
        with self._lock:
            pieces = [b"".join(words)[: self._body] for words in self._pieces(texts)]
        return [np.frombuffer(self._first + body + self._last, _ID) for body in pieces]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens, uncut and without the special ones."""
        with self._lock:
            return [sum(map(len, words)) // _ID.itemsize for words in self._pieces(texts)]

    def _pieces(self, texts: Sequence[str]) -> Iterable[Iterable[bytes]]:
        """Yield the packed token ids of each text's words; words met for the first time go through the tokenizer together."""
        split = [_words(text) for text in texts]
        if len(self._known) > _KEPT_WORDS:
            self._known = {}
        new = list(set(chain.from_iterable(split)).difference(self._known))
        encodings = self._tokenizer.encode_batch_fast(new, add_special_tokens=False) if new else []
        self._known.update(zip(new, (_packed(encoding.ids) for encoding in encodings), strict=True))
        for words in split:
            yield map(self._known.__getitem__, words)
        for word in new:
            if len(word) > _LONGEST_KEPT:
                del self._known[word]


def _packed(ids: Sequence[int]) -> bytes:
    return np.array(ids, _ID).tobytes()
