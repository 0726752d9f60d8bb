"""Sentences with links become queries for the pages behind the links."""

from __future__ import annotations

from eval.bench.links import link_queries

PAGES = {
    "leave.md": (
        "---\ntitle: Leave\n---\nTell your team first, then read how to "
        '[set a notice]({% page "/away/#mail" %}) before you go. Nothing is linked here.\n'
        'See [here]({% page "/away" %}).\n\n'
        'Ask the [leave desk]({% page "/leave" %}) about this page itself, which leads nowhere else.\n'
        'Old addresses of a page lead there too when they [are redirected]({% page "/vacation/" %}) in its head.\n'
    ),
    "tools/away.md": "---\nredirect_from:\n  - /away/\n  - /vacation\n---\nText.",
}


def test_a_sentence_asks_for_the_page_it_links_to_with_and_without_the_words_of_the_link() -> None:
    first, second = link_queries(PAGES)
    assert first.text == "Tell your team first, then read how to set a notice before you go."
    assert first.masked == "Tell your team first, then read how to before you go."
    assert first.source == "leave.md"
    assert first.targets == second.targets == ("tools/away.md",)


def test_a_sentence_with_few_words_beside_its_link_asks_nothing() -> None:
    assert all("here" not in query.text.split() for query in link_queries(PAGES))
