"""The page in a browser: no errors, nothing wider than the window, and tables can be sorted."""

from __future__ import annotations

import pytest

from testbed.report.page import write_report
from tests.report.pages import HOSTILE, write_whole
from tests.support.browser import NAMES, browse, find_browser
from tests.support.records import row

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_browser() is None, reason=f"needs a browser, one of {', '.join(NAMES)} (apt: chromium)"
    ),
]
WIDTHS = (375, 1280)
TABLE = "document.querySelector('#results table')"
COLUMN = f"[...{TABLE}.tBodies[0].rows].map(row => row.cells[%d].textContent)"
HEADER = f"{TABLE}.tHead.rows[0].cells[%d]"
BUTTON = f"{HEADER}.querySelector('button')"
STICKS_OUT = """
    [...document.querySelectorAll("body *")]
        .filter(each => !each.closest(".scroll"))
        .filter(each => each.getBoundingClientRect().right > innerWidth)
        .map(each => each.outerHTML)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    said = [*HOSTILE, "long" * 300]
    point = {"links.radio.up.rate": "1mbit", "decoding.temperature": 0.7}
    rows = [
        row(label, prompt=number, point=point, seconds=seconds, verdict=level, reasons=["x" * 400])
        for label, seconds, level in (
            ("cloud_ar", 2, "valid"), ("dsd", 0.009, "suspect"), ("dssd", 20, "valid"),
            ("a-label-that-is-longer-than-most", 1, "invalid"),
        )
        for number in range(len(said))
    ]  # fmt: skip
    return write_report(write_whole(tmp_path_factory.mktemp("page"), rows, said, said))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browse(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_complains_and_nothing_sticks_out(browser, path, width, dark):
    browser.open(path, width, dark=dark)
    assert browser.evaluate("document.title") == "made: testbed report"  # no text took it over
    for opened in ("false", "true"):
        browser.evaluate(f"document.querySelectorAll('details').forEach(d => d.open = {opened})")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate(STICKS_OUT) == []
    assert browser.evaluate("document.images.length") >= 2
    assert browser.evaluate("[...document.images].filter(each => !each.naturalWidth)") == []
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") != dark
    assert browser.complaints == []
    assert browser.requests == [path.resolve().as_uri()]


def test_tables_are_sorted_by_what_is_pressed(browser, path):
    browser.open(path, WIDTHS[1])
    speeds = COLUMN % 5
    assert browser.evaluate(speeds) == ["5.00", "1,111", "0.50", "–"]
    browser.evaluate(f"{BUTTON % 5}.click()")
    assert browser.evaluate(speeds) == ["0.50", "5.00", "1,111", "–"]
    browser.evaluate(f"{BUTTON % 5}.focus()")
    browser.press("Enter")
    assert browser.evaluate(speeds) == ["1,111", "5.00", "0.50", "–"]
    assert browser.evaluate(f"{HEADER % 5}.ariaSort") == "descending"
    browser.press("Tab")
    browser.press("Enter")  # the column beside it
    assert browser.evaluate("document.querySelectorAll('[aria-sort]').length") == 1
    assert browser.evaluate(f"{HEADER % 6}.ariaSort") == "ascending"
    browser.evaluate(f"{BUTTON % 1}.click()")
    assert browser.evaluate(COLUMN % 1) == ["valid", "valid", "suspect", "invalid"]
    browser.evaluate(f"{BUTTON % 0}.click()")
    assert browser.evaluate(COLUMN % 0)[0] == "a-label-that-is-longer-than-most"


def test_the_browser_would_have_told_us(browser, tmp_path):
    """The checks of the first test fail on a page that deserves it."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    page = tmp_path / "bad.html"
    page.write_text(
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<script>document.title = 'ran'</script><div style='width: 999px'>wide</div>"
    )
    browser.open(page, WIDTHS[0])
    assert browser.complaints
    assert browser.evaluate("document.title") == ""
    assert browser.evaluate("document.documentElement.scrollWidth") > WIDTHS[0]
