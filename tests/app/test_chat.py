"""What the page does with an agent that answers, fails, or breaks; and the port it needs."""

import asyncio
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

import app
from agent.agent import Event
from agent.errors import LLMError
from agent.state import DialogueState, Slate, Turn, Unit
from catalog.errors import ParleyError
from page.chat import Page, View
from tests.agent.lamps import lamps

THREAD = "0" * 32


class ShopAgent:
    """An agent with two lamps to recommend, or with one kind of trouble."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.catalog = lamps()
        self.trouble = trouble
        self.states: dict[str, DialogueState] = {}
        self.forgotten: list[tuple[str, int]] = []

    def state(self, thread: str) -> DialogueState:
        return self.states.get(thread, DialogueState())

    def resume(self, thread: str) -> DialogueState:
        if self.trouble:
            raise self.trouble
        return self.state(thread)

    def turn(self, thread: str, text: str, *, user: str = "anonymous") -> Iterator[Event]:
        yield Event(kind="slate", item_ids=("l1", "l2"))
        if self.trouble:
            raise self.trouble
        units = [Unit(text="Two lamps.")]
        yield Event(kind="sentence", text="Two lamps.", unit=units[0])
        for item_id in ("l1", "l2"):
            unit = Unit(text="For reading.", item_id=item_id)
            units.append(unit)
            yield Event(kind="card", text=unit.text, item_id=item_id, unit=unit)
        slate = Slate(item_ids=("l1", "l2"), reasons=tuple(units[1:]))
        turn = Turn(role="agent", text="", act="recommend", slate=slate, units=tuple(units))
        turns = [*self.state(thread).turns, Turn(role="user", text=text), turn]
        self.states[thread] = DialogueState(turns=turns, slate=slate)
        yield Event(kind="done", turn=turn)

    def undo(self, thread: str) -> DialogueState:
        return self.states.pop(thread, DialogueState())

    def forget(self, thread: str, kind: str, index: int) -> DialogueState:
        self.forgotten.append((kind, index))
        return self.state(thread)

    def new_thread(self) -> str:
        return "f" * 32


def page(trouble: Exception | None = None) -> tuple[Page, Any]:
    agent: Any = ShopAgent(trouble)
    return Page(agent), agent


def test_the_page_builds_with_every_event_bound() -> None:
    async def build() -> gr.Blocks:
        return page()[0].build()

    blocks = asyncio.run(build())  # outside a loop, Gradio makes its own and never closes it
    assert blocks.title == "Parley"
    bound = {target[1] for fn in blocks.fns.values() for target in fn.targets}
    assert {"load", "submit", "click"} <= bound


def test_cards_come_one_by_one_and_stay() -> None:
    here, _ = page()
    views: list[View] = list(here.send(THREAD, "  a lamp for reading "))
    counts = [v.cards.count('class="card"') for v in views if isinstance(v.cards, str)]
    assert counts == sorted(counts)
    assert counts[-1] == 2
    assert views[0].text == ""
    assert views[0].chat[-1]["content"] == "a lamp for reading"
    assert views[-1].chat[-1]["content"].startswith("Two lamps.\n1. Aurora")


def test_an_empty_message_changes_nothing() -> None:
    here, agent = page()
    (view,) = here.send(THREAD, "   ")
    assert view.chat == []
    assert agent.states == {}


@pytest.mark.parametrize("thread", ["", "../../etc/passwd", "x" * 32, None])
def test_a_thread_that_is_none_of_ours_becomes_a_new_one(thread: str) -> None:
    here, agent = page()
    list(here.send(thread, "hello"))
    assert list(agent.states) == ["f" * 32]
    assert here.open(thread).thread == "f" * 32


def test_trouble_is_said_and_the_conversation_kept() -> None:
    here, _ = page(LLMError("http://localhost:8000 did not answer within 30 s."))
    last = list(here.send(THREAD, "a lamp"))[-1]
    assert [m["role"] for m in last.chat] == ["user", "assistant"]
    assert "did not answer within 30 s" in last.chat[-1]["content"]
    assert "kept" in last.chat[-1]["content"]


def test_a_page_opens_even_when_a_cut_off_turn_cannot_be_finished() -> None:
    here, _ = page(LLMError("http://localhost:8000 did not answer within 30 s."))
    view = here.open(THREAD)
    assert "did not answer within 30 s" in view.chat[-1]["content"]
    assert view.text["interactive"] is True


def test_a_bug_is_logged_and_its_text_stays_off_the_page(caplog: pytest.LogCaptureFixture) -> None:
    here, _ = page(RuntimeError("inner detail"))
    last = list(here.send(THREAD, "a lamp"))[-1]
    assert "inner detail" not in last.chat[-1]["content"]
    assert "inner detail" in caplog.text


def test_forgetting_removes_the_last_place_first() -> None:
    here, agent = page()
    event: Any = SimpleNamespace(kind="clauses", places="0,2")
    here.forget(THREAD, event)
    assert agent.forgotten == [("clauses", 2), ("clauses", 0)]


@pytest.mark.parametrize(("kind", "places"), [("shown", "0"), ("clauses", "x"), ("clauses", "")])
def test_a_forged_click_does_nothing(kind: str, places: str) -> None:
    here, agent = page()
    event: Any = SimpleNamespace(kind=kind, places=places)
    here.forget(THREAD, event)
    assert agent.forgotten == []


def test_undo_gives_the_message_back_to_the_input_line() -> None:
    here, _ = page()
    list(here.send(THREAD, "a lamp"))
    assert here.undo(THREAD).text == "a lamp"


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ParleyError, match=f"Port {port} on 127.0.0.1 is in use.*PARLEY_PORT"):
            app.check_port("127.0.0.1", port)
    app.check_port("127.0.0.1", port)


def test_an_address_that_is_not_this_machine_is_named() -> None:
    with pytest.raises(ParleyError, match=r"cannot listen on 192\.0\.2\.1:7860"):
        app.check_port("192.0.2.1", 7860)
