"""Documents' metadata as columns in memory, so that a filter is a few array operations instead of a scan of the catalog.

A column holds one key over all documents of a build: its distinct values sorted, and each document's place among them. A comparison
is worked out on the sorted values, by bisection, and looked up for each document. Columns are read from the catalog when a key is first
asked about, and before each use are brought to the epoch of the query, so that no value outlives a change. How long a look-up takes
does not depend on how many documents have the key; that a key was not asked about before does show in the time.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import BoolVector
from indexes.where import COMPARE, OPAQUE, And, Condition, Filter, Not, Op, Or, Scalar, keys_of, moment, values_of

Values = Callable[[Sequence[str], int | None], Iterable[tuple[str, Sequence[Any]]]]
"""Gives what documents have under the keys, as read from JSON: all documents for None, else those changed after an epoch."""

KEYS_KEPT = 64
_NO_MOMENT = np.iinfo(np.int64).min
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|-?Infinity", re.ASCII)
_MISSING = object()
"""Stands for no value; as much work as one, so that the time to read a key does not tell how many documents have it."""
_FIXED = (False, True, OPAQUE, _MISSING)
_Ints = npt.NDArray[np.integer[Any]]


class Column:
    """One key's values, immutable. Codes: numbers ascending, texts by code point, false, true, `OPAQUE`, and none at all."""

    def __init__(
        self, size: int, numbers: Sequence[int | float], texts: Sequence[str], documents: _Ints, codes: _Ints
    ) -> None:
        """Args: size: documents there are; documents, codes: pairs of a document's place and the code of one of its values."""
        self._numbers, self._texts = numbers, texts
        self._values: list[object] = [*numbers, *texts, *_FIXED]
        missing = len(self._values) - 1
        self._first = np.full(size, missing, np.min_scalar_type(missing))
        self._first[documents] = codes
        further = self._first[documents] != codes
        self._more, self._more_codes = documents[further], codes[further].astype(self._first.dtype)

    @classmethod
    def of(cls, size: int, values: Sequence[Any], documents: _Ints, places: _Ints) -> Column:
        """Return the column of pairs of a document's place and the place of one of its values among `values`, which differ."""
        numbers = sorted(
            (value for value in values if isinstance(value, int | float) and not isinstance(value, bool)),
            key=lambda number: (number, isinstance(number, float)),
        )
        texts = sorted(value for value in values if isinstance(value, str))
        codes = {_same(value): code for code, value in enumerate((*numbers, *texts, *_FIXED))}
        coded = np.array([codes[_same(value)] for value in values], dtype=np.int64)
        return cls(size, numbers, texts, documents, coded[places])

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays; values are not counted."""
        return sum(array.nbytes for array in (self._first, self._more, self._more_codes))

    def matching(self, condition: Condition) -> BoolVector:
        """Return which documents pass. Cost: O(documents) in numpy, O(log distinct values) in Python for each operand."""
        chosen = np.zeros(len(self._values), dtype=bool)
        if condition.op is Op.EXISTS:
            chosen[:-1] = True
        elif condition.op is Op.IN:
            for operand in condition.operands:
                for low, high in self._equal(operand):
                    chosen[low:high] = True
        else:
            self._choose_range(chosen, condition.op, condition.operands[0])
        found = chosen[self._first]
        found[self._more[chosen[self._more_codes]]] = True
        return found

    def replaced(self, changed: Mapping[int, Any]) -> Column:
        """Return the column with what it holds of some documents, by place, replaced by what was read from JSON."""
        stays = np.ones(len(self._first), dtype=bool)
        stays[list(changed)] = False
        documents, codes = self._pairs()
        documents, codes = documents[stays[documents]], codes[stays[documents]]
        used = np.unique(codes).tolist()
        ids = {_same(self._values[code]): number for number, code in enumerate(used)}
        recode = np.zeros(len(self._values), dtype=np.int64)
        recode[used] = range(len(used))
        places, numbers = array("q"), array("q")
        for place, stored in changed.items():
            for value in values_of(stored) or (_MISSING,):
                places.append(place)
                numbers.append(ids.setdefault(_same(value), len(ids)))
        return Column.of(
            len(self._first),
            [value for _, value in ids],
            np.concatenate([documents, np.frombuffer(places, np.int64)]),
            np.concatenate([recode[codes], np.frombuffer(numbers, np.int64)]),
        )

    def moved(self, places: _Ints, size: int) -> Column:
        """Return the column with each document at another place, -1 for those that are left out."""
        documents, codes = self._pairs()
        stays = places[documents] >= 0
        return Column(size, self._numbers, self._texts, places[documents[stays]], codes[stays])

    def _pairs(self) -> tuple[_Ints, _Ints]:
        """Return the places and codes of all values."""
        every = np.arange(len(self._first))
        return np.concatenate([every, self._more]), np.concatenate([self._first, self._more_codes])

    def _equal(self, operand: Scalar) -> Iterator[tuple[int, int]]:
        """Give ranges of the codes that `eq` means."""
        booleans = len(self._numbers) + len(self._texts)
        if isinstance(operand, bool):
            yield booleans + operand, booleans + operand + 1
        elif not isinstance(operand, str):
            if operand == operand:
                yield bisect_left(self._numbers, operand), bisect_right(self._numbers, operand)
        else:
            place = bisect_left(self._texts, operand)
            if place < len(self._texts) and self._texts[place] == operand:
                yield len(self._numbers) + place, len(self._numbers) + place + 1
            if operand in ("false", "true"):
                yield booleans + (operand == "true"), booleans + (operand == "true") + 1
            if _NUMBER.fullmatch(operand):
                number = json.loads(operand)
                for code in range(bisect_left(self._numbers, number), bisect_right(self._numbers, number)):
                    if json.dumps(self._numbers[code]) == operand:
                        yield code, code + 1

    def _choose_range(self, chosen: BoolVector, op: Op, operand: Scalar) -> None:
        """Choose the codes whose values compare with the operand as `op` says."""
        start, stop = 0, len(self._numbers)
        ordered: Sequence[Any] = self._numbers
        if isinstance(operand, str):
            start, stop = stop, stop + len(self._texts)
            ordered = self._texts
        elif operand != operand:
            return
        side = bisect_left if op in (Op.LT, Op.GTE) else bisect_right
        border = start + side(ordered, operand)
        chosen[slice(start, border) if op in (Op.LT, Op.LTE) else slice(border, stop)] = True
        if isinstance(operand, str) and (when := moment(operand)) is not None:
            dated = self._moments != _NO_MOMENT
            chosen[start:stop][dated] = COMPARE[op](self._moments[dated], when)

    @cached_property
    def _moments(self) -> npt.NDArray[np.int64]:
        """Of each text, `_NO_MOMENT` where it is none."""
        found = (moment(text) for text in self._texts)
        return np.array([_NO_MOMENT if one is None else one for one in found], dtype=np.int64)


def _same(value: object) -> tuple[type, object]:
    """Return what tells values apart that Python calls equal: 1, 1.0 and True."""
    return type(value), value


class Columns:
    """The columns of one build's documents. Safe for many threads: one reads the catalog at a time, readers of known columns do not wait."""

    def __init__(self, ordinals: Mapping[str, int]) -> None:
        """Args: ordinals: each document's place."""
        self._ordinals = ordinals
        self._columns: OrderedDict[str, tuple[int, Column]] = OrderedDict()
        self._strangers: set[str] = set()
        self._lock, self._loading = Lock(), Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays kept."""
        with self._lock:
            return sum(column.nbytes for _, column in self._columns.values())

    def matching(self, where: Filter, values: Values, *, epoch: int) -> BoolVector:
        """Return which documents pass, by the catalog of `epoch` or a later one.

        Args:
            values: reads the catalog, for keys that are not known or not of that epoch.
        Cost: O(documents) in numpy for each condition; for a new key the catalog is read through once.
        """
        return _evaluate(where, self._current(sorted(keys_of(where)), values, epoch), len(self._ordinals))

    def onto(self, ordinals: Mapping[str, int]) -> Columns:
        """Return the columns for the documents of another build; those which were never seen here come with their own epochs."""
        other = Columns(ordinals)
        with self._loading, self._lock:
            if self._strangers.isdisjoint(ordinals):
                places = np.array([ordinals.get(name, -1) for name in self._ordinals], dtype=np.int64)
                for key, (epoch, column) in self._columns.items():
                    other._columns[key] = epoch, column.moved(places, len(ordinals))
        return other

    def _current(self, keys: Collection[str], values: Values, epoch: int) -> dict[str, Column]:
        found = self._known(keys, epoch)
        if len(found) < len(keys):
            with self._loading:
                found = self._known(keys, epoch)  # another thread may have read them meanwhile
                found |= self._read([key for key in keys if key not in found], values, epoch)
        return found

    def _known(self, keys: Iterable[str], epoch: int) -> dict[str, Column]:
        with self._lock:
            known = {key: self._columns[key][1] for key in keys if self._columns.get(key, (-1, None))[0] >= epoch}
            for key in known:
                self._columns.move_to_end(key)
        return known

    def _read(self, keys: Sequence[str], values: Values, epoch: int) -> dict[str, Column]:
        """Read what is missing; keys that were read last at the same epoch are read together."""
        empty = Column(len(self._ordinals), (), (), np.empty(0, np.int64), np.empty(0, np.int64))
        since: dict[int | None, list[str]] = {}
        for key in keys:
            since.setdefault(self._columns[key][0] if key in self._columns else None, []).append(key)
        found = {}
        for last, together in since.items():
            changed: dict[str, dict[int, Any]] = {key: {} for key in together}
            for name, stored in values(together, last):
                if (place := self._ordinals.get(name)) is None:
                    self._strangers.add(name)
                    continue
                for key, one in zip(together, stored, strict=True):
                    changed[key][place] = one
            for key in together:
                before = empty if last is None else self._columns[key][1]
                found[key] = before.replaced(changed[key]) if changed[key] else before
        with self._lock:
            self._columns |= {key: (epoch, column) for key, column in found.items()}
            for key in found:
                self._columns.move_to_end(key)
            while len(self._columns) > KEYS_KEPT:
                self._columns.popitem(last=False)
        return found


def _evaluate(where: Filter, columns: Mapping[str, Column], size: int) -> BoolVector:
    match where:
        case And(parts):
            found = np.ones(size, dtype=bool)
            for part in parts:
                found &= _evaluate(part, columns, size)
            return found
        case Or(parts):
            found = np.zeros(size, dtype=bool)
            for part in parts:
                found |= _evaluate(part, columns, size)
            return found
        case Not(part):
            return ~_evaluate(part, columns, size)
        case Condition():
            return columns[where.key].matching(where)
