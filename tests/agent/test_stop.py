"""Stopping a turn keeps what was verified, leaves nothing pending, and is honest."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.agent import Agent
from agent.llm import Completion, Request
from agent.state import DialogueState, NotThis, StateUpdate
from tests.agent.shop import Junk, Plain, agent, done, items, read, say


class Gate(Junk):
    """Writes nothing until it is let through, and tells when it is asked."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()

    def generate(self, requests: Sequence[Request], on_text: Any = None) -> list[Completion]:
        self.asked.set()
        assert self.go.wait(20)
        return super().generate(requests, on_text)


def pending(a: Agent, thread: str) -> tuple[str, ...]:
    return a.graph.get_state({"configurable": {"thread_id": thread}}).next


def test_between_two_cards_the_released_ones_stay(tmp_path: Path) -> None:
    def stop_before_the_second_card(k: int) -> None:
        if k == 2:
            assert a.busy("t") and a.stop("t")

    model = Plain(stop_before_the_second_card)
    a = agent(tmp_path / "c.sqlite", model)
    events = list(a.turn("t", "something under 200 €"))
    assert [e.kind for e in events] == ["slate", "sentence", "card", "done"]
    assert not a.busy("t") and not a.stop("t")
    state = a.state("t")
    turn = state.turns[-1]
    assert turn.stopped and turn.act == "recommend" and items(turn) == ["l1"]
    assert state.slate.item_ids == state.beliefs.shown == ("l1",)
    assert pending(a, "t") == ()
    # The items that were chosen but not shown may still come.
    model.before = lambda k: None
    more = say(a, "t", "more")
    assert items(more)[0] == "l2" and not more.stopped
    assert {u.realised_by for u in more.units} == {"llm"}


def test_before_the_first_sentence_there_is_a_short_honest_reply(tmp_path: Path) -> None:
    gate = Gate()
    a = agent(tmp_path / "c.sqlite", gate)
    before = say_through(a, gate, "a desk lamp")
    gate.asked.clear()
    gate.go.clear()
    events: list[Any] = []
    worker = threading.Thread(target=lambda: events.extend(a.turn("t", "not by Ada Holm")))
    worker.start()
    assert gate.asked.wait(20) and a.stop("t")
    gate.go.set()
    worker.join(20)
    turn = done(iter(events))
    assert turn.stopped and turn.text == "Stopped." and turn.act is None and turn.slate is None
    state = a.state("t")
    # The message was understood and counts; the cards on screen are the old ones.
    assert [c.op for c in state.beliefs.clauses if c.field == "maker"] == ["none"]
    assert state.slate == before.slate and state.beliefs.shown == before.beliefs.shown
    assert pending(a, "t") == ()
    gate.go.set()
    assert say(a, "t", "a floor lamp").slate is not None
    assert a.undo("t") == state and a.undo("t") == before


def say_through(a: Agent, gate: Gate, text: str) -> DialogueState:
    gate.go.set()
    say(a, "t", text)
    return a.state("t")


def test_before_the_slate_is_chosen(tmp_path: Path) -> None:
    def stopping(text: str, state: DialogueState) -> StateUpdate:
        assert a.stop("t")
        return read(text, state)

    parts = replace(agent(tmp_path / "other.sqlite").parts, read=stopping)
    a = Agent(parts, tmp_path / "c.sqlite")
    turn = say(a, "t", "a desk lamp")
    assert turn.stopped and turn.text == "Stopped."
    assert a.state("t").beliefs.clauses and a.state("t").slate.item_ids == ()
    assert pending(a, "t") == ()


def test_stopping_while_one_card_is_replaced_loses_no_other(tmp_path: Path) -> None:
    gate = Gate()
    a = agent(tmp_path / "c.sqlite", gate)
    before = say_through(a, gate, "something under 200 €")
    gate.asked.clear()
    gate.go.clear()
    worker = threading.Thread(target=lambda: list(a.act("t", NotThis(item_id="l2"))))
    worker.start()
    assert gate.asked.wait(20) and a.stop("t")
    gate.go.set()
    worker.join(20)
    left = [i for i in before.slate.item_ids if i != "l2"]
    assert [i for i in a.state("t").slate.item_ids if i in before.slate.item_ids] == left


def test_nothing_to_stop(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    assert not a.stop("t") and not a.busy("t")
    say(a, "t", "hello")
    assert not a.stop("t") and len(a._threads) == 0
