"""Past conversations, trying again, editing: whose they are, and that nothing gets lost."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event as Signal
from pathlib import Path
from typing import Any

import pytest

from agent.agent import Agent
from agent.errors import AgentError
from agent.history import cut, open_store
from agent.state import Adventure, DialogueState, NotThis
from tests.agent.shop import Broken, Junk, agent, done, items, say


@pytest.fixture
def a(tmp_path: Path) -> Agent:
    return agent(tmp_path / "c.sqlite")


def user(a: Agent, thread: str, text: str, name: str) -> None:
    done(a.turn(thread, text, user=name))


def test_the_list_is_newest_first_and_survives_a_restart(a: Agent, tmp_path: Path) -> None:
    user(a, "t1", "a desk lamp", "ann")
    user(a, "t2", "a floor lamp", "ann")
    user(a, "t1", "anything else?", "ann")
    user(a, "t3", "hello", "bob")
    ann = a.conversations("ann")
    assert [(c.thread, c.title, c.messages) for c in ann] == [
        ("t1", "a desk lamp", 4),
        ("t2", "a floor lamp", 2),
    ]
    assert ann[0].updated > ann[1].updated
    assert agent(tmp_path / "c.sqlite").conversations("ann") == ann
    assert [c.thread for c in a.conversations("bob")] == ["t3"]
    assert a.conversations("an") == a.conversations("nobody") == []


def test_names_of_any_kind_are_kept_apart(a: Agent) -> None:
    for name in ("a.b", "a", "a%2Eb", "a/b", "ä b"):
        user(a, f"t-{name}", "hello", name)
    assert all([c.thread for c in a.conversations(n)] == [f"t-{n}"] for n in ("a.b", "a", "a/b"))


def test_undoing_everything_takes_it_off_the_list(a: Agent) -> None:
    user(a, "t", "a desk lamp", "ann")
    a.undo("t")
    assert a.conversations("ann") == [] and a.state("t") == DialogueState()
    user(a, "t", "a floor lamp", "ann")
    assert a.conversations("ann")[0].title == "a floor lamp"


def test_only_the_person_who_began_it_may_delete_it(a: Agent) -> None:
    user(a, "t", "a desk lamp", "ann")
    with pytest.raises(AgentError, match="another person"):
        a.delete("t", user="bob")
    assert a.state("t").turns
    a.delete("t", user="ann")
    a.delete("t", user="ann")
    assert a.state("t") == DialogueState() and a.conversations("ann") == []


def test_a_long_first_message_is_cut_at_a_word() -> None:
    title = cut("a lamp that " + "is warm and " * 20)
    assert len(title) <= 60 and title.endswith("…") and "  " not in title


def test_again_is_other_items_in_other_words_and_undo_goes_before_it(a: Agent) -> None:
    before = say(a, "t", "hello") and a.state("t")
    first = say(a, "t", "something under 200 €")
    again = done(a.retry("t"))
    assert again.act == "recommend" and not set(items(again)) & set(items(first))
    state = a.state("t")
    assert [t.role for t in state.turns] == ["user", "agent"] * 2
    assert state.turns[2].attempt == 1 and set(state.turns[2].avoid) == set(items(first))
    third = done(a.retry("t"))
    assert not set(items(third)) & {*items(first), *items(again)}
    assert not set(items(say(a, "t", "more"))) & {*items(first), *items(again), *items(third)}
    a.undo("t")
    assert a.undo("t") == before


def test_again_with_no_others_left_shows_the_same(a: Agent) -> None:
    first = say(a, "t", "a desk lamp")
    assert items(done(a.retry("t"))) == items(first)


def test_an_action_can_be_tried_again(a: Agent) -> None:
    say(a, "t", "something under 200 €")
    first = done(a.act("t", NotThis(item_id="l2")))
    again = done(a.retry("t"))
    assert [items(again)[k] for k in (0, 2)] == [items(first)[k] for k in (0, 2)]
    assert items(again)[1] != items(first)[1]
    done(a.act("t", Adventure(level=0.3)))
    done(a.retry("t"))
    assert a.state("t").beliefs.adventure == 0.3


def test_nothing_to_try_again(a: Agent) -> None:
    with pytest.raises(AgentError, match="say something first"):
        done(a.retry("t"))
    with pytest.raises(AgentError, match=r"no message 0.*has 0"):
        done(a.edit("t", 0, "x"))


@pytest.mark.parametrize("message", [0, 1, 2])
def test_editing_goes_back_to_before_that_message(a: Agent, message: int) -> None:
    states = [a.state("t")]
    for text in ("a desk lamp", "not by Ada Holm", "anything else?"):
        say(a, "t", text)
        states.append(a.state("t"))
    done(a.edit("t", message, "a floor lamp", user="ann"))
    state = a.state("t")
    assert len(state.turns) == 2 * message + 2
    assert state.turns[:-2] == states[message].turns
    assert state.turns[-2].text == "a floor lamp"
    assert [c.values for c in state.beliefs.clauses if c.field == "kind"] == [("Floor",)]
    assert a.undo("t") == states[message]


def test_editing_the_first_message_changes_the_title(a: Agent) -> None:
    say(a, "t", "a desk lamp")
    done(a.edit("t", 0, "a floor lamp"))
    assert [c.title for c in a.conversations("anonymous")] == ["a floor lamp"]
    for place in (-1, 1, 99):
        with pytest.raises(AgentError, match=f"no message {place}"):
            done(a.edit("t", place, "x"))


def test_a_turn_that_failed_can_be_edited_or_tried_again(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    broken = agent(database, Broken())
    for thread in ("t1", "t2"):
        with pytest.raises(AgentError):
            list(broken.turn(thread, "a desk lamp"))
    healthy = agent(database)
    assert items(done(healthy.retry("t1"))) == ["l1", "l2"]
    assert items(done(healthy.edit("t2", 0, "a floor lamp"))) == ["l3", "l4"]
    assert len(healthy.state("t1").turns) == len(healthy.state("t2").turns) == 2


class Killed(Junk):
    """A model at which the process is killed, as by the kernel: no clean-up runs."""

    def __init__(self, at: int) -> None:
        self.left = at

    def generate(self, requests: Any, on_text: Any = None) -> Any:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(requests, on_text)


def run_until_killed(database: Path, what: str, ready: Signal) -> None:
    a = agent(database, Killed(at=4))  # two turns of two calls go well
    say(a, "t", "hello")
    say(a, "t", "something under 200 €")
    ready.set()
    if what == "turn":
        list(a.turn("t", "under 100 €"))
    elif what == "retry":
        list(a.retry("t"))
    elif what == "edit":
        list(a.edit("t", 0, "a floor lamp"))
    elif what == "act":
        list(a.act("t", NotThis(item_id=a.state("t").slate.item_ids[0])))


SAID = {
    "turn": ["hello", "something under 200 €", "under 100 €"],
    "retry": ["hello", "something under 200 €"],
    "edit": ["a floor lamp"],
    "act": ["hello", "something under 200 €", "Not Aurora"],
}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["turn", "retry", "edit", "act"])
def test_kill_9_in_the_middle_loses_no_message(tmp_path: Path, what: str) -> None:
    database = tmp_path / "c.sqlite"
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=run_until_killed, args=(database, what, ready))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL and ready.is_set()
    a = agent(database)
    state = a.resume("t")
    said = [t.text for t in state.turns if t.role == "user"]
    assert said == SAID[what]
    assert [t.role for t in state.turns] == ["user", "agent"] * len(said)
    assert a.conversations("anonymous")[0].messages == len(state.turns)
    assert say(a, "t", "thanks").role == "agent"


def test_thirty_two_at_once_mix_and_lose_nothing(a: Agent) -> None:
    kinds = ["Desk", "Floor", "Bedside", "Pendant"]

    def chat(k: int) -> bool:
        thread, kind = f"t{k}", kinds[k % 4]
        first = items(done(a.turn(thread, f"a {kind.lower()} lamp", user=f"u{k}")))
        done(a.act(thread, NotThis(item_id=first[0]), user=f"u{k}"))
        done(a.retry(thread, user=f"u{k}"))
        texts = [t.text for t in a.state(thread).turns if t.role == "user"]
        mine = [c.thread for c in a.conversations(f"u{k}")]
        return len(texts) == 2 and kind.lower() in texts[0] and mine == [thread]

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(chat, range(64)))
    assert len(a._threads) == 0


def test_a_damaged_list_is_a_clear_error(tmp_path: Path) -> None:
    bad = tmp_path / "c.sqlite"
    bad.write_bytes(b"this is not a database" * 100)
    with pytest.raises(AgentError, match=r"c\.sqlite.*PARLEY_HOME"):
        open_store(bad)
