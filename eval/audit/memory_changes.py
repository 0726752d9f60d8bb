"""What happens to memory in a trial: each change is made by a way in as one person, and done to the world's plain rules alike.

Who may not change a thing is refused, and the refusal is heard. Besides there is what operators do: people moved between teams, writing
granted, a subject erased.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from eval.audit.lore import Memory, may_remember
from eval.audit.memory_doors import WayIn, expect_audited, scopes, sentence, share
from eval.audit.refusal_doors import outcome
from eval.audit.trial import Trial
from eval.audit.world import Person

Change = Callable[[WayIn, Trial], None]
LONG_AGO = datetime.now(UTC) - timedelta(days=90)
"""Sessions of then are over, and get a summary."""


def remember(way: WayIn, trial: Trial, scope: str = "") -> None:
    """A text of now or of long ago, in a scope that one may write in or not."""
    rng, scope = trial.rng, scope or trial.rng.choice(scopes(trial))
    session = rng.choice(["", *_sessions(trial)]) or (f"chat-{trial.never()}" if scope == "session" else "")
    text, mark, old = sentence(trial), trial.never(), rng.random() < 0.3
    asked: dict[str, Any] = {"scope": scope, "session": session or None, "metadata": {"mark": mark}}
    if old:
        asked["time"] = LONG_AGO.isoformat()
    made: list[Any] = []
    kind, words = outcome(lambda: made.append(way(trial).remember(text, **asked)))
    trial.hear(made or words, said=(text, asked))
    trial.expect(f"may write in {scope}", kind == "done", may_remember(scope, trial.person, trial.world))
    for episode in made:
        trial.world.keep(
            Memory(trial.person.tenant, trial.person.subject, episode.id, scope, session, text, mark, old=old)
        )


def update(way: WayIn, trial: Trial) -> None:
    """Another text in an item's place, by whoever may write there."""
    mine = [one for one in trial.world.recalled(trial.person) if one.kind == "episode" and not one.stored]
    if not mine:
        return remember(way, trial)
    one, text, made = trial.rng.choice(mine), sentence(trial), list[Any]()
    kind, words = outcome(lambda: made.append(way(trial).update(one.item_id, text)))
    trial.hear(made or words, said=text)
    trial.expect(f"may update in {one.scope}", kind == "done", may_remember(one.scope, trial.person, trial.world))
    if made:
        trial.world.amend(one.item_id, text)


def restore(way: WayIn, trial: Trial) -> None:
    """The text before comes back."""
    mine = [one for one in _mine(trial) if one.past]
    if not mine:
        return update(way, trial)
    one, memory = trial.rng.choice(mine), way(trial)
    trial.besides = one.past
    told = memory.history(one.item_id)
    trial.hear(told)
    edits = [event for event in told if event.action == "update" and "text" in event.before and not event.undone]
    if edits and outcome(memory.restore, edits[-1].id)[0] == "done":
        trial.world.amend(one.item_id, edits[-1].before["text"])


def forget(way: WayIn, trial: Trial) -> None:
    """One item, what holds a word, what belongs to a session, a whole scope: of each what one may read and write, and its copies."""
    mine, every = _mine(trial), list(trial.world.memories.values())
    if not every:
        return
    one = trial.rng.choice(mine or every)
    word = sorted(one.canaries)[0]
    how = trial.rng.choice(["id", "id", "query", "session", "scope"])
    if how == "id" or (how == "session" and not one.session):
        asked, doomed = {"id": one.item_id}, [each for each in mine if each == one]
    elif how == "query":
        asked = {"query": word}
        doomed = [each for each in mine if word in each.text.casefold()]
        doomed += [each for each in mine if each.item_id in {copy.source for copy in doomed if copy.kind == "fact"}]
    elif how == "session":
        asked, doomed = {"session": one.session}, [each for each in mine if each.session == one.session]
    else:
        asked, doomed = {"scope": one.scope}, [each for each in mine if each.scope == one.scope]
    receipt = way(trial).forget(**asked)
    trial.hear(receipt, said=asked)
    before = _episodes(trial)
    for each in doomed:
        if each.item_id in trial.world.memories:
            trial.world.forget(each.item_id)
    trial.expect(f"forgotten by {asked}", receipt.counts.get("episode", 0), before - _episodes(trial))


def share_a_fact(way: WayIn, trial: Trial) -> None:
    """What was derived from one episode is shared without it: its words are read there, its source is not."""
    world, memory = trial.world, way(trial)
    facts = memory.list(kinds=["fact", "profile"], limit=100)
    trial.hear(facts)
    own = {one.item_id: one for one in _mine(trial) if one.kind == "episode" and one.scope == "user" and not one.source}
    facts = [one for one in facts if len(one.provenance) == 1 and one.provenance[0].id in own and one.scope == "user"]
    scope = trial.rng.choice([one for one in scopes(trial) if one not in {"user", "session"}])
    if not facts:
        return share(way, trial)
    fact = trial.rng.choice(facts)
    source, made = own[fact.provenance[0].id], list[Any]()
    if any(one.source == source.item_id for one in world.memories.values()):
        return share(way, trial)  # facts of two copies would become one, of both sources
    kind, words = outcome(lambda: made.append(memory.share(fact.id, scope=scope)))
    trial.hear(made or words, said=scope)
    trial.expect(f"may share into {scope}", kind == "done", may_remember(scope, trial.person, world))
    for copy in made:
        expect_audited(trial, copy.id)
        world.keep(
            Memory(source.tenant, trial.person.subject, copy.id, scope, "", copy.text, "", source.item_id, kind="fact")
        )


def consolidate(way: WayIn, trial: Trial) -> None:
    """A scope is tidied by who may write there; the report counts what is in it and no more."""
    scope, made = trial.rng.choice(scopes(trial)), list[Any]()
    trial.history.derived()
    there = trial.mill.memory.list(principal=trial.principal, scopes=[scope], limit=1000)
    kind, words = outcome(lambda: made.append(way(trial).consolidate(scope=scope)))
    trial.hear(made or words)
    trial.expect(f"may consolidate {scope}", kind == "done", may_remember(scope, trial.person, trial.world))
    for report in made:
        trial.expect(f"items of {scope} that were looked at", report.looked_at, len(there))


def put(way: WayIn, trial: Trial) -> None:
    """A value in a LangGraph store: a new one, another in its place, or gone."""
    rng, store = trial.rng, way(trial)
    kept = [one for one in _mine(trial) if one.stored and one.scope == "user" and not one.source]
    there = rng.choice(kept) if kept and rng.random() < 0.5 else None
    key, text = (there.mark if there else trial.never()), sentence(trial)
    if there is not None:
        trial.world.forget(there.item_id)
        if rng.random() < 0.5:
            return store.delete(("notes",), key)  # type: ignore[no-any-return]
        store.delete(("notes",), key)
    store.put(("notes",), key, {"said": text})
    listed = trial.mill.memory.list(principal=trial.principal, kinds=["episode"], scopes=["user"], limit=1000)
    (made,) = [one for one in listed if one.metadata.get("store_key") == key]
    person, session = trial.person, made.provenance[0].session
    trial.world.keep(Memory(person.tenant, person.subject, made.id, "user", session, text, key, stored=True))


CHANGES: dict[str, tuple[Change, frozenset[str], float]] = {
    "remember": (remember, frozenset({"remember"}), 5),
    "update": (update, frozenset({"remember", "update"}), 3),
    "restore": (restore, frozenset({"remember", "update", "restore", "history"}), 1),
    "forget": (forget, frozenset({"forget"}), 2),
    "share": (share, frozenset({"share"}), 3),
    "share a fact": (share_a_fact, frozenset({"share", "list"}), 2),
    "consolidate": (consolidate, frozenset({"consolidate"}), 1),
    "put": (put, frozenset({"put"}), 1.5),
}
"""What people do: by which methods of a way in, and how often."""


# -- what operators do -------------------------------------------------------------------------------------------------


def move(_way: WayIn, trial: Trial) -> None:
    """Somebody joins or leaves a team, or a team becomes part of another or ceases to be."""
    groups = list(trial.history.material.groups)
    group = trial.rng.choice(groups)
    others = [one for one in groups if one != group]
    member = trial.rng.choice(others) if trial.rng.random() < 0.1 else trial.person.subject
    if (trial.person.tenant, group, member) not in trial.world.members:
        trial.history.change_member(trial.person.tenant, member, group)


def grant(way: WayIn, trial: Trial) -> None:
    """Writing in the tenant's scope is granted, or taken back, and tried at once."""
    writer = (trial.person.tenant, trial.person.subject)
    trial.history.hand.memory.grant(
        "tenant", trial.person.subject, tenant=trial.person.tenant, revoke=writer in trial.world.writers
    )
    trial.world.writers ^= {writer}
    remember(way, trial, "tenant")


def erase(_way: WayIn, trial: Trial) -> None:
    """A subject is erased: what it wrote and what it alone could read is gone, with all copies."""
    person = trial.person
    done = trial.history.hand.erase(subject=person.subject, tenant=person.tenant)
    trial.expect("raw files that still hold it", done.found, ())
    for one in list(trial.world.memories.values()):
        if one.item_id in trial.world.memories and one.tenant == person.tenant and _its_own(one, person):
            trial.world.forget(one.item_id)


OPERATIONS: dict[str, tuple[Change, frozenset[str], float]] = {
    "move": (move, frozenset(), 3),
    "grant": (grant, frozenset({"remember"}), 1.5),
    "erase": (erase, frozenset(), 0.05),
}
"""What operators do, likewise."""


def _its_own(memory: Memory, person: Person) -> bool:
    return memory.owner == person.subject or memory.scope == person.subject


def _mine(trial: Trial) -> list[Memory]:
    """Return what the person may read and write."""
    return [one for one in trial.world.recalled(trial.person) if may_remember(one.scope, trial.person, trial.world)]


def _episodes(trial: Trial) -> int:
    return sum(one.kind == "episode" for one in trial.world.memories.values())


def _sessions(trial: Trial) -> list[str]:
    mine = [one for one in trial.world.recalled(trial.person) if one.session and not one.stored]
    return sorted({one.session for one in mine if one.owner == trial.person.subject})
