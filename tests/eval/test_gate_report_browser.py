"""report.html in a real browser: it shows, filters, asks the network for nothing, and runs no script but its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eval.reports import write_reports
from eval.reports.trend_page import trend_html
from eval.trend import read_trend
from tests.eval.report_samples import HOSTILE, gate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
SHOWN = "#list > details:not([hidden])"


@dataclass
class Opened:
    """A page, with everything that it said and asked for since."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def pick(self, label: str, value: str) -> None:
        self.page.get_by_role("combobox", name=label, exact=True).select_option(value)

    def counts(self, text: str) -> None:
        """Wait for the line that counts the questions shown to say this. (The page's policy keeps `wait_for_function` out.)"""
        self.page.locator("#count").get_by_text(text, exact=True).wait_for()

    def shown(self) -> list[str]:
        return self.page.locator(f"{SHOWN} .id").all_text_contents()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Browser, path: Path, **options: Any) -> Opened:
    context = browser.new_context(offline=True, **options)
    context.set_default_timeout(20_000)
    one = Opened(context.new_page())
    one.page.on("console", lambda message: one.said.append(message.text))
    one.page.on("pageerror", lambda error: one.said.append(str(error)))
    one.page.on("request", lambda request: one.asked.append(request.url))
    one.page.goto(path.as_uri())
    return one


@pytest.fixture
def report(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    one = opened(browser, write_reports(tmp_path, *gate())["report.html"])
    yield one
    assert one.said == []
    assert len(one.asked) == 1, "the page itself and nothing else"
    one.page.context.close()


def test_the_verdict_the_reasons_and_whose_texts_these_are_come_first(report: Opened) -> None:
    page = report.page
    assert page.locator("#verdict").inner_text() == "FAIL"
    assert page.locator("#verdict").bounding_box()["y"] < 100  # type: ignore[index]
    assert page.locator(".reasons").inner_text().startswith("ndcg@10: ")
    assert "readable by: alice, bob" in page.locator(".access").inner_text()
    assert page.locator("svg.interval").count() == 4


def test_changed_questions_are_shown_first_and_the_filters_narrow_them(report: Opened) -> None:
    page = report.page
    assert len(report.shown()) == 14
    for label, value, left in (
        ("Show", "better", 2),
        ("Show", "worse", 12),
        ("Metric", "ndcg@10", 12),
        ("Tag", "single", 8),
    ):
        report.pick(label, value)
        report.counts(f"{left} of 40 questions")
        assert len(report.shown()) == left
    page.get_by_role("button", name="Reset").click()
    report.counts("14 of 40 questions")
    report.pick("Show", "all")
    page.get_by_label("Search").fill("number 37?")
    report.counts("1 of 40 questions")
    assert report.shown() == ["q037"]
    page.get_by_label("Search").fill("no such words")
    page.get_by_text("No question is like that.").wait_for()


def test_a_metrics_name_leads_to_the_questions_that_it_changed_in(report: Opened) -> None:
    report.page.locator("a[data-metric='ndcg@10']").click()
    report.page.locator("[name=metric] option:checked", has_text="ndcg@10").wait_for(state="attached")
    assert len(report.shown()) == 14


def test_a_question_opens_with_the_keyboard_side_by_side_with_its_support(report: Opened) -> None:
    page = report.page
    first = page.locator(SHOWN).first
    first.locator("> summary").focus()
    page.keyboard.press("Enter")
    sides = first.locator("article")
    assert sides.count() == 2
    left, right = (sides.nth(place).bounding_box() for place in (0, 1))
    assert left
    assert right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert first.locator("mark").first.inner_text() == "It is 0 weeks at full pay."
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('details.question') !== null")


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark_and_nothing_juts_out(
    browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    """Contrast is WCAG's, of every coloured text on the page's ground."""
    path = write_reports(tmp_path, *gate())["report.html"]
    one = opened(browser, path, color_scheme=scheme, viewport={"width": width, "height": 800})
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    assert one.page.evaluate(_TOO_FAINT) == []
    one.page.context.close()


_TOO_FAINT = """() => {
  const channel = (v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(channel);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (!color.endsWith(', 0)')) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const texts = 'p, h1, h2, th, td, small, summary, .badge, .score, .tag, .worse, .better, label, a';
  return Array.from(document.querySelectorAll(texts), (element) => {
    const [high, low] = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    return [(high + .05) / (low + .05), element.className, element.textContent.slice(0, 40)];
  }).filter(([contrast]) => contrast < 4.5);
}"""


def test_hostile_documents_run_no_script_and_ask_for_nothing(browser: Browser, tmp_path: Path) -> None:
    one = opened(browser, write_reports(tmp_path, *gate(hostile=HOSTILE))["report.html"])
    one.pick("Show", "all")
    one.page.get_by_role("button", name="Open those shown").click()
    one.page.locator(SHOWN).first.hover()
    assert one.page.evaluate("window.pwned") is None
    assert one.page.locator("img, iframe, object, #list a, #list svg, #list script").count() == 0
    assert one.said == []
    assert len(one.asked) == 1
    assert "<script>window.pwned = 1</script>" in one.page.locator("#list mark + u, #list .text").first.inner_text()
    one.page.context.close()


def test_a_script_that_got_in_all_the_same_is_not_run(browser: Browser, tmp_path: Path) -> None:
    path = write_reports(tmp_path, *gate())["report.html"]
    path.write_text(
        path.read_text().replace(
            "<main>", "<main><script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
        )
    )
    one = opened(browser, path)
    assert one.page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in said for said in one.said)
    one.page.context.close()


def test_a_thousand_questions_open_and_filter_fast(browser: Browser, tmp_path: Path) -> None:
    """12 passages a side; far more than a person waits for would be a bug, so the limit has room for a busy machine."""
    result, questions, context = gate(count=1000, lost=300)
    many = [
        replace(
            question,
            baseline=replace(question.baseline, passages=question.baseline.passages * 6),
            candidate=replace(question.candidate, passages=question.candidate.passages * 6),
        )
        for question in questions
    ]
    path = write_reports(tmp_path, result, many, context)["report.html"]
    start = time.perf_counter()
    one = opened(browser, path)
    one.page.locator("#count").wait_for()
    assert time.perf_counter() - start < 15
    start = time.perf_counter()
    one.page.get_by_label("Search").fill("Q017")
    one.counts("1 of 1000 questions")
    assert time.perf_counter() - start < 5
    one.page.context.close()


def test_it_prints_what_is_shown_and_no_form(browser: Browser, tmp_path: Path) -> None:
    one = opened(browser, write_reports(tmp_path, *gate())["report.html"])
    one.page.emulate_media(media="print")
    assert not one.page.locator("#filter").is_visible()
    assert one.page.locator("#verdict").is_visible()
    assert one.page.pdf().startswith(b"%PDF")
    one.page.context.close()


def test_past_gates_are_drawn_without_a_word_of_complaint(browser: Browser, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_reports(tmp_path / name, *gate())
    (tmp_path / "trend.html").write_text(trend_html(read_trend([tmp_path])))
    one = opened(browser, tmp_path / "trend.html")
    assert one.page.locator("figure").count() == 4
    assert one.said == []
    assert len(one.asked) == 1
    one.page.context.close()
