"""A person at the page: real browser, real server, real agent over the bundled films."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.app.conftest import REPLY_LIMIT_MS, Server, Visit, complete, say

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture
def page(visit: Visit, server: Server) -> Page:
    tab = visit(server.url)
    expect(tab.locator(".opener").first).to_be_visible()
    return tab


def titles(page: Page) -> list[str]:
    """What the newest slate shows."""
    cards = page.locator(".slate:not(.small) .card")
    return [text.split(maxsplit=1)[1] for text in cards.locator("h3").all_inner_texts()]


def click_opener(page: Page) -> None:
    page.locator(".opener").first.click()
    complete(page)
    expect(page.locator(".card .reason")).to_have_count(5)


def test_an_opener_gives_cards_with_reasons_and_what_was_understood(page: Page) -> None:
    opener = page.locator(".opener").first.inner_text()
    click_opener(page)
    expect(page.locator("#hero")).to_be_hidden()
    assert opener in page.locator(".bubble").inner_text()
    assert len(set(titles(page))) == 5
    for reason in page.locator(".card .reason").all_inner_texts():
        assert reason.strip()
    assert "message 1" in page.locator("#known").inner_text()
    expect(page.locator("#past li")).to_have_count(1)
    expect(page.locator("#past li")).to_contain_text(opener[:20])


def test_a_whole_conversation(page: Page) -> None:
    say(page, "I loved Spirited Away and Paddington 2.")
    expect(page.locator(".group.like .chip")).to_have_count(2)
    say(page, "Under 100 minutes please.")
    first = titles(page)
    assert len(first) == 5
    say(page, "Who directed the third?")
    assert titles(page) == first  # the cards stay whole until there are newer ones
    say(page, "three more")
    assert len(titles(page)) == 3 and not set(titles(page)) & set(first)
    expect(page.locator(".slate.small")).to_have_count(2)
    page.locator(".again").first.click()
    expect(page.locator(".slate.small")).to_have_count(1)
    say(page, "thanks, bye")
    expect(page.locator(".exchange")).to_have_count(5)


def test_cards_answer_to_their_buttons(page: Page) -> None:
    click_opener(page)
    first = titles(page)
    page.get_by_role("button", name=f"Not {first[0]}").click()
    complete(page, f"Not {first[0]}")
    second = titles(page)
    assert second[1:] == first[1:] and second[0] != first[0]
    page.locator(".slate:not(.small) [data-do=seen_it]").nth(2).click()
    complete(page, first[2])
    third = titles(page)
    assert third[:2] == second[:2] and third[2] not in second
    expect(page.locator(".group.seen .chip")).to_contain_text(first[2])
    page.locator(".slate:not(.small) [data-do=why]").nth(1).press("Enter")  # from the keyboard
    complete(page, "Why")
    assert titles(page) == third
    page.locator(".slate:not(.small) [data-do=more_like]").nth(1).click()
    complete(page, "More like")
    assert not set(titles(page)) & set(third)


def test_a_claim_shows_what_it_rests_on(page: Page) -> None:
    click_opener(page)
    claim = page.locator(".card .proof.fact").first
    tip = page.get_by_role("tooltip")
    claim.hover()
    expect(tip).to_be_visible()
    expect(tip).to_contain_text(re.compile("Catalogue|Worked out"))
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    own = page.locator(".reply .proof.own").first
    own.focus()
    expect(tip).to_contain_text("message 1")
    expect(own).to_have_attribute("aria-describedby", "tip")
    page.locator("#say textarea").focus()
    expect(tip).to_be_hidden()


def test_a_belief_is_removed_and_edited_and_the_cards_follow(visit: Visit, server: Server) -> None:
    page = visit(server.url, calm=True)  # a refused edit is an error to the browser's console
    say(page, "a comedy from the 1990s")
    chips = page.locator(".chip")
    years = chips.filter(has_text="1990")
    expect(years).to_contain_text("message 1")
    years.get_by_role("button", name=re.compile("^Change")).click()
    years.locator("input[name=number]").nth(1).fill("1993")
    years.get_by_role("button", name="Save").click()
    complete(page)
    expect(chips.filter(has_text="1993")).to_have_count(1)
    shown = page.locator(".slate:not(.small) .line:nth-child(2)").all_inner_texts()
    assert len(shown) == 5 and all(1990 <= int(line[:4]) <= 1993 for line in shown)
    before = chips.count()
    chips.filter(has_text="1993").get_by_role("button", name=re.compile("^Remove")).click()
    complete(page)
    expect(chips.filter(has_text="199")).to_have_count(0)
    assert chips.count() < before
    genre = chips.filter(has_text="comedy")
    genre.get_by_role("button", name=re.compile("^Change")).click()
    genre.locator("input[name=value]").first.fill("wstern")
    genre.get_by_role("button", name="Save").click()
    expect(genre.locator(".problem")).to_contain_text("did you mean Western?")
    genre.locator("input[name=value]").first.fill("western")
    genre.get_by_role("button", name="Save").click()
    complete(page)
    for line in page.locator(".slate:not(.small) .line:nth-child(2)").all_inner_texts():
        assert "Western" in line


def test_the_dial_ranks_anew(page: Page) -> None:
    say(page, "a good western")
    first = titles(page)
    dial = page.get_by_label("Be more adventurous")
    dial.fill("1")
    complete(page)
    assert titles(page) != first
    expect(dial).to_have_value("1")


def test_undo_takes_back_the_message_and_offers_it_again(page: Page) -> None:
    click_opener(page)
    first, known = titles(page), page.locator("#known").inner_text()
    say(page, "no animation, three more")
    assert titles(page) != first
    undo = page.get_by_role("button", name="Undo")
    undo.click()
    expect(page.locator("#say textarea")).to_have_value("no animation, three more")
    assert titles(page) == first
    assert page.locator("#known").inner_text() == known
    undo.click()
    expect(page.locator("#hero")).to_be_visible()
    expect(page.locator(".card")).to_have_count(0)


def test_trying_again_and_editing_a_message(page: Page) -> None:
    say(page, "a heist film")
    say(page, "under two hours")
    first = titles(page)
    page.locator(".exchange").last.get_by_role("button", name="Try again").click()
    complete(page, "under two hours")
    expect(page.locator(".exchange")).to_have_count(2)
    assert not set(titles(page)) & set(first)
    page.get_by_role("button", name="Edit this message").first.click()
    box = page.locator(".you textarea")
    expect(box).to_have_value("a heist film")
    box.fill("a love story")
    box.press("Enter")
    complete(page, "a love story")
    expect(page.locator(".exchange")).to_have_count(1)


def test_what_is_offered_can_be_pressed(page: Page) -> None:
    say(page, "only Korean westerns from the 1930s")
    offers = page.locator("[data-relax]")
    expect(offers.first).to_be_visible()
    offers.first.click()
    complete(page)
    assert titles(page)


def test_two_to_four_cards_are_compared(page: Page) -> None:
    click_opener(page)
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).check()
    expect(page.locator("#compare-bar")).to_be_visible()
    expect(page.locator("#compare-open")).to_be_disabled()
    for k in (1, 2, 3):
        boxes.nth(k).check()
    expect(boxes.nth(4)).to_be_disabled()
    names = titles(page)[:4]
    page.locator("#compare-open").click()
    table = page.locator("#compare table")
    for name in names:
        expect(table).to_contain_text(name)
    page.keyboard.press("Escape")
    expect(table).to_be_hidden()
    page.locator("#compare-clear").click()
    expect(page.locator("#compare-bar")).to_be_hidden()


def test_the_trace_shows_how_it_came_about_and_can_be_stepped_into(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    click_opener(page)
    first = titles(page)
    page.get_by_role("tab", name="Trace").click()
    trace = page.locator("#trace")
    for words in ("understand", "respond", "Mask", "Verifier", first[0]):
        expect(trace).to_contain_text(words)
    trace.locator("[data-do=copy]").click()
    expect(trace.locator("[role=status]").first).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert '"role": "agent"' in copied
    trace.locator("summary", has_text="Step in").click()
    trace.locator(".steps [data-do=remove]").first.click()
    trace.locator("[data-do=run]").click()
    complete(page)
    expect(page.get_by_role("tab", name="Chat")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".exchange")).to_have_count(1)
    assert len(titles(page)) == 5 and titles(page) != first


def test_suggestions_while_typing(page: Page) -> None:
    line = page.locator("#say textarea")
    line.press_sequentially("I loved Spirited Aw", delay=20)
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("Spirited Away")
    line.press("ArrowDown")
    line.press("Enter")
    expect(line).to_have_value(re.compile("I loved Spirited Away"))
    expect(page.locator(".exchange")).to_have_count(0)


def test_past_conversations_come_back_and_can_be_deleted(page: Page) -> None:
    click_opener(page)
    first = titles(page)
    page.locator("#new").click()
    expect(page.locator(".exchange")).to_have_count(0)
    expect(page.locator(".chip")).to_have_count(0)
    say(page, "a quiet film from Japan")
    expect(page.locator("#past li")).to_have_count(2)
    page.locator("#past li a").nth(1).click()
    expect(page.locator(".bubble")).not_to_contain_text("Japan")
    complete(page)
    assert titles(page) == first
    page.get_by_role("button", name=re.compile("^Delete")).first.click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#past li")).to_have_count(2)
    page.get_by_role("button", name=re.compile("^Delete")).nth(1).click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#past li")).to_have_count(1)
    expect(page.locator("#hero")).to_be_visible()  # the deleted one was open


def test_two_people_in_two_browsers_never_meet(visit: Visit, server: Server) -> None:
    ann, bob = visit(server.url), visit(server.url, calm=True)  # a 404 is reported
    say(ann, "a film about chess")
    say(bob, "a film about boxing")
    expect(ann.locator("#past li")).to_have_count(1)
    expect(bob.locator("#past li")).to_have_count(1)
    bob.goto(ann.url)  # even with the address of the other's conversation
    bob.reload()
    bob.wait_for_selector("html[data-ready]")
    expect(bob.locator("#hero")).to_be_visible()
    assert "chess" not in bob.locator("body").inner_text()


def test_a_killed_server_in_the_middle_of_a_turn_loses_nothing(
    visit: Visit, server: Server
) -> None:
    page = visit(server.url, calm=True)
    click_opener(page)
    first = titles(page)
    page.locator("#say textarea").fill("and something darker")
    page.locator("#say textarea").press("Enter")
    expect(page.locator(".exchange")).to_have_count(2)  # the turn runs
    server.kill()
    expect(page.locator("#banner")).to_contain_text("not answering")
    server.start()
    # The page finds the server by itself, and the server finishes what was cut off.
    expect(page.locator("#banner")).to_be_hidden(timeout=REPLY_LIMIT_MS)
    complete(page, "and something darker")
    expect(page.locator(".exchange")).to_have_count(2)
    assert len(titles(page)) == 5 and titles(page) != first
    shown = page.locator("#talk").inner_text()
    page.reload()
    complete(page, "and something darker")
    assert page.locator("#talk").inner_text() == shown
    say(page, "thank you")


def test_what_is_typed_is_shown_as_typed(page: Page) -> None:
    nasty = "<img src=x onerror=alert(1)> *a* <b>comedy</b> & $x$"
    say(page, nasty)
    expect(page.locator(".bubble").first).to_have_text(nasty)
    assert page.locator("#talk img, #talk .bubble b").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_it_all_without_scrolling_sideways(
    visit: Visit, server: Server, dark: bool
) -> None:
    page = visit(server.url, width=360, height=780, dark=dark)
    click_opener(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    line = page.locator("#say textarea")
    expect(line).to_be_in_viewport()
    page.locator("#open-understood").click()
    expect(page.locator("#understood .chip").first).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(page.locator("#understood")).to_be_hidden()
    page.get_by_role("button", name="Open the list of conversations").click()
    expect(page.locator("#past li").first).to_be_in_viewport()
