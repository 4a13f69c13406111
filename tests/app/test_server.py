"""The page's addresses: whose conversation is whose, what is refused, and the public API."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client

from tests.app.shop import Shop

ANN, BOB, THREAD = "a" * 32, "b" * 32, "0" * 32


@pytest.fixture
def web(shop: Shop) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shop.url, headers={"X-Parley-User": ANN}, timeout=60) as client:
        yield client


def turn(web: httpx.Client, thread: str = THREAD, **asked: Any) -> list[dict[str, Any]]:
    """Start a turn and read all it gives off."""
    body = {"thread": thread, "kind": "say", **asked}
    answer = web.post("/parley/turn", json=body)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_the_page_asks_no_other_host_and_runs_no_inline_script(web: httpx.Client) -> None:
    answer = web.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "script-src" not in policy
    assert "https:" not in policy
    assert "http://" not in answer.text and "https://" not in answer.text
    assert "onclick" not in answer.text and "<script>" not in answer.text


def test_a_turn_comes_piece_by_piece_and_ends_with_everything(web: httpx.Client) -> None:
    events = turn(web, "1" * 32, text="a lamp for reading")
    kinds = [event["kind"] for event in events]
    assert kinds == ["begin", "slate", "sentence", "card", "card", "card", "done"]
    assert events[1]["html"].count("waiting") == 3
    assert "Aurora" in events[-1]["exchanges"][0]
    assert "for reading" in events[-1]["known"] or "reading" in events[-1]["known"]


def test_a_conversation_belongs_to_the_browser_that_began_it(web: httpx.Client) -> None:
    turn(web, text="a desk lamp")
    other = {"X-Parley-User": BOB}
    query = {"thread": THREAD}
    for answer in (
        web.get("/parley/conversation", params=query, headers=other),
        web.get("/parley/trace", params=query, headers=other),
        web.get("/parley/follow", params=query, headers=other),
        web.post("/parley/undo", params=query, headers=other),
        web.post("/parley/stop", params=query, headers=other),
        web.delete("/parley/conversation", params=query, headers=other),
        web.post("/parley/turn", json={"thread": THREAD, "kind": "retry"}, headers=other),
    ):
        assert answer.status_code == 404, answer.request.url
        assert "no such conversation" in answer.json()["error"]
    assert "desk" not in web.get("/parley/conversations", headers=other).json()["html"]
    assert "a desk lamp" in web.get("/parley/conversations").json()["html"]
    assert web.get("/parley/conversation", params=query).json()["exchanges"]


def test_without_a_browsers_name_nothing_is_done(web: httpx.Client) -> None:
    for name in ("", "x", "A" * 32, "../" * 11):
        headers = {"X-Parley-User": name}
        assert web.get("/parley/conversations", headers=headers).status_code == 422
        body = {"thread": THREAD, "kind": "say", "text": "hi"}
        assert web.post("/parley/turn", json=body, headers=headers).status_code == 422


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "say", "text": "   "},
        {"kind": "say", "text": "x" * 10_001},
        {"kind": "dance"},
        {"kind": "retry"},
        {"kind": "edit", "text": "hm", "message": 3},
        {"kind": "act", "action": {"do": "remove"}},
        {"kind": "act", "action": {"do": "sell", "item_id": "l1"}},
        {"kind": "act", "relax": 2},
        {"kind": "say", "text": "hi", "more": 1},
    ],
)
def test_what_cannot_be_done_is_refused(web: httpx.Client, asked: dict[str, Any]) -> None:
    answer = web.post("/parley/turn", json={"thread": "c" * 32, **asked})
    assert answer.status_code == 422


def test_an_edited_belief_is_put_into_the_catalogues_spelling(web: httpx.Client) -> None:
    thread = "d" * 32
    turn(web, thread, text="a desk lamp")
    value = {"field": "kind", "op": "any", "values": ["floor"]}
    action = {"do": "replace", "kind": "clauses", "place": 0, "value": value}
    events = turn(web, thread, kind="act", action=action)
    assert "Floor" in events[-1]["known"] and "Comet" in events[-1]["exchanges"][-1]
    wrong = {**action, "value": {**value, "values": ["flor"]}}
    answer = web.post("/parley/turn", json={"thread": thread, "kind": "act", "action": wrong})
    assert answer.status_code == 422 and "did you mean Floor?" in answer.json()["error"]
    wrong = {**action, "place": 7}
    answer = web.post("/parley/turn", json={"thread": thread, "kind": "act", "action": wrong})
    assert answer.status_code == 422 and "changed meanwhile" in answer.json()["error"]


def test_values_are_suggested_for_an_editor(web: httpx.Client) -> None:
    answer = web.get("/parley/values", params={"field": "maker", "q": "hol"})
    assert answer.json() == {"values": ["Ada Holm"]}
    assert web.get("/parley/values", params={"field": "colour"}).status_code == 422


def test_a_deleted_conversation_is_gone(web: httpx.Client) -> None:
    thread = "e" * 32
    turn(web, thread, text="a pendant lamp")
    html = web.delete("/parley/conversation", params={"thread": thread}).json()["html"]
    assert "pendant" not in html
    shown = web.get("/parley/conversation", params={"thread": thread}).json()
    assert shown["exchanges"] == []


def test_undo_gives_the_message_back(web: httpx.Client) -> None:
    thread = "f" * 32
    turn(web, thread, text="a desk lamp")
    turn(web, thread, text="under 50 €")
    undone = web.post("/parley/undo", params={"thread": thread}).json()
    assert undone["text"] == "under 50 €" and len(undone["exchanges"]) == 1


def test_a_failing_model_is_told_and_the_message_kept(shop: Shop, web: httpx.Client) -> None:
    thread = "9" * 32
    shop.broken = True
    try:
        events = turn(web, thread, text="a floor lamp")
    finally:
        shop.broken = False
    assert events[-1]["kind"] == "failed" and "did not answer" in events[-1]["html"]
    events = turn(web, thread, kind="resume")
    assert events[-1]["kind"] == "done" and "Comet" in events[-1]["exchanges"][0]


def test_the_api_is_called_by_name_and_goes_on(shop: Shop, tmp_path: Path) -> None:
    client = Client(shop.url, verbose=False, download_files=tmp_path)
    first = client.predict("a desk lamp", "", api_name="/chat")
    assert first["act"] == "recommend" and first["items"][0] == {"id": "l1", "title": "Aurora"}
    assert "Aurora" in first["reply"]
    second = client.predict("more", first["conversation"], api_name="/chat")
    assert second["conversation"] == first["conversation"]
    assert not {i["id"] for i in first["items"]} & {i["id"] for i in second["items"]}
    with pytest.raises(Exception, match="No conversation 'nonsense'"):
        client.predict("hi", "nonsense", api_name="/chat")
    with pytest.raises(Exception, match="no such conversation"):
        client.predict("hi", THREAD, api_name="/chat")
    client.close()


def test_a_comparison_names_what_differs(web: httpx.Client) -> None:
    html = web.get("/parley/compare", params={"item": ["l1", "l2"]}).json()["html"]
    assert "Aurora" in html and "Borealis" in html
