"""The HTML report as people meet it: in Chromium, with a mouse, with keys alone, large and hostile.

The page has no clock of its own: what a test does is done when the call returns, or the browser is
waited for.
"""

from __future__ import annotations

import importlib.util
import os
import re
from typing import TYPE_CHECKING, Any, Literal

import pytest

from conftest import need
from pdl.model import Outcome, Result
from pdl.output.reports.registry import Watch, open_report
from pdl.scheduling.host_news import HostEvent
from pdl.scheduling.progress import HostRow, Span, Standing, Summary
from servers.files import File
from servers.programs import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import (
        Browser,
        Locator,
        Page,
        Position,
        ViewportSize,
    )

    from runner import Runner
    from servers.misbehave import Server

    Show = Callable[..., "Shown"]

pytestmark = pytest.mark.real
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 400, "height": 800}
KINDS = ("http-404", "timeout", "checksum")
LANES = 8
SHOTS = os.environ.get("PICTURES_OF_PAGES")
"""A directory for pictures, for whoever wants to look."""
NASTY = (
    "javascript:window.harmed=1//</script><script>window.harmed=1</script>"
    "<img src=x onerror=window.harmed=1>\u202eevil\u2066 \"'`${window.harmed=1}&lt;"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find("chromium")
    need("chromium", available=program is not None)
    need("playwright", available=importlib.util.find_spec("playwright") is not None)
    with importlib.import_module("playwright.sync_api").sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


def expected(locator: Locator) -> Any:  # noqa: ANN401 - its type has no public name
    """What is to become true of elements; the page's policy lets nothing else wait in it."""
    return importlib.import_module("playwright.sync_api").expect(locator)


class Shown:
    """A page under test.

    Attributes:
        page: Playwright's.
        wrong: errors of its script, and what it asked for beside itself.
    """

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:  # noqa: ANN401
        self.path = path
        self.page: Page = browser.new_page(**{"viewport": WIDE, **options})
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(path.as_uri())

    def _asked(self, url: str) -> None:
        if url != self.path.as_uri():
            self.wrong.append(url)

    def __getitem__(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def count(self) -> str:
        """What is said of how many lines are shown."""
        return self["#count"].inner_text()

    def until_count(self, text: str) -> None:
        """Wait for that to be said."""
        expected(self["#count"]).to_have_text(text)

    def active(self) -> str:
        """What has the focus: its id, or else its role and text."""
        told: str = self.page.evaluate(
            "() => { const e = document.activeElement;"
            " return e.id || `${e.getAttribute('role') ?? e.tagName} ${e.innerText}` }"
        )
        return told

    def shot(self, name: str) -> None:
        """Take a picture, where somebody wants to look."""
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    opened: list[Shown] = []

    def open_page(path: Path, **options: Any) -> Shown:  # noqa: ANN401
        shown = Shown(browser, path, **options)
        opened.append(shown)
        return shown

    yield open_page
    for shown in opened:
        shown.page.close()
        assert shown.wrong == []


def made(path: Path, count: int) -> Path:
    """A report of so many lines, each tenth of which failed; its times are made up."""
    report = open_report(str(path), pytest.fail, str(path.parent / "files"))
    watch: Watch = getattr(report, "watch")  # noqa: B009 - of this kind of report alone
    zero: float = getattr(watch, "_zero")  # noqa: B009 - so that times are the same each time
    failed = 0
    for number in range(count):
        host = f"host{number % 7}.example.org"
        url, name = (
            f"https://{host}/data/file-{number}.gz",
            f"part-{number // 1000}/file-{number}.gz",
        )
        row = Result("urls.txt", number + 1, url, url, name, Outcome.SUCCESS, None, None, 200)
        row = row._replace(bytes=number, size=number, attempts=1, seconds=1 + number % 100 / 100)
        begin, word = zero + 0.1 + number // LANES, ""
        if number % 10 == 4:
            failed += 1
            word = KINDS[failed % 3]
            row = row._replace(outcome=Outcome.FAIL, kind=word, message=f"it is {word}", size=None)
        span = Span("urls.txt", number + 1, number % LANES, begin, begin + 0.9, 0.3, number, word)
        watch.span(span)
        watch.tick(Standing((), number * 1000, None, begin))
        report.record(row, None)
    watch.happened(HostEvent("host1.example.org", "rest", "", "http-503", 1, 0.5))
    watch.happened(HostEvent("host2.example.org", "given-up", "", "connect"))
    hosts = tuple(HostRow(f"host{number}.example.org", count // 7, number) for number in range(7))
    report.finish(
        Summary(count - failed, 0, 0, failed, 0, count * 1000, count / LANES, hosts=hosts)
    )
    return path


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("page") / "r.html", 1000)


# --- how much there is --------------------------------------------------------------------


@pytest.mark.parametrize("count", [10, 1000, 100_000])
def test_a_page_has_elements_for_what_is_in_sight_alone(
    show: Show, tmp_path: Path, count: int
) -> None:
    shown = show(made(tmp_path / "r.html", count))
    assert shown.count() == f"{count:,} lines"
    assert shown["#rows .line"].count() <= 30
    assert shown["#rows .line"].first.inner_text().startswith("success")
    shown["#rows .line"].first.focus()
    shown.page.keyboard.press("End")
    assert f"file-{count - 1}.gz" in shown.active()
    assert shown["#rows .line"].count() <= 30
    shown.page.keyboard.press("Home")
    assert "file-0.gz" in shown.active()
    shown["#search"].fill(f"FILE-{count - 1}.g")
    shown.until_count(f"1 of {count:,} lines")
    assert f"file-{count - 1}.gz" in shown["#rows .line"].inner_text()
    shown.shot(f"large-{count}")


def test_a_list_that_is_taller_than_a_browser_bears_is_scrolled_all_the_same(
    show: Show, thousand: Path
) -> None:
    shown = show(thousand)
    shown.page.evaluate(
        "() => { while (Lines.shown.length < 1e6) Lines.shown = Lines.shown.concat(Lines.shown);"
        " drawRows(); }"
    )
    box = "document.getElementById('scroller')"
    assert shown.page.evaluate(f"{box}.scrollHeight") < 1e7
    shown.page.evaluate(f"{box}.scrollTop = {box}.scrollHeight")
    last = shown.page.evaluate("Lines.shown.length - 1")
    shown.page.wait_for_selector(f"#rows [data-place='{last}']")
    shown.page.evaluate("goTo(500000)")
    shown.page.wait_for_selector("#rows [data-place='500000']")


# --- filter and search --------------------------------------------------------------------


def test_lines_are_found_by_outcome_kind_host_and_words(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    shown["#outcome"].select_option("fail")
    assert shown.count() == "100 of 1,000 lines"
    shown["#kind"].select_option("timeout")
    assert shown.count() == "34 of 1,000 lines"
    shown["#host"].select_option("host3.example.org")
    first = int(shown.count().split()[0])
    assert 0 < first < 34
    shown["#search"].fill("no such words")
    shown.until_count("0 of 1,000 lines")
    assert "No line is like that." in shown["#rows"].inner_text()
    shown["#all"].click()
    shown.until_count("1,000 lines")
    shown["#search"].fill("FILE-99")  # in whatever case
    shown.until_count("11 of 1,000 lines")
    shown["#search"].fill("(file.")  # no pattern
    shown.until_count("0 of 1,000 lines")


def test_lines_come_in_the_order_that_is_chosen(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    for order, name in (("slow", "file-99.gz"), ("large", "file-999.gz"), ("list", "file-0.gz")):
        shown["#order"].select_option(order)
        assert name in shown["#rows .line"].first.inner_text()


def test_failures_stand_in_groups_that_lead_to_their_lines(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    kinds = shown["#failures summary b"].all_inner_texts()
    assert kinds == ["timeout", "checksum", "http-404"]
    group = shown["#failures details[data-kind=timeout]"]
    assert not group.locator("li").count()
    group.locator("summary").click()
    expected(group.locator("li")).to_have_text(["it is timeout (34)"])
    assert "host" in group.inner_text()
    group.get_by_role("button", name="Show these 34 lines").click()
    assert shown.count() == "34 of 1,000 lines"
    assert shown.active() == "search"
    assert shown["#rows .badge"].all_inner_texts()[:3] == ["timeout"] * 3


def test_what_a_stop_has_left_is_told_apart_from_failures(show: Show, tmp_path: Path) -> None:
    report = open_report(str(tmp_path / "r.html"), pytest.fail)
    watch: Watch = getattr(report, "watch")  # noqa: B009 - of this kind of report alone
    left = Result("l", 1, "http://h/a", None, "a", Outcome.FAIL, "cancelled", transient=True)
    for line in range(5):
        report.record(left._replace(line=line, attempts=1), None)
        watch.span(Span("l", line, 0, 0.0, 1.0, None, 0, "cancelled"))
    report.finish(Summary(left=5, stopped_by=2))
    shown = show(tmp_path / "r.html")
    assert shown["h1"].inner_text() == "pdl interrupted by SIGINT"
    assert shown["#failures"].inner_text().split("\n")[0] == "No line failed."
    assert "cancelled: 5 lines, left when the run stopped" in shown["#failures"].inner_text()
    assert "failed" not in shown["#legend"].inner_text()
    assert "5\n" in shown["#numbers"].inner_text()


def test_a_page_of_nothing_says_so(show: Show, tmp_path: Path) -> None:
    report = open_report(str(tmp_path / "r.html"), pytest.fail)
    report.finish(Summary())
    shown = show(tmp_path / "r.html")
    text = shown["main"].inner_text()
    for words in ("No line failed.", "No host was asked.", "0 lines", "There are no lines."):
        assert words in text
    shown["#lanes"].focus()
    for key in ("ArrowRight", "ArrowDown", "Enter", "+", "0"):
        shown.page.keyboard.press(key)
    assert not shown["#detail"].is_visible()


def test_hosts_are_sorted_and_lead_to_their_lines(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    names = shown["#hosts tbody td:first-child"]
    assert names.first.inner_text() == "host6.example.org"  # that with the most pressure
    shown["#hosts"].get_by_role("button", name="Host", exact=True).click()
    assert names.first.inner_text() == "host0.example.org"
    assert shown["#hosts th[aria-sort]"].get_attribute("aria-sort") == "ascending"
    names.first.get_by_role("button").click()
    assert shown.count() == "143 of 1,000 lines"


# --- the waterfall ------------------------------------------------------------------------


def bar_at(shown: Shown, span: int) -> Position:
    """Where the bar of an attempt is on its canvas."""
    place: Position = shown.page.evaluate(
        "place => ({ x: xOf(Spans.begin[place] + Spans.took[place] / 2, $('lanes').clientWidth),"
        " y: tops(Spans.lane[place]) + Time.laneHeight / 2 })",
        span,
    )
    return place


def test_a_click_on_a_bar_shows_its_line(show: Show, tmp_path: Path) -> None:
    shown = show(made(tmp_path / "r.html", 40))
    shown["#lanes"].click(position=bar_at(shown, 14))
    assert shown["#detail"].is_visible()
    assert shown["#detail-title"].inner_text() == "part-0/file-14.gz"
    told = shown["#detail-body"].inner_text()
    assert "fail: " in told
    assert "urls.txt, line 15" in told
    assert "Lane 7, from 1.10 s for 900 ms: part-0/file-14.gz" in shown["#span"].inner_text()
    shown["#close"].click()
    assert not shown["#detail"].is_visible()
    shown["#lanes"].click(position={"x": 10, "y": 10})  # the numbers of lanes
    assert not shown["#detail"].is_visible()


def test_bars_have_the_colours_of_what_came_of_them(show: Show, tmp_path: Path) -> None:
    shown = show(made(tmp_path / "r.html", 40))

    def colour(span: int) -> list[int]:
        place = bar_at(shown, span)
        found: list[int] = shown.page.evaluate(
            "([x, y]) => { const c = $('lanes'), r = c.width / c.clientWidth;"
            " const copy = document.createElement('canvas');"
            " const pen = copy.getContext('2d', { willReadFrequently: true });"
            " pen.drawImage(c, x * r, y * r, 1, 1, 0, 0, 1, 1);"
            " return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)]; }",
            [place["x"], place["y"]],
        )
        return found

    assert colour(0) == [0x2A, 0x6F, 0xD6]
    assert colour(4) == [0xC2, 0x2F, 0x12]
    shown["#theme"].click()
    shown.page.evaluate("() => new Promise(done => requestAnimationFrame(done))")
    assert colour(0) == [0x6E, 0xA3, 0xF5]


def test_the_waterfall_is_walked_with_keys_alone(show: Show, tmp_path: Path) -> None:
    shown = show(made(tmp_path / "r.html", 40))
    key = shown.page.keyboard.press
    shown["#lanes"].focus()

    def told() -> str:
        text: str = shown["#span"].inner_text()
        return text.partition(":")[0]

    key("ArrowRight")
    assert told() == "Lane 1, from 100 ms for 900 ms"
    key("ArrowRight")
    assert told() == "Lane 1, from 1.10 s for 900 ms"
    key("ArrowDown")
    assert told() == "Lane 2, from 1.10 s for 900 ms"
    key("ArrowLeft")
    key("ArrowUp")
    assert told() == "Lane 1, from 100 ms for 900 ms"
    assert shown["#whole"].is_disabled()
    key("+")
    assert shown["#whole"].is_enabled()
    key("0")
    assert shown["#whole"].is_disabled()
    key("Enter")
    assert shown["#detail-title"].inner_text() == "part-0/file-0.gz"
    key("Escape")
    expected(shown["#lanes"]).to_be_focused()
    assert not shown["#detail"].is_visible()


def test_a_part_of_the_run_is_looked_at_closely(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    assert shown["#earlier"].is_disabled()
    assert shown["#farther"].is_disabled()
    shown["#closer"].click()
    shown["#later"].click()
    assert shown["#later"].is_disabled()  # it is at the end
    assert shown["#earlier"].is_enabled()
    span = shown.page.evaluate("[Time.from, Time.to, Time.end]")
    assert 0 < span[0] < span[1] <= span[2]
    box = shown["#lanes"].bounding_box()
    assert box is not None
    shown.page.mouse.move(box["x"] + 600, box["y"] + 20)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + 300, box["y"] + 20)
    shown.page.mouse.up()
    moved = shown.page.evaluate("[Time.from, Time.to, Time.end]")
    assert span[0] <= moved[0] <= moved[1] <= moved[2]
    assert not shown["#detail"].is_visible()  # to drag is no click
    shown["#whole"].click()
    assert shown.page.evaluate("[Time.from, Time.to - Time.end]") == [0, 0]


def test_lanes_are_a_table_too(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    assert shown["#lanes-count"].inner_text() == f"({LANES})"
    shown["#lanes-table summary"].click()
    rows = shown["#lanes-table tbody tr"]
    expected(rows).to_have_count(LANES)
    assert rows.first.inner_text().split("\t")[:2] == ["1", "125"]


# --- light, dark, wide, narrow, by keys, by ear -------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_or_dark_is_the_systems_until_it_is_chosen(
    browser: Browser, thousand: Path, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(thousand.as_uri())

    def ground() -> str:
        said: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return said

    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 28)"
    mine, other = (light, dark) if scheme == "light" else (dark, light)
    button = page.get_by_role("button", name="Dark")
    assert (ground(), button.get_attribute("aria-pressed")) == (mine, str(scheme == "dark").lower())
    button.click()
    assert ground() == other
    page.reload()
    assert ground() == other
    context.close()


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_stands_out_of_the_page(
    show: Show, thousand: Path, viewport: ViewportSize, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    shown = show(thousand, viewport=viewport, color_scheme=scheme)
    shown["#failures summary"].first.click()
    shown["#lanes-table summary"].click()
    name = f"{scheme}-{viewport['width']}"
    shown.shot(name)
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = axe.Axe().run(shown.page)
    assert found.violations_count == 0, found.generate_report()
    shown["#rows .line"].first.click()
    shown.shot(f"detail-{name}")
    found = axe.Axe().run(shown.page)
    assert found.violations_count == 0, found.generate_report()


def test_the_page_is_walked_with_keys_alone(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    key = shown.page.keyboard.press
    key("Tab")
    assert shown.active() == "skip"
    key("/")
    assert shown.active() == "search"
    shown.page.keyboard.type("file-99")
    shown.until_count("11 of 1,000 lines")
    key("Enter")
    assert "file-99.gz" in shown.active()
    key("ArrowDown")
    assert "file-990.gz" in shown.active()
    for _ in range(3):
        key("ArrowUp")
    assert "file-99.gz" in shown.active()
    key("PageDown")
    key("ArrowDown")
    line = shown.active().replace("\n", "")
    key("Enter")
    assert shown["#detail"].is_visible()
    assert shown["#detail-title"].inner_text() in line
    shown["#previous"].focus()
    key("Enter")
    assert shown["#detail-title"].inner_text() not in line
    key("Escape")
    expected(shown["#rows .line:focus"]).to_have_count(1)
    assert not shown["#detail"].is_visible()
    assert "/" not in shown["#search"].input_value()


def test_a_focused_line_that_is_scrolled_away_loses_no_keys(show: Show, thousand: Path) -> None:
    shown = show(thousand)
    shown["#rows .line"].first.focus()
    shown.page.evaluate("document.getElementById('scroller').scrollTop = 20000")
    expected(shown["#scroller"]).to_be_focused()
    shown.page.keyboard.press("ArrowDown")
    assert "file-1.gz" in shown.active()


# --- what lists and servers say -----------------------------------------------------------


def test_hostile_texts_are_shown_as_texts(show: Show, tmp_path: Path) -> None:
    report = open_report(str(tmp_path / "r.html"), pytest.fail, str(tmp_path / "a:b"))
    watch: Watch = getattr(report, "watch")  # noqa: B009 - of this kind of report alone
    long = "x" * 10_000
    for line, text in enumerate((NASTY, long), 1):
        row = Result(text, line, text, None, text, Outcome.FAIL, text, message=text, checksum=text)
        report.record(row._replace(content_type=text, attempts=1), None)
        watch.span(Span(text, line, 0, 0.0, 1.0, None, 0, text))
    good = Result("l", 3, "http://h/", None, "javascript:alert(1)/%2e#?", Outcome.SUCCESS)
    report.record(good, None)
    watch.happened(HostEvent(NASTY, "given-up", "", NASTY))
    host = HostRow(NASTY, 1, 1, given_up_at=1.0, reason=NASTY)
    report.finish(Summary(succeeded=1, failed=2, hosts=(host,)))
    shown = show(tmp_path / "r.html")
    elements = shown.page.evaluate("document.querySelectorAll('img, iframe, main script').length")
    assert elements == 0
    for group in shown["#failures summary"].all():
        group.click()
    assert shown.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", shown["main"].inner_text())
    shown.shot("hostile")
    for place in range(3):
        shown["#rows .line"].nth(place).click()
        assert shown["#detail"].evaluate("e => e.scrollWidth <= e.clientWidth")
        shown.shot(f"hostile-{place}")
        links = shown["#detail a"].evaluate_all("all => all.map(e => e.getAttribute('href'))")
        wanted = ["./a%3Ab/javascript%3Aalert(1)/%252e%23%3F", "http://h/"]
        assert links == (wanted if place == 2 else [])
        told = shown["#detail-body"].inner_text()
        assert ("<img src=x onerror=window.harmed=1>\\u202eevil\\u2066" in told) == (place == 0)
        assert (long in told) == (place == 1)
        shown["#close"].click()
    shown["#lanes"].focus()
    shown.page.keyboard.press("ArrowRight")
    assert shown.page.evaluate("window.harmed") is None


def test_a_page_without_a_script_has_the_numbers_and_the_failures(
    browser: Browser, thousand: Path
) -> None:
    context = browser.new_context(java_script_enabled=False, viewport=NARROW)
    page = context.new_page()
    page.goto(thousand.as_uri())
    text = page.inner_text("body")
    assert "900 succeeded, 100 failed" in text
    assert "it is timeout" in text
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/no-script.png", full_page=True)
    context.close()


def test_the_links_of_a_real_run_lead_to_its_files(
    show: Show, server: Server, pdl_run: Runner, tmp_path: Path
) -> None:
    url = server.on("/a%20b%23.txt", File(b"what is in it"))
    (tmp_path / "reports").mkdir()
    assert pdl_run(url, "-d", "out", "--report", "reports/r.html").code == 0
    shown = show(tmp_path / "reports" / "r.html")
    shown["#rows .line"].click()
    link = shown["#detail a"].first
    assert link.inner_text() == "a b#.txt"
    target = shown.page.evaluate("link => link.href", link.element_handle())
    assert target == (tmp_path / "out" / "a b#.txt").as_uri()
    assert shown["#numbers dd"].first.inner_text() == "1"
    assert shown["#span"].inner_text() == ""
    assert "Lane" in shown["#detail-body"].inner_text()
