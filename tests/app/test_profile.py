"""The profile panel in a real browser: listed, changed, imported, exported, forgotten."""

import json
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.app.conftest import Visit, say
from tests.app.shop import Shop

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
HISTORY = "title,rating\nAurora,5\nBorealis,2\nNo Such Lamp,4\n"


def opened(page: Page) -> None:
    page.locator("#open-profile").click()
    expect(page.locator("#profile")).to_be_visible()
    expect(page.locator("#kept > *").first).to_be_visible()


def shut(page: Page) -> None:
    page.locator("#profile [data-close]").click()


@pytest.fixture(params=[(1280, False), (380, True)], ids=["wide", "phone-dark"])
def page(request: pytest.FixtureRequest, visit: Visit, shop: Shop) -> Page:
    width, dark = request.param
    return visit(shop.url, width=width, dark=dark)


def menu(page: Page) -> None:
    if page.viewport_size and page.viewport_size["width"] < 900:
        page.locator("#bar [data-sidebar]").click()


def test_the_panel(page: Page, tmp_path: Path) -> None:
    say(page, "I never want lamps by Ada Holm")
    menu(page)
    opened(page)
    chip = page.locator("#kept .chip")
    expect(chip).to_have_count(1)
    expect(chip).to_contain_text("You only want lamps not by Ada Holm.")
    expect(chip).to_contain_text("message 1")
    page.get_by_text("Import what you have rated").click()
    file = {"name": "mine.csv", "mimeType": "text/csv", "buffer": HISTORY.encode()}
    page.locator("#profile-file").set_input_files(file)  # type: ignore[arg-type]
    expect(page.locator("#profile-told")).to_contain_text("2 from mine.csv")
    expect(page.locator("#profile-told")).to_contain_text("1 are no lamp of this catalogue")
    expect(chip).to_have_count(3)
    page.get_by_text("Who you are here").click()
    assert Axe().run(page).response["violations"] == []
    box = page.locator("#profile")
    assert box.evaluate("d => d.scrollWidth <= d.clientWidth")
    page.get_by_role("button", name="Change: You do not like Borealis").click()
    page.locator("#kept form:not([hidden]) select").select_option("like")
    page.locator("#kept form:not([hidden]) .solid").click()
    expect(page.locator("#kept")).to_contain_text("You like Borealis")
    page.get_by_role("button", name="Delete: You only want lamps not by Ada Holm.").click()
    expect(chip).to_have_count(2)
    with page.expect_download() as download:
        page.locator("#profile-export").click()
    path = tmp_path / "export.json"
    download.value.save_as(path)
    assert len(json.loads(path.read_text("utf-8"))["conversations"]) == 1
    shut(page)
    page.keyboard.press("Escape")
    say(page, "a desk lamp")  # by Ada Holm, both known by now
    expect(page.locator("#known")).not_to_contain_text("Ada Holm")
    menu(page)
    opened(page)
    page.locator("#profile-forget").click()
    page.locator("#forget-yes").click()
    expect(page.locator("#hero")).to_be_visible()
    expect(page.locator(".exchange")).to_have_count(0)


def test_two_people_at_one_browser(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    say(page, "I never want lamps by Ada Holm")
    opened(page)
    page.get_by_text("Who you are here").click()
    page.locator("#profile-who").fill("Bob")
    page.locator("#profile-name button").click()
    expect(page.locator("html[data-ready]")).to_be_attached()
    expect(page.locator("#past li")).to_have_count(0)
    opened(page)
    expect(page.locator("#kept")).to_contain_text("Nothing yet")
