"""Counts tokens word by word, each word once: several times faster than tokenizing where words recur, as they do in documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

_KEPT_LETTERS = 8_000_000


class WordCount:
    """Counts as `count_tokens` does, for tokenizers that split at blanks before anything else (WordPiece with BERT's pre-tokenizer).

    Of a text that has control characters between its words it may count a token more, never less. The counts of words of eight
    million letters together are kept, some 150 MB.
    """

    def __init__(self, count_tokens: Callable[[list[str]], list[int]]) -> None:
        self._count_tokens = count_tokens
        self._known: dict[str, int] = {}
        self._letters = 0

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens, without the special ones. Cost: linear in the texts; new words are tokenized in one call."""
        split = [text.split() for text in texts]
        known = self._known
        new = [word for word in dict.fromkeys(chain.from_iterable(split)) if word not in known]
        self._letters += sum(map(len, new))
        if self._letters > _KEPT_LETTERS:
            known = self._known = {}  # a new dict, so that another thread's count is not disturbed
            new = list(dict.fromkeys(chain.from_iterable(split)))
            self._letters = sum(map(len, new))
        known.update(zip(new, self._count_tokens(new), strict=True))
        return [sum(map(known.__getitem__, words)) for words in split]
