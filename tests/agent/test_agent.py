"""The graph with its memory on the lamp shop: undo, resuming, isolation, nothing lost."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import LLMError, MemoryError_
from agent.llm import TransformersLLM
from agent.state import DialogueState
from tests.agent.shop import CATALOG, Broken, agent, say
from tests.tiny_lm import tiny_folder
from tools.small_model import load_small


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


def test_the_trace_says_what_happened(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    trace = say(a, "t", "something under 100 €").trace
    assert trace is not None and trace.mask is not None
    assert trace.nodes == ["understand", "policy", "recommend", "respond"]
    assert set(trace.seconds) == set(trace.nodes)
    assert (trace.mask.items, trace.mask.allowed) == (8, 4)
    assert trace.candidates == ["l1", "l2", "l4", "l5"] and len(trace.weights) == 4
    assert trace.order == ["l1", "l2", "l4"]
    assert [(c.node, c.role, c.tokens) for c in trace.calls] == [
        ("respond", "talk", 28), ("respond", "rewrite", 28),
    ]  # fmt: skip
    assert (trace.tokens, trace.prompt_tokens, trace.model_calls) == (56, 24, 2)
    assert sum("complaint" in v for v in trace.verdicts) == 8
