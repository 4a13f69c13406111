"""A person at the page: real browser, real server, real agent over the bundled films."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.app.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
REPLY_LIMIT_MS = 60_000  # only a limit for a reply that never comes


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    """A new browser profile on the page; no other host is asked and nothing is reported."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    tab.set_default_timeout(REPLY_LIMIT_MS)
    asked: set[str] = set()
    reported: list[str] = []
    tab.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    tab.on("console", lambda line: reported.append(line.text) if line.type == "error" else None)
    tab.on("pageerror", lambda error: reported.append(str(error)))
    tab.goto(server.url)
    expect(tab.locator("#openers button").first).to_be_visible()
    yield tab
    context.close()
    assert asked - {""} == {f"127.0.0.1:{server.port}"}  # "" is data: and blob:
    assert reported == []


def say(page: Page, text: str) -> None:
    """Send a message and wait until its reply is complete."""
    before = page.locator("#chat .bot.message").count()
    page.locator("#say textarea").fill(text)
    page.locator("#say textarea").press("Enter")
    expect(page.locator("#chat .bot.message")).to_have_count(before + 1, timeout=REPLY_LIMIT_MS)
    expect(page.locator(".card.waiting")).to_have_count(0, timeout=REPLY_LIMIT_MS)


def click_opener(page: Page) -> None:
    page.locator("#openers button").first.click()
    expect(page.locator("#cards .card .reason")).to_have_count(5, timeout=REPLY_LIMIT_MS)
    expect(page.locator(".known li").first).to_be_visible()


def test_an_opener_gives_cards_with_reasons_and_what_was_understood(page: Page) -> None:
    opener = page.locator("#openers button").first.inner_text()
    click_opener(page)
    expect(page.locator("#openers")).to_be_hidden()
    assert opener in page.locator("#chat").inner_text()
    titles = page.locator("#cards .card h3").all_inner_texts()
    assert len(set(titles)) == 5
    for title in titles:  # each card's title stands in the reply too
        assert title.split(".", 1)[1].strip() in page.locator("#chat").inner_text()
    for reason in page.locator("#cards .reason").all_inner_texts():
        assert reason.strip()
    assert "message 1" in page.locator(".known").inner_text()


def test_a_belief_can_be_taken_back(page: Page) -> None:
    say(page, "a comedy from the 1990s")
    rows = page.locator(".known li")
    gone = rows.filter(has_text="1990")
    expect(gone).to_have_count(1)
    before = rows.count()
    gone.locator("button").click()
    expect(rows).to_have_count(before - 1)
    expect(rows.filter(has_text="1990")).to_have_count(0)


def test_undo_takes_back_the_message_and_offers_it_again(page: Page) -> None:
    click_opener(page)
    first = page.locator("#cards .card h3").all_inner_texts()
    say(page, "three more")
    assert page.locator("#cards .card h3").all_inner_texts() != first
    page.locator("#undo").click()
    expect(page.locator("#say textarea")).to_have_value("three more")
    assert page.locator("#cards .card h3").all_inner_texts() == first
    page.locator("#undo").click()
    expect(page.locator("#openers")).to_be_visible()
    expect(page.locator("#cards .card")).to_have_count(0)


def test_a_reload_and_a_killed_server_lose_nothing(page: Page, server: Server) -> None:
    click_opener(page)
    titles = page.locator("#cards .card h3").all_inner_texts()
    said = page.locator("#chat .bot.message").all_inner_texts()
    page.reload()
    expect(page.locator("#cards .card")).to_have_count(5)
    assert page.locator("#cards .card h3").all_inner_texts() == titles
    page.goto("about:blank")  # a lost connection would rightly be reported by the page
    server.kill()
    server.start()
    page.goto(server.url)
    expect(page.locator("#cards .card")).to_have_count(5)
    assert page.locator("#cards .card h3").all_inner_texts() == titles
    assert page.locator("#chat .bot.message").all_inner_texts() == said


def test_a_new_chat_starts_empty_and_the_browser_stays_in_it(page: Page) -> None:
    click_opener(page)
    page.locator("#new").click()
    expect(page.locator("#chat .message")).to_have_count(0)
    expect(page.locator(".known li")).to_have_count(0)
    page.reload()
    expect(page.locator("#openers")).to_be_visible()
    expect(page.locator("#chat .message")).to_have_count(0)


def test_what_is_typed_is_shown_as_typed(page: Page) -> None:
    nasty = "<img src=x onerror=alert(1)> *a* <b>comedy</b> & $x$"
    say(page, nasty)
    expect(page.locator("#chat .user.message").first).to_contain_text(nasty)
    assert page.locator("#chat .message img, #chat .message b").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_without_scrolling_sideways(
    chromium: Browser, server: Server, scheme: str
) -> None:
    context = chromium.new_context(
        viewport={"width": 360, "height": 780},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    tab = context.new_page()
    tab.goto(server.url)
    expect(tab.locator("#openers button").first).to_be_visible()
    click_opener(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    expect(tab.locator("#say textarea")).to_be_visible()
    context.close()
