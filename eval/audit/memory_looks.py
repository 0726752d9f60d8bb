"""Looks into memory: one question by one way in, as one person. What comes out must be what the world's plain rules let the person read,
and all of it that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from eval.audit.canaries import sung
from eval.audit.lore import Memory
from eval.audit.memory_changes import LONG_AGO
from eval.audit.memory_doors import WayIn, anything, episodes, every_memory, refusals, scopes
from eval.audit.trial import Trial

Look = Callable[[WayIn, Trial, int], None]


def recalled(way: WayIn, trial: Trial, most: int) -> None:
    """All that a recall brings, in one conversation or in none."""
    about, session = anything(trial), _some_session(trial)
    found = way(trial).recall(about, top_k=most, session=session or None)
    trial.hear(found, said=(about, session))
    trial.expect(f"recalled in {session!r}", episodes(found), _ids(_wanted(trial, session)))


def head(way: WayIn, trial: Trial, most: int) -> None:
    """A few of the best are the first of all; a filter missing inside the search would leave fewer."""
    about, memory, few = anything(trial), way(trial), trial.rng.randint(1, 4)
    first, found = (memory.recall(about, top_k=n, kinds=["episode"]) for n in (few, most))
    trial.hear((first, found), said=about)
    trial.expect(f"head of {few}", [one.id for one in first], [one.id for one in found][:few])


def raced(way: WayIn, trial: Trial, most: int) -> None:
    """A team is left, or an item forgotten, between the search and its confirmation."""
    world, person = trial.world, trial.person
    teams, mine = world.direct_groups(person), [one for one in world.recalled(person) if one.owner == person.subject]
    mine = [one for one in mine if one.scope == "user" and one.kind == "episode"]
    if not teams and not mine:
        return recalled(way, trial, most)

    happened: list[bool] = []

    def change() -> None:
        if happened:  # a search is repeated where something changed meanwhile
            return
        happened.append(True)
        if teams:
            trial.history.change_member(person.tenant, person.subject, teams[0])
        else:
            trial.history.hand.memory.forget(principal=trial.named, id=mine[0].item_id)
            world.forget(mine[0].item_id)

    trial.state_no_groups()
    trial.history.before_confirm(change)
    found = way(trial).recall("memo", top_k=most)
    trial.history.before_confirm(None)
    trial.hear(found)
    trial.expect("recalled after what happened meanwhile", episodes(found), _ids(_wanted(trial)))


def prompted(way: WayIn, trial: Trial, most: int) -> None:
    """The text for a prompt says what each readable episode says."""
    about, session = anything(trial), _some_session(trial)
    text = way(trial).recall(about, top_k=most, session=session or None, as_prompt=True)
    trial.hear(text, said=(about, session))
    words = {word for one in _wanted(trial, session) for word in sung(one.text)}
    trial.expect("words that the prompt lacks", words - sung(text), set())


def narrowed(way: WayIn, trial: Trial, most: int) -> None:
    """One scope is asked for, of one kind."""
    scope = trial.rng.choice(scopes(trial)[1:])
    found = way(trial).recall("memo", top_k=most, scopes=[scope], kinds=["episode"])
    trial.hear(found)
    trial.expect(f"recalled in {scope}", episodes(found), {one.item_id for one in _wanted(trial) if one.scope == scope})


def as_it_was(way: WayIn, trial: Trial, most: int) -> None:
    """As of now it is what may be read; as of last month, those things of long ago that may be read today."""
    now = trial.rng.random() < 0.5
    moment = datetime.now(UTC) if now else LONG_AGO + timedelta(days=60)
    trial.besides = "" if now else [one.past for one in trial.world.recalled(trial.person)]
    found = way(trial).recall("memo", top_k=most, as_of=moment.isoformat())
    trial.hear(found)
    wanted = [one for one in _wanted(trial) if now or (one.old and not one.source)]
    trial.expect(f"recalled as of {'now' if now else 'last month'}", episodes(found), _ids(wanted))


def found_where(way: WayIn, trial: Trial, most: int) -> None:
    """A filter that only others' memories pass is answered as one that none passes."""
    mark = trial.rng.choice([one.mark for one in every_memory(trial) if one.mark] or [trial.never()])
    found = way(trial).recall("memo", top_k=most, where={"or": [{"mark": mark}, {"store_key": mark}]})
    trial.hear(found, said=mark)
    trial.expect("recalled by its mark", episodes(found), {one.item_id for one in _wanted(trial) if one.mark == mark})


def listed(way: WayIn, trial: Trial, _most: int) -> None:
    """The listing, as a rule in one page; also of one conversation."""
    limit = 3 if trial.rng.random() < 0.1 else 1000
    session = _some_session(trial) if trial.rng.random() < 0.2 else ""
    asked: dict[str, Any] = {"limit": limit, "session": session or None}
    memory, items = way(trial), list[Any]()
    while page := memory.list(**asked):
        items += page
        asked["after"] = page[-1].id
        if len(page) < limit:
            break
    trial.hear(items, said=session)
    wanted = [one for one in _wanted(trial, session) if not session or one.session == session]
    trial.expect(f"listed in {session!r}", episodes(items), _ids(wanted))


def one_by_one(way: WayIn, trial: Trial, _most: int) -> None:
    """One item by its id: there if it may be read, of any scope of one's own, and else not there."""
    every = [one for one in every_memory(trial) if one.kind == "episode"]
    if not every:
        return listed(way, trial, _most)
    one = trial.rng.choice(every)
    found = way(trial).get(one.item_id)
    trial.hear(found)
    trial.expect(f"{one.item_id} is there", found is not None, one in trial.world.recalled(trial.person))


def told(way: WayIn, trial: Trial, _most: int) -> None:
    """The history of an item: of one that may be read with the texts that it had, of others nothing."""
    every = [one for one in every_memory(trial) if one.kind == "episode"]
    if not every:
        return listed(way, trial, _most)
    one = trial.rng.choice(every)
    may = one in trial.world.recalled(trial.person)
    trial.besides = one.past if may else ""
    events = way(trial).history(one.item_id)
    trial.hear(events)
    trial.expect(f"texts that the history of {one.item_id} lacks", may and sung(one.past) - sung(events), may and set())
    trial.expect("events of what may not be read", not may and len(events), False if may else 0)


def refused(way: WayIn, trial: Trial, _most: int) -> None:
    """What is another's is refused as what never was, whatever is asked of it."""
    refusals(way, trial)


def searched(way: WayIn, trial: Trial, _most: int) -> None:
    """The values of a LangGraph store, by words or all of them, and their namespaces."""
    store, kept = way(trial), [one for one in _wanted(trial) if one.stored]
    found = store.search((), query=trial.rng.choice(["memo", None]), limit=1000)
    spaces = store.list_namespaces(limit=1000)
    trial.hear((found, spaces))
    trial.expect("values found", sorted(one.value["said"] for one in found), sorted(one.text for one in kept))
    trial.expect("namespaces", spaces, [("notes",)] if kept else [])
    every = [one for one in every_memory(trial) if one.stored]
    if every:
        one = trial.rng.choice(every)
        value = store.get(("notes",), one.mark)
        trial.hear(value, said=one.mark)
        own = [each.text for each in kept if each.mark == one.mark and each.scope == "user" and not each.source]
        trial.expect("the value there", [value.value["said"]] if value else [], own)


LOOKS: dict[str, tuple[Look, frozenset[str], float]] = {
    "recall": (recalled, frozenset({"recall"}), 6),
    "head": (head, frozenset({"recall", "scope"}), 1),
    "race": (raced, frozenset({"recall", "here"}), 0.5),
    "prompt": (prompted, frozenset({"recall", "prompt"}), 2),
    "scope": (narrowed, frozenset({"recall"}), 1),
    "as of": (as_it_was, frozenset({"recall", "as of"}), 2),
    "where": (found_where, frozenset({"recall", "where"}), 1),
    "list": (listed, frozenset({"list"}), 4),
    "get": (one_by_one, frozenset({"get"}), 4),
    "history": (told, frozenset({"history"}), 2),
    "refusals": (refused, frozenset({"get", "list", "history", "restore", "update", "share", "forget"}), 0.2),
    "store": (searched, frozenset({"search"}), 6),
}
"""Each look, by which methods of a way in, and how often."""


def _wanted(trial: Trial, session: str = "") -> list[Memory]:
    """Return the episodes that the person may recall in a session."""
    mine = [one for one in trial.world.recalled(trial.person) if one.kind == "episode"]
    return [one for one in mine if one.scope != "session" or one.session == session]


def _ids(memories: list[Memory]) -> set[str]:
    return {one.item_id for one in memories}


def _some_session(trial: Trial) -> str:
    """Return a session of anybody's, or none."""
    return trial.rng.choice(["", *(one.session for one in every_memory(trial) if one.session)])
