"""What models said of texts lately, kept by digest: no text stays in memory, and only who brings the text again gets the value."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from indexes.vocabulary import digest

_V = TypeVar("_V")


class Recent(Generic[_V]):
    """The values of the last `size` different keys; a value must depend on its key alone. Safe for many threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, _V] = OrderedDict()
        self._lock = Lock()

    def of(self, texts: Sequence[str], compute: Callable[[list[str]], Sequence[_V]], *, about: str = "") -> list[_V]:
        """Return the value of each text, in order; `compute` is asked, once, for those that are not kept.

        Args:
            about: what the values depend on besides the text, such as the question.
        """
        keys = [digest(about, text) for text in texts]
        with self._lock:
            found = {key: self._values[key] for key in keys if key in self._values}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            found |= zip(missing, compute(list(missing.values())), strict=True)
        with self._lock:
            for key in keys:
                self._values[key] = found[key]
                self._values.move_to_end(key)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return [found[key] for key in keys]
