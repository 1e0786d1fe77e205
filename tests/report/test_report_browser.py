"""The report in a browser: it asks for nothing, complains of nothing, sorts, filters, and can be read anywhere."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from loader.report.html import render
from tests.report.conftest import STRANGE, Browser, Pushed
from tests.report.test_report_content import poisoned

pytestmark = pytest.mark.xdist_group("browser")

COLUMN = """
const table = [...document.querySelectorAll("table")].find(t => t.caption.textContent.startsWith(arguments[0]));
return [...table.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[arguments[1]].textContent.trim());
"""
SORT = """
const table = [...document.querySelectorAll("table")].find(t => t.caption.textContent.startsWith(arguments[0]));
const header = table.tHead.rows[0].cells[arguments[1]];
header.querySelector("button").click();
return [...table.tHead.rows[0].cells].map(c => c.getAttribute("aria-sort"));
"""
FILTER = """
const input = [...document.querySelectorAll("input")].find(i => i.ariaLabel.includes(arguments[0]));
input.value = arguments[1];
input.dispatchEvent(new Event("input"));
return input.closest(".filter").querySelector("[role=status]").textContent;
"""
CONTRAST = """
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const luminance = colour => {
  const [r, g, b] = colour.slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = element => {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgb(getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
const check = (element, colour, needed, what) => {
  const [one, other] = [luminance(rgb(colour)), luminance(behind(element))];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (ratio < needed) found.push(`${what} ${ratio.toFixed(2)}`);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let texts = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
  if (["title", "desc", "SCRIPT"].includes(element.tagName)) continue;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  const svg = element instanceof SVGElement;
  check(element, svg ? style.fill : style.color, large ? 3 : 4.5, walker.currentNode.textContent.trim().slice(0, 40));
  texts += 1;
}
for (const bar of document.querySelectorAll(".chart rect:not(.slot), .dot")) {
  if (!bar.getClientRects().length) continue;
  const style = getComputedStyle(bar);
  check(bar.parentElement, bar instanceof SVGElement ? style.fill : style.backgroundColor, 3, bar.className);
}
return [texts, [...new Set(found)]];
"""


def test_the_page_asks_for_nothing_and_complains_of_nothing(browser: Browser, pushed: Pushed) -> None:
    browser.open(pushed.page)
    assert [url for url in browser.requests() if not url.startswith("data:")] == [pushed.page.as_uri()]
    assert browser.complaints() == []


def test_nothing_that_is_shown_is_run(
    browser: Browser, pushed: Pushed, content: dict[str, Any], tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile.html"
    hostile.write_text(render(poisoned(content)), encoding="utf-8", newline="\n")
    for page in (pushed.page, hostile):
        browser.open(page)
        assert browser.run("return window.injected === undefined && document.scripts.length === 1")
        assert browser.run("return document.querySelectorAll('main img, main b, main script').length") == 0
        assert browser.complaints() == []


def test_orders_with_strange_numbers_are_shown_as_they_are(browser: Browser, pushed: Pushed) -> None:
    browser.open(pushed.page)
    assert set(STRANGE) <= set(browser.run(COLUMN, "Orders in the retry queue", 0))


def test_a_click_on_a_head_sorts_and_another_one_turns_it_round(browser: Browser, pushed: Pushed) -> None:
    browser.open(pushed.page)
    queue, amount, order = "Orders in the retry queue", 2, 0

    def amounts() -> list[float]:
        return [float(text.replace(",", "")) for text in browser.run(COLUMN, queue, amount)]

    assert browser.run(SORT, queue, amount)[amount] == "descending"
    assert amounts() == sorted(amounts(), reverse=True)
    assert browser.run(SORT, queue, amount)[amount] == "ascending"
    assert amounts() == sorted(amounts())
    sorted_by = browser.run(SORT, queue, order)
    assert sorted_by[order] == "ascending"
    assert [each for each in sorted_by if each] == ["ascending"]
    numbers = [text for text in browser.run(COLUMN, queue, order) if text.startswith("ORDST")]
    assert numbers == sorted(numbers)


def test_blank_values_stay_last_however_sorted(browser: Browser, pushed: Pushed) -> None:
    browser.open(pushed.page)
    queue, since = "Orders in the retry queue", 5
    for _ in range(2):
        browser.run(SORT, queue, since)
        column = browser.run(COLUMN, queue, since)
        assert "" in column  # held by hand: nothing has failed
        assert all(column[: column.index("")])


def test_the_filter_keeps_rows_with_all_words_and_says_how_many(browser: Browser, pushed: Pushed) -> None:
    browser.open(pushed.page)
    queue = "Orders in the retry queue"
    everything = browser.run(COLUMN, queue, 0)
    assert browser.run(FILTER, queue, "ACCOUNT_not_found directma") == f"3 of {len(everything)} rows"
    assert browser.run(COLUMN, queue, 0) == ["ORDST2270", "ORDST2271", "ORDST2289"]
    browser.run(SORT, queue, 0)
    assert len(browser.run(COLUMN, queue, 0)) == 3
    assert browser.run(FILTER, queue, "no such order") == f"0 of {len(everything)} rows"
    assert browser.run(FILTER, queue, "") == ""
    assert sorted(browser.run(COLUMN, queue, 0)) == sorted(everything)


def test_heads_are_sorted_by_keyboard(browser: Browser, pushed: Pushed) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(pushed.page)
    button = browser.driver.find_element(By.XPATH, "//table[caption[starts-with(., 'Reasons')]]//button[. = 'Orders']")
    button.send_keys(Keys.ENTER)
    assert button.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"


def test_every_control_has_a_name(browser: Browser, pushed: Pushed) -> None:
    browser.open(pushed.page)
    from selenium.webdriver.common.by import By

    controls = browser.driver.find_elements(By.CSS_SELECTOR, "button, input, a, table, section, svg.wide")
    assert [each.get_attribute("outerHTML")[:80] for each in controls if not each.accessible_name] == []


@pytest.mark.parametrize("width", [380, 600, 800, 1000, 1400])
def test_no_width_makes_it_scroll_sideways(browser: Browser, pushed: Pushed, width: int) -> None:
    browser.open(pushed.page, width)
    assert browser.run("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]
    beyond = "return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth)"
    assert browser.run(beyond + ".map(e => e.outerHTML.slice(0, 80))") == []


@pytest.mark.parametrize(("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("dark", "print")])
@pytest.mark.parametrize("width", [380, 1200])
def test_text_and_bars_stand_out(browser: Browser, pushed: Pushed, width: int, scheme: str, media: str) -> None:
    browser.open(pushed.page, width, scheme, media)
    texts, weak = browser.run(CONTRAST)
    assert texts > 300
    assert weak == []


def test_dark_is_dark_and_paper_is_white(browser: Browser, pushed: Pushed) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    browser.open(pushed.page, scheme="dark")
    assert browser.run(background) == "rgb(19, 22, 26)"
    browser.open(pushed.page, scheme="dark", media="print")
    assert browser.run(background) == "rgb(255, 255, 255)"
    assert browser.run("return getComputedStyle(document.querySelector('.filter')).display") == "none"


def test_it_is_read_without_scripts(browser: Browser, pushed: Pushed) -> None:
    from selenium.webdriver.common.by import By

    browser.open(pushed.page, scripts=False)
    try:
        assert browser.driver.find_elements(By.CSS_SELECTOR, "button, input") == []
        assert "ORDST2270" in browser.driver.find_element(By.TAG_NAME, "main").text
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_it_prints(browser: Browser, pushed: Pushed) -> None:
    browser.open(pushed.page, media="")
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF-")


def test_before_the_first_run_it_complains_of_nothing_either(
    browser: Browser, content: dict[str, Any], tmp_path: Path
) -> None:
    page = tmp_path / "empty.html"
    empty: dict[str, Any] = {"runs": [], "last": None, "later": [], "outcomes": [], "reasons": [], "queue": []}
    page.write_text(render({**content, **empty}), encoding="utf-8", newline="\n")
    browser.open(page, 380)
    assert browser.complaints() == []
    assert browser.run("return document.documentElement.scrollWidth") == 380
