"""The page when a turn stands still, fails, or a catalogue means harm; and for every eye.

Over the lamp shop (tests/app/shop.py), where the model waits or fails when it is told to.
"""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.app.conftest import Visit, complete, say
from tests.app.shop import NASTY, Shop, make_nasty

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def begin(page: Page, text: str) -> None:
    page.locator("#say textarea").fill(text)
    page.locator("#say textarea").press("Enter")


def test_a_reload_in_the_middle_of_a_turn_shows_its_end(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    shop.hold(at=2)
    begin(page, "a lamp for reading")
    expect(page.locator(".card:not(.waiting)")).to_have_count(1)
    expect(page.locator(".card.waiting")).to_have_count(2)
    expect(page.locator(".card .act").first).to_be_disabled()
    page.reload()
    expect(page.locator(".bubble")).to_have_text("a lamp for reading")
    expect(page.locator(".card:not(.waiting)")).to_have_count(1)
    expect(page.locator("#stop")).to_be_visible()
    shop.gate.set()
    complete(page)
    expect(page.locator(".card")).to_have_count(3)
    expect(page.locator(".card .act").first).to_be_enabled()


def test_stop_keeps_what_was_verified(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    shop.hold(at=2)
    begin(page, "a lamp for reading")
    expect(page.locator(".card:not(.waiting)")).to_have_count(1)
    page.get_by_role("button", name="Stop answering").click()
    expect(page.locator("#stop")).to_be_disabled()
    shop.gate.set()
    complete(page)
    expect(page.locator(".card")).to_have_count(1)
    expect(page.locator(".stopped")).to_be_visible()
    say(page, "more")
    expect(page.locator(".slate:not(.small) .card").first).to_be_visible()


def test_another_conversation_can_be_opened_while_one_answers(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    shop.hold(at=1)
    begin(page, "a pendant lamp")
    expect(page.locator(".card.waiting").first).to_be_visible()
    page.locator("#new").click()
    expect(page.locator("#hero")).to_be_visible()
    shop.gate.set()
    expect(page.locator("#past li")).to_have_count(0)
    say(page, "a desk lamp")
    expect(page.locator("#past li")).to_have_count(2)
    page.locator("#past li a", has_text="pendant").click()
    complete(page, "a pendant lamp")
    expect(page.locator(".exchange")).to_have_count(1)


def test_a_failing_model_keeps_the_message_and_is_tried_again(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    say(page, "a desk lamp")
    shop.broken = True
    try:
        begin(page, "more")
        expect(page.locator(".trouble")).to_contain_text("did not answer")
        expect(page.locator(".bubble").last).to_have_text("more")
    finally:
        shop.broken = False
    page.get_by_role("button", name="Try again").last.click()
    complete(page, "more")
    expect(page.locator(".trouble")).to_have_count(0)
    expect(page.locator(".exchange")).to_have_count(2)


def test_nothing_of_the_catalogue_runs_as_a_script(visit: Visit, shop: Shop) -> None:
    kept = shop.agent.catalog.df
    make_nasty(shop.agent.catalog)
    try:
        page = visit(shop.url)
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        say(page, f"a desk lamp {NASTY}")
        expect(page.locator(".card h3").first).to_contain_text(NASTY)
        page.locator("[data-do=more_like]").first.click()  # into chips and the next reply
        complete(page, "More like")
        expect(page.locator("#known")).to_contain_text(NASTY)
        for claim in page.locator(".proof").all():
            claim.focus()
        for box in page.get_by_role("checkbox").all()[:2]:
            box.check()
        page.locator("#compare-open").click()
        expect(page.locator("#compare table")).to_contain_text(NASTY)
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Trace").click()
        expect(page.locator("#trace")).to_contain_text(NASTY)
        expect(page.locator("#past")).to_contain_text(NASTY[:12])
        page.get_by_role("tab", name="Chat").click()
        page.locator("#say textarea").press_sequentially("<scr", delay=20)
        assert page.locator("#app img, #tip img, #compare img").count() == 0
        assert page.locator("#app script, #tip script, #compare script").count() == 0
        assert dialogs == []
    finally:
        shop.agent.catalog.df = kept


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with the elements it means."""
    found: list[Any] = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (380, False), (380, True)]
)
def test_axe_finds_nothing_serious(visit: Visit, shop: Shop, width: int, dark: bool) -> None:
    page = visit(shop.url, width=width, dark=dark)
    assert serious(page) == []
    say(page, "a desk lamp under 100 €, warmer")
    say(page, "more")
    assert serious(page) == []
    page.locator(".proof").last.focus()
    if width < 500:
        page.locator("#open-understood").click()
    page.get_by_role("button", name=re.compile("^Change")).first.click()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    for box in page.get_by_role("checkbox").all()[:2]:
        box.check()
    page.locator("#compare-open").click()
    expect(page.locator("#compare table")).to_be_visible()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Trace").click()
    expect(page.locator("#trace")).to_contain_text("Mask")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_look_follows_the_system_until_it_is_chosen(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("#theme").click()
    light = page.evaluate(ground)
    assert dark != light
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate(ground) == light
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == light


def test_all_of_it_can_be_reached_from_the_keyboard(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    say(page, "a desk lamp")
    page.locator(".card h3").first.click()  # begin at the first card
    reached: dict[str, str] = {}
    for _ in range(8):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            """() => {
                const one = document.activeElement, tick = one.closest(".tick");
                return [one.dataset.do || one.dataset.compare || one.className,
                        getComputedStyle(tick || one).outlineStyle];
            }"""
        )
        reached[name] = outline
    for name in ("more_like", "not_this", "seen_it", "why", "l1"):
        assert reached[name] == "solid", (name, reached)
