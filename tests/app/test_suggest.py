"""Suggestions while typing: what the index finds, which words are replaced, the route."""

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from agent.agent import Agent
from page.suggest import MAX_QUERY, completions, endings, routes
from tests.agent.lamps import lamps
from tests.app.conftest import Visit
from tests.app.shop import Shop
from tools.suggest import Suggester, Suggestion

TITLES = {
    "l1": "The Arrival of Aurora",
    "l2": "Spider-Man",
    "l3": "Rocky II",
    "l4": "Amélie",
    "l5": "Gone with the Wind",
    "l6": "The The",
    "l7": "<script>alert(1)</script>",
    "l8": "Halo",
}


def renamed() -> Any:
    catalog = lamps()
    catalog.df = catalog.df.with_columns(
        title=pl.Series([TITLES[i] for i in catalog.df["id"]]),
    )
    return catalog


@pytest.fixture(scope="module")
def suggester() -> Suggester:
    return Suggester(renamed())


@pytest.mark.parametrize(
    ("before", "looked_up"),
    [
        ("I loved the arr", ["I loved the arr", "loved the arr", "the arr", "arr"]),
        ("like Halo, spid", ["spid"]),  # not across a comma
        ("no more. Spid", ["Spid"]),
        ("like a", []),  # one letter
        ("with", []),  # an everyday word
        ("With", ["With"]),  # but meant as a name
        ("why the thi", []),  # one of the cards
        ("why the Thi", ["why the Thi", "the Thi", "Thi"]),
        ("arr ", []),  # the word is finished
        ("", []),
        ("rocky 2", ["rocky 2"]),
    ],
)
def test_which_words_are_looked_up(before: str, looked_up: list[str]) -> None:
    assert [typed for typed, _ in endings(before)] == looked_up


@pytest.mark.parametrize(
    ("before", "first", "typed"),
    [
        ("something like arr", "The Arrival of Aurora", "arr"),
        ("and the arr", "The Arrival of Aurora", "the arr"),
        ("I liked ARIVAL", "The Arrival of Aurora", "ARIVAL"),  # one slip
        ("by ada ho", "Ada Holm", "ada ho"),
        ("a pend", "Pendant", "pend"),
        ("I saw <scr", "<script>alert(1)</script>", "scr"),
        ("ameli", "Amélie", "ameli"),
    ],
)
def test_what_was_meant_comes_first(
    suggester: Suggester, before: str, first: str, typed: str
) -> None:
    found = completions(suggester.suggest, before)
    assert (found[0].suggestion.text, found[0].typed) == (first, typed)


def test_no_kind_crowds_out_the_others(suggester: Suggester) -> None:
    def flood(prefix: str, limit: int) -> list[Suggestion]:
        values = [Suggestion(f"arr{k}", "value", "uses", "use", None) for k in range(20)]
        return [*values, *suggester.suggest(prefix, limit)]

    found = completions(flood, "arr")
    assert len(found) == 8
    assert [one.suggestion.kind for one in found] == ["title", *["value"] * 7]


def test_a_telling_run_of_words_ends_the_search(suggester: Suggester) -> None:
    found = completions(suggester.suggest, "I loved spider m")
    assert [(one.suggestion.text, one.typed) for one in found] == [("Spider-Man", "spider m")]
    # "with the wi" may be chance: what goes on from "wi" alone is offered too.
    found = completions(suggester.suggest, "gone with the wi")
    assert found[0].suggestion.text == "Gone with the Wind"
    assert found[0].typed == "gone with the wi"


@pytest.fixture(scope="module")
def client() -> TestClient:
    agent = cast(Agent, SimpleNamespace(catalog=renamed()))
    return TestClient(Starlette(routes=routes(agent)))


def test_the_route_answers_uncached_json(client: TestClient) -> None:
    answer = client.get("/parley/suggest", params={"q": "I loved rock"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    (one,) = answer.json()["suggestions"]
    assert one.pop("detail").startswith("2015")  # what tells it from its namesakes
    assert one == {"text": "Rocky II", "kind": "title", "item_id": "l3", "typed": "rock"}
    assert client.get("/parley/suggest").json() == {"suggestions": []}
    assert client.post("/parley/suggest").status_code == 405


def test_a_field_for_titles_gets_titles_only(client: TestClient) -> None:
    answer = client.get("/parley/suggest", params={"q": "halo", "kind": "title"}).json()
    assert [one["text"] for one in answer["suggestions"]] == ["Halo"]
    assert answer["suggestions"][0]["typed"] == "halo"
    people = client.get("/parley/suggest", params={"q": "ada", "kind": "title"}).json()
    assert people == {"suggestions": []}


def test_a_query_that_is_too_long_is_refused_with_the_limit(client: TestClient) -> None:
    answer = client.get("/parley/suggest", params={"q": "x" * (MAX_QUERY + 1)})
    assert answer.status_code == 400
    assert str(MAX_QUERY) in answer.json()["error"]


def test_a_replaced_catalogue_is_suggested_from() -> None:
    agent = SimpleNamespace(catalog=lamps())
    client = TestClient(Starlette(routes=routes(cast(Agent, agent))))
    ask = lambda: client.get("/parley/suggest", params={"q": "spid"}).json()["suggestions"]  # noqa: E731
    assert ask() == []
    agent.catalog = renamed()
    assert [one["text"] for one in ask()] == ["Spider-Man"]


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_the_keyboard_chooses_closes_and_never_is_held_up(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    line, options = page.locator("#say-text"), page.locator("#parley-suggest [role=option]")
    line.press_sequentially("like Aur")
    expect(options).to_have_count(1)
    expect(page.locator(".suggest-live")).to_have_text("1 suggestion")
    line.press("ArrowDown")
    expect(line).to_have_attribute("aria-activedescendant", "parley-suggest-0")
    expect(options.first).to_have_attribute("aria-selected", "true")
    line.press("Tab")  # takes it, and the caret stays
    expect(line).to_have_value("like Aurora ")
    expect(line).to_be_focused()
    line.press_sequentially("by Ada")
    expect(options.first).to_have_text("Ada Holm maker")
    line.press("Escape")
    expect(options).to_have_count(0)
    line.press_sequentially(" H")
    expect(options.first).to_be_visible()
    line.press("Enter")  # nothing is highlighted: it sends what is typed
    expect(page.locator(".bubble")).to_have_text("like Aurora by Ada H")
    expect(options).to_have_count(0)


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_finger_takes_a_suggestion_in_the_middle_of_a_line(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url, width=380, height=700)
    line = page.locator("#say-text")
    line.fill("not , please")
    line.evaluate("one => one.setSelectionRange(4, 4)")
    line.press_sequentially("com")
    page.locator("#parley-suggest [role=option]", has_text="Comet").tap()
    expect(line).to_have_value("not Comet, please")
    assert line.evaluate("one => one.selectionStart") == len("not Comet")
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
