"""Vector indexes that break the contract, each as a wrapper around a sound one, with the clauses that catch it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from indexes.access import UNREADABLE, AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.vectors import Found, VectorIndex
from tests.indexes import vector_contract as contract
from tests.indexes.vector_contract import ALL, Clause


class Wrapper:
    """Hands everything on to a sound index."""

    def __init__(self, sound: VectorIndex) -> None:
        self.sound = sound
        self.dim = sound.dim
        self.classes: Int32Vector | None = None

    def __len__(self) -> int:
        return len(self.sound)

    def assign_classes(self, classes: Int32Vector) -> None:
        self.sound.assign_classes(classes)
        self.classes = classes

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        return self.sound.search(queries, top_k=top_k, access=access, where=where)

    def everything(self, queries: Float32Matrix, top_k: int, where: BoolVector | None) -> list[Found]:
        """The best rows whoever asks."""
        assert self.classes is not None
        every = frozenset(self.classes.tolist())
        return self.sound.search(queries, top_k=top_k, access=contract.access(*every), where=where)

    def scores(self, query: Float32Matrix, rows: Any) -> Any:
        return self.sound.scores(query, rows)

    def norms(self) -> Any:
        return self.sound.norms()


def _cut(found: Found, keep: Any) -> Found:
    return replace(found, rows=found.rows[keep], scores=found.scores[keep])


class IgnoresTheFilter(Wrapper):
    """Forgets who asks."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        return self.everything(queries, asked["top_k"], asked.get("where"))


class FiltersAfterwards(Wrapper):
    """Searches everything and drops what may not be read from the best."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        readable = asked["access"].mask(self.classes)
        found = self.everything(queries, asked["top_k"], asked.get("where"))
        sound = super().search(queries, **asked)
        return [
            replace(_cut(one, readable[one.rows]), plan=other.plan) for one, other in zip(found, sound, strict=True)
        ]


class FiltersAfterwardsDeep(FiltersAfterwards):
    """The same from ten times as many candidates: right unless what may be read is rare among the best."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        wanted = asked["top_k"]
        found = super().search(queries, **{**asked, "top_k": 10 * wanted})
        return [_cut(one, slice(wanted)) for one in found]


class DropsARow(Wrapper):
    """Returns one row too few."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        return [_cut(one, slice(-1)) for one in super().search(queries, **asked)]


class DropsTheBestRow(Wrapper):
    """Misses the best row of each query and fills up from behind."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **{**asked, "top_k": asked["top_k"] + 1})
        return [_cut(one, slice(1, None)) if len(one.rows) > 1 else one for one in found]


class NeverFindsTheLastRow(Wrapper):
    """Loses the last row that was added, as an off-by-one does."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        return [_cut(one, one.rows != len(self) - 1) for one in super().search(queries, **asked)]


class OrdersTiesBackwards(Wrapper):
    """Breaks ties by descending row."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **asked)
        return [_cut(one, np.lexsort((-one.rows, -one.scores))) for one in found]


class CutsTiesAnyhow(Wrapper):
    """Keeps, of a tie at the border, rows that came late."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **{**asked, "top_k": asked["top_k"] + 1})
        return [
            _cut(one, np.append(np.arange(asked["top_k"] - 1), asked["top_k"]))
            if len(one.rows) > asked["top_k"]
            else one
            for one in found
        ]


class WorstFirst(Wrapper):
    """Sorts ascending."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        return [_cut(one, slice(None, None, -1)) for one in super().search(queries, **asked)]


class IgnoresWhere(Wrapper):
    """Ignores the metadata filter."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        return super().search(queries, **{**asked, "where": None})


class WhereOpens(Wrapper):
    """Takes the metadata filter instead of the rights."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        if asked.get("where") is not None:
            return self.everything(queries, asked["top_k"], asked["where"])
        return super().search(queries, **asked)


class WritesToWhere(Wrapper):
    """Narrows the caller's mask in place."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        if (where := asked.get("where")) is not None:
            where &= asked["access"].mask(self.classes)
        return super().search(queries, **asked)


class StaleRights(Wrapper):
    """Keeps the rights it was first told."""

    def assign_classes(self, classes: Int32Vector) -> None:
        if self.classes is None:
            super().assign_classes(classes)


class OneEpochBehind(Wrapper):
    """Searches by the rights before the present ones."""

    waiting: Int32Vector | None = None

    def assign_classes(self, classes: Int32Vector) -> None:
        super().assign_classes(classes if self.waiting is None else self.waiting)
        self.waiting = classes


class NeedsNoRights(Wrapper):
    """Searches before it was told any rights."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        if self.classes is None:
            self.assign_classes(np.ones(len(self), np.int32))
        return super().search(queries, **asked)


class FillsUp(Wrapper):
    """Fills up with rows that may not be read where few may."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        sound = super().search(queries, **asked)
        if all(len(one.rows) >= asked["top_k"] for one in sound):
            return sound
        return self.everything(queries, asked["top_k"], asked.get("where"))


class ReadsTheUnreadable(Wrapper):
    """Takes UNREADABLE for a class like any other."""

    def assign_classes(self, classes: Int32Vector) -> None:
        self.sound.assign_classes(np.where(classes == UNREADABLE, 10_000, classes).astype(np.int32))
        self.classes = classes

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        classes = [10_000 if each == UNREADABLE else each for each in asked["access"].classes]
        return super().search(queries, **{**asked, "access": contract.access(*classes)})


class ShiftsScores(Wrapper):
    """Returns distances in place of inner products."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **asked)
        return [replace(one, scores=((one.scores + 1) / 2).astype(np.float32)) for one in found]


class RoundsScores(Wrapper):
    """Scores by 8-bit codes and never rescores."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **asked)
        return [replace(one, scores=np.round(one.scores * 127).astype(np.float32) / 127) for one in found]


class DoublesRows(Wrapper):
    """Returns the best row twice."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **asked)
        return [
            _cut(one, np.append(0, np.arange(len(one.rows)))[: asked["top_k"]]) if len(one.rows) else one
            for one in found
        ]


class MixesQueries(Wrapper):
    """Gives each query of a batch its neighbour's answer."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **asked)
        return found[1:] + found[:1]


class CountsWrong(Wrapper):
    """Tells all rows as readable in its plan."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        found = super().search(queries, **asked)
        return [replace(one, plan=replace(one.plan, readable=len(self))) for one in found]


class LooksAtTheFirstHundred(Wrapper):
    """Searches only a hundred rows where few may be read, as a graph does that ran dry."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        near = np.zeros(len(self), dtype=bool)
        near[:100] = True
        where = near if asked.get("where") is None else near & asked["where"]
        return super().search(queries, **{**asked, "where": where})


class NormalisesVectors(Wrapper):
    """Tells every stored vector as one of unit length."""

    def norms(self) -> Any:
        return np.ones(len(self), np.float32)


class ScoresSorted(Wrapper):
    """Returns the scores of given rows best first, not in the order they were asked for."""

    def scores(self, query: Float32Matrix, rows: Any) -> Any:
        return np.sort(super().scores(query, rows))[::-1]


class AcceptsAnything(Wrapper):
    """Takes NaN for zero."""

    def search(self, queries: Float32Matrix, **asked: Any) -> list[Found]:
        return super().search(np.nan_to_num(queries, posinf=0, neginf=0), **asked)


BROKEN: list[tuple[Callable[[VectorIndex], VectorIndex], Clause]] = [
    (IgnoresTheFilter, contract.one_class_is_searched_exactly),
    (IgnoresTheFilter, contract.where_is_anded_with_access),
    (FiltersAfterwards, contract.some_classes_are_searched_exactly),
    (FiltersAfterwardsDeep, contract.a_class_of_one_row_gives_that_row),
    (FiltersAfterwardsDeep, contract.only_the_worst_rows_are_readable),
    (DropsARow, contract.more_are_wanted_than_are_readable),
    (DropsARow, contract.one_class_is_searched_exactly),
    (DropsTheBestRow, contract.all_classes_are_searched_exactly),
    (NeverFindsTheLastRow, contract.more_are_wanted_than_there_are),
    (OrdersTiesBackwards, contract.ties_come_by_ascending_row),
    (CutsTiesAnyhow, contract.a_tie_at_the_border_is_cut_by_row),
    (WorstFirst, contract.nearly_all_rows_are_searched_exactly),
    (WorstFirst, contract.scores_descend_within_one),
    (IgnoresWhere, contract.where_is_anded_with_access),
    (IgnoresWhere, contract.where_nothing_passes_gives_nothing),
    (WhereOpens, contract.where_opens_nothing),
    (WritesToWhere, contract.where_the_callers_mask_stays_as_it_is),
    (StaleRights, contract.rights_move_without_a_rebuild),
    (OneEpochBehind, contract.a_right_taken_away_holds_for_the_next_search),
    (NeedsNoRights, contract.rights_are_required),
    (FillsUp, contract.a_class_of_one_row_gives_that_row),
    (FillsUp, contract.more_are_wanted_than_are_readable),
    (ReadsTheUnreadable, contract.an_unreadable_row_never_comes),
    (ShiftsScores, contract.one_class_is_searched_exactly),
    (RoundsScores, contract.scores_agree_with_those_of_the_search),
    (DoublesRows, contract.rows_come_once),
    (MixesQueries, contract.queries_beside_a_query_change_nothing),
    (CountsWrong, contract.the_plan_counts_the_readable_rows),
    (LooksAtTheFirstHundred, contract.all_classes_are_searched_exactly),
    (NormalisesVectors, contract.norms_are_the_lengths_that_were_stored),
    (ScoresSorted, contract.scores_are_the_inner_products),
    (AcceptsAnything, contract.queries_that_are_no_numbers_are_refused),
]

assert {UNREADABLE, 10_000}.isdisjoint(ALL)
