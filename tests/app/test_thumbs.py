"""Thumbs on the page: whose they are, what is refused, and pressing them in a real browser."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.app.conftest import say
from tests.app.shop import Shop

ANN, BOB, THREAD = "a" * 32, "b" * 32, "7" * 32


@pytest.fixture
def web(shop: Shop) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url, headers={"X-Parley-User": ANN}, timeout=60) as client:
        yield client


def test_a_thumb_is_the_browsers_that_gave_it(web: httpx.Client) -> None:
    web.post("/parley/turn", json={"thread": THREAD, "kind": "say", "text": "a desk lamp"})
    give = {"thread": THREAD, "turn": 1, "item_id": "l1", "kind": "thumb_up"}
    kept = {"turn": 1, "item_id": "l1", "kind": "thumb_up"}
    assert web.post("/parley/feedback", json=give).json() == {"thumbs": [kept]}
    assert web.get("/parley/feedback", params={"thread": THREAD}).json() == {"thumbs": [kept]}
    other = {"X-Parley-User": BOB}
    assert web.post("/parley/feedback", json=give, headers=other).status_code == 404
    path, query = "/parley/feedback", {"thread": THREAD}
    assert web.get(path, params=query, headers=other).status_code == 404
    for wrong in ({"turn": 0}, {"turn": 9}, {"item_id": "l7"}, {"kind": "meh"}, {"thread": "x"}):
        assert web.post("/parley/feedback", json={**give, **wrong}).status_code == 422
    assert web.post("/parley/feedback", json={**give, "kind": "none"}).json() == {"thumbs": []}


def test_the_buttons_say_what_they_are_of(web: httpx.Client) -> None:
    web.post("/parley/turn", json={"thread": "8" * 32, "kind": "say", "text": "a desk lamp"})
    shown = web.get("/parley/conversation", params={"thread": "8" * 32}).json()
    html = shown["exchanges"][0]
    for name in ("Good: Aurora", "Not good: Aurora", "Good: this reply", "Not good: this reply"):
        assert f'aria-label="{name}"' in html
    assert html.count('aria-pressed="false"') == 6


def test_the_api_answers_beside_the_page(web: httpx.Client) -> None:
    assert web.get("/api/v1/health").json()["catalog"] == "lamps"
    assert web.get("/v1/models").json()["data"][0]["id"] == "parley"
    assert "text/html" in web.get("/").headers["content-type"]
    # A browser's random name is none of the API's: its conversations are not there.
    assert web.get(f"/api/v1/conversations/{THREAD}").status_code == 404


@pytest.mark.browser
def test_pressing_again_takes_it_back_and_a_reload_shows_it(
    shop: Shop, visit: Callable[..., Page]
) -> None:
    page = visit(shop.url)
    say(page, "a desk lamp")
    thumb = page.get_by_role("button", name="Good: Aurora", exact=True)
    thumb.click()
    expect(thumb).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(thumb).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Not good: Aurora", exact=True).click()
    expect(thumb).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Not good: Aurora", exact=True).click()
    expect(page.locator('.thumb[aria-pressed="true"]')).to_have_count(0)
