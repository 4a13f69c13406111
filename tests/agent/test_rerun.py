"""Stepping in: the last turn again with other beliefs or other candidates."""

from pathlib import Path

import pytest

from agent.agent import Agent
from agent.errors import AgentError
from agent.state import Beliefs, DialogueState
from catalog.filters import Clause
from tests.agent.shop import agent, done, items, say

FLOOR = Clause(field="kind", op="any", values=("Floor",))


@pytest.fixture
def a(tmp_path: Path) -> Agent:
    return agent(tmp_path / "c.sqlite")


def test_with_other_beliefs_the_reply_is_another(a: Agent) -> None:
    say(a, "t", "hello")
    before = a.state("t")
    say(a, "t", "a desk lamp")
    turn = done(a.rerun("t", beliefs=Beliefs(clauses=(FLOOR,))))
    assert items(turn) == ["l3", "l4"]
    state = a.state("t")
    assert [t.role for t in state.turns] == ["user", "agent"] * 2
    assert state.turns[2].text == "a desk lamp"
    assert state.beliefs.clauses == (FLOOR,) and state.beliefs.shown == ("l3", "l4")
    assert a.undo("t") == before


def test_with_named_candidates_only_these_may_be_chosen(a: Agent) -> None:
    say(a, "t", "a lamp under 100 €")
    turn = done(a.rerun("t", candidates=["l5", "l7", "l2"]))
    assert sorted(items(turn)) == ["l2", "l5"]  # l7 costs 200: the constraint holds
    assert turn.trace is not None and turn.trace.mask is not None
    assert len(a.state("t").turns) == 2
    assert say(a, "t", "more").slate is not None
    assert a.state("t").plan.candidates == ()  # type: ignore[union-attr]


def test_both_at_once_and_twice(a: Agent) -> None:
    say(a, "t", "a desk lamp")
    done(a.rerun("t", candidates=["l1"]))
    turn = done(a.rerun("t", beliefs=Beliefs(clauses=(FLOOR,)), candidates=["l4", "l1"]))
    assert items(turn) == ["l4"] and len(a.state("t").turns) == 2


def test_candidates_that_break_every_constraint_are_blocked(a: Agent) -> None:
    say(a, "t", "a desk lamp")
    assert done(a.rerun("t", candidates=["l3"])).act == "blocked"


def test_a_turn_that_recommended_nothing_does_with_candidates(a: Agent) -> None:
    say(a, "t", "hello")
    assert items(done(a.rerun("t", candidates=["l8", "l1"]))) in (["l8", "l1"], ["l1", "l8"])


def test_unknown_ids_and_empty_threads_are_clear_errors(a: Agent) -> None:
    with pytest.raises(AgentError, match="say something first"):
        done(a.rerun("t", beliefs=Beliefs()))
    say(a, "t", "a desk lamp")
    before = a.state("t")
    with pytest.raises(AgentError, match=r"'x1'.*8 items.*2 of 3"):
        done(a.rerun("t", candidates=["l1", "x1", "x2"]))
    assert a.state("t") == before


def test_the_state_stays_small() -> None:
    assert len(DialogueState.model_fields) == 6
