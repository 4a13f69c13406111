"""The graph with its memory on the lamp shop: undo, resuming, isolation, nothing lost.

The slate comes from a small real class at the seam (most popular allowed first) and the
words from scripted or tiny models: what is tested here is the manager, not the models.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.agent import Agent
from agent.errors import LLMError, MemoryError_
from agent.graph import Parts
from agent.llm import Completion, Request, TransformersLLM
from agent.recommending import Chosen, Recommender
from agent.respond import Writer
from agent.state import Beliefs, DialogueState, StateUpdate, Turn
from agent.understand import understand
from agent.verify import Verifier
from catalog.filters import compile
from tests.agent.lamps import lamps
from tests.tiny_lm import tiny_folder
from tools.find_title import TitleLinker
from tools.small_model import load_small

CATALOG = lamps()
LINKER = TitleLinker(CATALOG)


class ByPopularity(Recommender):
    """Retrieval in its plainest form, under the same hard constraints."""

    def __init__(self) -> None:
        self.catalog = CATALOG

    def recommend(
        self, turns: Sequence[Turn], beliefs: Beliefs, n: int, exclude: frozenset[str]
    ) -> Chosen:
        allowed = compile(CATALOG, beliefs.clauses)
        allowed[[CATALOG.row(i) for i in exclude if CATALOG.has(i)]] = False
        order = [r for r in np.argsort(-CATALOG.popularity, kind="stable") if allowed[r]]
        ids = tuple(CATALOG.ids[r] for r in order)
        return Chosen(ids[:n], ids, len(ids), 0, "retrieval")

    def about_scores(self, beliefs: Beliefs) -> dict[str, Any]:
        return {}


class Junk:
    """A model that only ever says what must not be shown."""

    def generate(self, requests: Sequence[Request], on_text: Any = None) -> list[Completion]:
        done = [Completion("The best Oscar winner of 1999!", 7, 3, 0.0, True) for _ in requests]
        for k, completion in enumerate(done):
            if on_text:
                on_text(k, completion)
        return done


class Broken(Junk):
    def generate(self, requests: Sequence[Request], on_text: Any = None) -> list[Completion]:
        raise LLMError("http://127.0.0.1:9 did not answer within 30 s: start the server.")


def read(text: str, state: DialogueState) -> StateUpdate:
    return understand(text, state, CATALOG, LINKER, arm="rules")


def agent(database: Path, llm: Any | None = None) -> Agent:
    parts = Parts(
        catalog=CATALOG,
        read=read,
        recommender=ByPopularity(),
        writer=Writer(llm or Junk(), Verifier(CATALOG)),
        slate_items=3,
    )
    return Agent(parts, database)


def say(a: Agent, thread: str, text: str) -> Turn:
    done = [e for e in a.turn(thread, text) if e.kind == "done"]
    assert len(done) == 1 and done[0].turn is not None
    return done[0].turn


def test_a_refused_draft_never_reaches_the_person(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    events = list(a.turn("t", "a desk lamp please"))
    assert [e.kind for e in events if e.kind != "slate"] == ["sentence", "card", "card", "done"]
    assert all("Oscar" not in e.text for e in events)
    last = events[-1].turn
    assert last is not None and last.trace is not None
    assert {u.realised_by for u in last.units} == {"template"}
    assert last.trace.model_calls == 2  # a draft and one rewrite, then the plain frame
    assert [u.item_id for u in last.units if u.item_id] == ["l1", "l2"]


def test_constraints_hold_and_nothing_repeats(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    first = say(a, "t", "something under 100 €")
    second = say(a, "t", "more")
    ids = [u.item_id for turn in (first, second) for u in turn.units if u.item_id]
    assert len(ids) == len(set(ids)) == 4
    assert all(CATALOG.item(str(i)).values["price"] <= 100 for i in ids)
    assert say(a, "t", "more").act == "blocked"


def test_undo_brings_everything_back(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    states = [a.state("t")]
    for text in ("a desk lamp", "not by Ada Holm", "anything else?"):
        say(a, "t", text)
        states.append(a.state("t"))
    for before in reversed(states[:-1]):
        assert a.undo("t") == before
    assert a.undo("t") == DialogueState()
    say(a, "t", "a desk lamp")
    say(a, "t", "not by Ada Holm")
    assert say(a, "t", "undo").act == "undo"
    assert a.state("t").beliefs == states[1].beliefs
    assert len(a.state("t").turns) == 2


def test_a_turn_cut_off_is_finished_by_the_next_process(tmp_path: Path) -> None:
    database = tmp_path / "c.sqlite"
    broken = agent(database, Broken())
    with pytest.raises(LLMError, match="did not answer"):
        list(broken.turn("t", "a desk lamp"))
    # The message and everything up to the failing node were kept.
    assert broken.state("t").beliefs.clauses and broken.state("t").turns[-1].role == "user"
    healthy = agent(database)
    state = healthy.resume("t")
    assert [t.role for t in state.turns] == ["user", "agent"]
    assert state.slate.item_ids == ("l1", "l2")
    assert say(healthy, "t", "thanks").role == "agent"
    assert len(healthy.state("t").turns) == 4


def test_threads_are_isolated(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    kinds = ["desk", "floor", "bedside", "pendant"]

    def chat(k: int) -> bool:
        turn = say(a, f"t{k}", f"a {kinds[k % 4]} lamp")
        items = [CATALOG.item(str(u.item_id)) for u in turn.units if u.item_id]
        return bool(items) and all(i.values["kind"] == (kinds[k % 4].capitalize(),) for i in items)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(chat, range(32)))


def test_forgetting_a_belief_changes_the_next_slate(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    say(a, "t", "a desk lamp")
    assert a.forget("t", "clauses", 7) == a.state("t")
    assert a.forget("t", "clauses", 0).beliefs.clauses == ()
    ids = [u.item_id for u in say(a, "t", "more").units if u.item_id]
    assert ids == ["l3", "l4", "l5"]


def test_a_random_model_is_held_to_the_same_rules(tmp_path: Path) -> None:
    llm = TransformersLLM(load_small(tiny_folder(tmp_path / "model")))
    a = agent(tmp_path / "c.sqlite", llm)
    turn = say(a, "t", "a lamp under 100 €")
    assert len([u for u in turn.units if u.item_id]) == 3
    assert all("<" not in u.text for u in turn.units)


def test_an_unusable_database_is_a_clear_error(tmp_path: Path) -> None:
    bad = tmp_path / "c.sqlite"
    bad.write_bytes(b"this is not a database" * 100)
    with pytest.raises(MemoryError_, match=r"c\.sqlite.*PARLEY_HOME"):
        agent(bad)
