"""Groups within groups, as graphs."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from indexes.groups import containing, gather, shortest_chain

GROUPS = [f"group:{letter}" for letter in "abcdef"]
NODES = ["user:x", *GROUPS]
memberships = st.lists(st.tuples(st.sampled_from(NODES), st.sampled_from(GROUPS)), max_size=20)


def distances(pairs: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the least number of steps from each node to each that it reaches (Floyd and Warshall)."""
    steps = dict.fromkeys(pairs, 1)
    for via, start, end in itertools.product(NODES, repeat=3):  # `via` is the outermost loop
        if (start, via) in steps and (via, end) in steps:
            length = steps[start, via] + steps[via, end]
            steps[start, end] = min(length, steps.get((start, end), length))
    return steps


@given(pairs=memberships)
def test_what_contains_a_member_is_what_it_reaches(pairs: list[tuple[str, str]]) -> None:
    reached = {end for start, end in distances(pairs) if start == "user:x"}
    assert containing(gather(pairs), "user:x") == tuple(sorted(reached))


@given(pairs=memberships, group=st.sampled_from(GROUPS))
def test_the_chain_is_a_shortest_one_of_real_memberships(pairs: list[tuple[str, str]], group: str) -> None:
    chain = shortest_chain(gather(pairs), "user:x", group)
    assert len(chain[1:]) == distances(pairs).get(("user:x", group), 0)
    assert set(itertools.pairwise(chain)) <= set(pairs)
    assert not chain or (chain[0], chain[-1]) == ("user:x", group)
