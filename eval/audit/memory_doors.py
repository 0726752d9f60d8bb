"""The doors of memory: what is remembered in a scope comes out to who may read there, and to others it is as if it never was.

Each door asks by a way in: the library, and whatever `service.audit_memory` adds. A way in gives the methods of `rag.memory.Memory` for
the trial's person, and lets the trial hear all that comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from eval.audit.lore import Memory, may_remember
from eval.audit.refusal_doors import log_of, outcome, tail_of
from eval.audit.search_doors import ALL
from eval.audit.trial import Door, Trial

WayIn = Callable[[Trial], Any]
_MOST = 40
"""Items of a tenant: few, so that thousands of trials are done in minutes."""


def remember(way: WayIn, trial: Trial) -> None:
    """What somebody may write is kept, what they may not is refused and leaves nothing."""
    scope = trial.rng.choice(scopes(trial))
    session = trial.rng.choice(["", f"chat-{trial.never()}"]) or ("" if scope != "session" else f"chat-{trial.never()}")
    text, mark = sentence(trial), trial.never()
    allowed = may_remember(scope, trial.person, trial.world)
    if len([one for one in trial.world.memories.values() if one.tenant == trial.person.tenant]) >= _MOST and allowed:
        return forget(way, trial)
    made: list[Any] = []
    asked = {"scope": scope, "session": session or None, "metadata": {"mark": mark}}
    kind, words = outcome(lambda: made.append(way(trial).remember(text, **asked)))
    trial.hear(words if kind != "done" else made, said=(text, asked))
    trial.expect(f"may write in {scope}", kind == "done", allowed)
    for episode in made:
        trial.world.keep(
            Memory(trial.person.tenant, trial.person.subject, episode.id, episode.scope, session, text, mark)
        )


def recall(way: WayIn, trial: Trial) -> None:
    """Recalled, and listed where that can be asked, is what the person may read, and of a session's own only the session asked for."""
    session = trial.rng.choice([one.session for one in trial.world.memories.values() if one.session] or [""])
    memory, about = way(trial), anything(trial)
    wanted = readable(trial, session)
    asked: dict[str, Any] = {"session": session or None, "kinds": ["episode"]}
    found = memory.recall(about, top_k=ALL, **asked)
    trial.hear(found, said=(about, session))
    trial.expect(f"recalled for {about!r} in {session!r}", episodes(found), wanted)
    few = trial.rng.randint(1, 5)  # a filter missing in the search itself would leave fewer
    head = memory.recall(about, top_k=few, **asked)
    trial.hear(head, said=(about, session))
    trial.expect(f"head of {few} for {about!r}", [one.id for one in head], [one.id for one in found][:few])
    scope = trial.rng.choice(scopes(trial)[1:])
    found = memory.recall(about, top_k=ALL, scopes=[scope])
    trial.hear(found, said=(about, scope))
    trial.expect(
        f"recalled in {scope}", episodes(found), {one for one in readable(trial, "") if _at(trial, one) == scope}
    )


def where(way: WayIn, trial: Trial) -> None:
    """A filter that only others' memories pass is answered as one that none passes."""
    about, marks = anything(trial), [one.mark for one in every_memory(trial)] or [trial.never()]
    mark = trial.rng.choice(marks)
    found = way(trial).recall(about, top_k=ALL, where={"or": [{"mark": mark}, {"mark": {"in": [trial.never()]}}]})
    trial.hear(found, said=(about, mark))
    wanted = {name for name in readable(trial, "") if trial.world.memories[name].mark == mark}
    trial.expect(f"recalled where mark is {mark}", episodes(found), wanted)


def listing(way: WayIn, trial: Trial) -> None:
    """Page by page, the listing is what may be read."""
    listed: set[str] = set()
    asked: dict[str, Any] = {"limit": trial.rng.randint(2, 9)}
    while page := way(trial).list(**asked):
        trial.hear(page)
        listed |= episodes(page)
        asked["after"] = page[-1].id
    trial.expect("memories listed", listed, readable(trial, ""))


def refusals(way: WayIn, trial: Trial) -> None:
    """What is another's, another tenant's or forgotten is answered as what never was, letter by letter."""
    readable = {one.item_id for one in trial.world.recalled(trial.person)}
    hidden = [one.item_id for one in every_memory(trial) if one.item_id not in readable]
    if not hidden:
        return
    name, never, memory = trial.rng.choice(hidden), f"{trial.rng.getrandbits(128):032x}", way(trial)
    for ask in (
        memory.get, memory.history, memory.restore, partial(memory.update, text="It is another."),
        partial(memory.share, scope="user"), lambda one: memory.list(after=one), lambda one: memory.forget(id=one).counts,
    ):  # fmt: skip
        outcomes = []
        for asked in (name, never):
            kind, words = outcome(ask, asked)
            trial.hear(words, said=asked)
            outcomes.append((kind, words.replace(asked, "ID")))
        trial.expect(f"{ask} of {name}", outcomes[0], outcomes[1])
    trial.expect("people who may read it and do not find it", _missed(trial, name), [])


def forget(way: WayIn, trial: Trial) -> None:
    """What is forgotten is gone at once, with its copies, for everybody."""
    mine = [one for one in trial.world.recalled(trial.person) if may_remember(one.scope, trial.person, trial.world)]
    if not mine:
        return
    name = trial.rng.choice(mine).item_id
    receipt = way(trial).forget(id=name)
    trial.hear(receipt)
    trial.world.forget(name)
    found = Library(trial).recall(anything(trial), top_k=ALL)
    trial.hear(found)
    trial.expect("recalled after it", episodes(found), readable(trial, ""))


def share(way: WayIn, trial: Trial) -> None:
    """What is shared is read where it was shared to from then on; to share takes the right to write there."""
    mine = [one for one in trial.world.recalled(trial.person) if not one.source and one.scope != "session"]
    scope = trial.rng.choice([one for one in scopes(trial) if one not in {"user", "session"}])
    if not mine:
        return
    one, made = trial.rng.choice(mine), list[Any]()
    kind, words = outcome(lambda: made.append(way(trial).share(one.item_id, scope=scope)))
    trial.hear(words if kind != "done" else made, said=scope)
    trial.expect(f"may share into {scope}", kind == "done", may_remember(scope, trial.person, trial.world))
    for copy in made:
        expect_audited(trial, copy.id)
        if copy.id not in trial.world.memories:
            owner = trial.person.subject
            trial.world.keep(
                replace(one, owner=owner, item_id=copy.id, scope=scope, session="", source=one.item_id, past=())
            )


def expect_audited(trial: Trial, copy_id: str) -> None:
    """The last shares in the audit log tell of this one."""
    shares = [line for line in tail_of(log_of(trial)).splitlines() if b"memory.share" in line]
    trial.expect(f"the share to {copy_id} is audited", any(copy_id.encode() in line for line in shares), True)


def scopes(trial: Trial) -> list[str]:
    teams = [f"team:{group.partition(':')[2]}" for group in trial.history.material.groups[:3]]
    agents = [subject for subject in trial.history.material.subjects if subject.startswith("agent:")][:1]
    return ["session", "user", "user", *teams, *agents, "tenant"]


def sentence(trial: Trial) -> str:
    """Return something to remember; from every other one a fact follows."""
    rng, canary = trial.rng, trial.never()
    if rng.random() < 0.5:
        return trial.history.material.sentence(rng, canary)
    return rng.choice(
        [f"My favourite colour is {canary}.", f"I live in {canary.capitalize()}.", f"My cat is called {canary}."]
    )


def every_memory(trial: Trial) -> list[Memory]:
    """Return all memories of any tenant and scope, also some that are forgotten."""
    return [*trial.world.memories.values(), *trial.world.forgotten[-20:]]


def anything(trial: Trial) -> str:
    """Return some words of anybody's memory."""
    every = every_memory(trial)
    words = trial.rng.choice(every).text.split() if every else ["memo"]
    start = trial.rng.randrange(max(1, len(words) - 3))
    return " ".join(words[start : start + 3])


def readable(trial: Trial, session: str) -> set[str]:
    """Return the ids of the episodes that the person may recall in a session."""
    return {
        one.item_id for one in trial.world.recalled(trial.person) if one.scope != "session" or one.session == session
    }


def episodes(found: list[Any]) -> set[str]:
    return {one.id for one in found if one.kind == "episode"}


def _at(trial: Trial, name: str) -> str:
    return trial.world.memories[name].scope


def _missed(trial: Trial, name: str) -> list[str]:
    """Return who may read the item and does not get it; of a team that has no member left, nobody."""
    return [
        one.name
        for one in trial.world.people
        if name in {memory.item_id for memory in trial.world.recalled(one)}
        and trial.mill.memory.get(name, principal=trial.mill.directory.resolve(one.name)) is None
    ]


class Library:
    """Memory in Python, by turns of one mill and of another on its home, as of another process."""

    def __init__(self, trial: Trial) -> None:
        self._memory, self._principal = trial.history.hand.memory, trial.principal

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(self._memory, name), principal=self._principal)


MEMORY_DOORS: dict[str, tuple[Callable[[WayIn, Trial], None], float]] = {
    "remember": (remember, 8),
    "recall": (recall, 10),
    "where": (where, 3),
    "list": (listing, 4),
    "refusals": (refusals, 4),
    "forget": (forget, 2),
    "share": (share, 3),
}


def memory_doors(
    prefix: str, way: WayIn, *, only: tuple[str, ...] = (), weight: float = 1.0
) -> dict[str, tuple[Door, float]]:
    """Return the doors of memory by a way in, named `PREFIX DOOR`."""
    return {
        f"{prefix} {name}": (partial(door, way), weight * its)
        for name, (door, its) in MEMORY_DOORS.items()
        if not only or name in only
    }
