"""Things done on the page are turns: they change what they should, and undo takes them back."""

from pathlib import Path

import pytest

from agent.agent import Agent
from agent.errors import AgentError
from agent.state import (
    About,
    Action,
    Adventure,
    Mention,
    MoreLike,
    NotThis,
    Relax,
    Remove,
    Replace,
    SeenIt,
    Turn,
    Why,
    Wish,
)
from catalog.filters import Clause
from tests.agent.shop import CATALOG, agent, done, items, say

UNDER_100 = Clause(field="price", op="le", values=(100.0,))


def act(a: Agent, action: Action, thread: str = "t") -> Turn:
    return done(a.act(thread, action))


@pytest.fixture
def a(tmp_path: Path) -> Agent:
    return agent(tmp_path / "c.sqlite")


@pytest.mark.parametrize("taking_off", [NotThis, SeenIt])
def test_one_card_goes_and_the_others_keep_their_places(a: Agent, taking_off: type) -> None:
    first = say(a, "t", "something under 200 €")
    before = a.state("t")
    shown = items(first)
    events = list(a.act("t", taking_off(item_id=shown[1])))
    turn = done(iter(events))
    assert [items(turn)[k] for k in (0, 2)] == [shown[0], shown[2]]
    new = items(turn)[1]
    assert new not in shown
    kept = {u.item_id: u for u in before.slate.reasons}
    assert all(u == kept[u.item_id] for u in turn.units if u.item_id in kept)
    sentence = turn.units[0]
    titles = [CATALOG.item(i).title for i in (shown[1], new)]
    assert all(t in sentence.text for t in titles)
    assert {s.evidence.item_id for s in sentence.spans} == {shown[1], new}
    assert [e.kind for e in events] == ["slate", "sentence", "card", "card", "card", "done"]
    state = a.state("t")
    attitude = "reject" if taking_off is NotThis else "seen"
    assert [m.attitude for m in state.beliefs.mentions if m.item_id == shown[1]] == [attitude]
    assert state.slate.item_ids == tuple(items(turn)) and len(state.slate.reasons) == 3
    user = state.turns[-2]
    assert user.update is not None and user.update.read_by == "page"
    assert user.text.endswith(CATALOG.item(shown[1]).title)
    assert a.undo("t") == before


def test_with_nothing_to_fill_the_place_the_rest_stays(a: Agent) -> None:
    say(a, "t", "a desk lamp")
    turn = act(a, NotThis(item_id="l1"))
    assert items(turn) == ["l2"] and "nothing else" in turn.units[0].text
    assert act(a, NotThis(item_id="l2")).act == "blocked"


def test_a_card_of_an_older_slate_is_only_noted(a: Agent) -> None:
    old = items(say(a, "t", "something under 200 €"))
    new = a.state("t").slate if say(a, "t", "more") else None
    turn = act(a, SeenIt(item_id=old[0]))
    assert turn.slate is None and turn.units[0].realised_by == "template"
    assert a.state("t").slate == new
    assert a.state("t").beliefs.mentions[-1].attitude == "seen"


def test_more_like_anchors_the_next_slate(a: Agent) -> None:
    say(a, "t", "a desk lamp")
    turn = act(a, MoreLike(item_id="l2"))
    beliefs = a.state("t").beliefs
    assert [(m.item_id, m.attitude, m.relative) for m in beliefs.mentions] == [("l2", "like", True)]
    assert turn.act == "blocked"  # both desk lamps were shown: constraints still hold
    relaxed = act(a, Relax(clauses=a.state("t").plan.relax[0]))  # type: ignore[union-attr]
    assert items(relaxed) == ["l3", "l4", "l5"] and a.state("t").beliefs.clauses == ()


def test_why_is_answered_for_that_card(a: Agent) -> None:
    say(a, "t", "a desk lamp")
    before = a.state("t").slate
    turn = act(a, Why(item_id="l2"))
    assert turn.act == "why" and "Borealis" in turn.text and a.state("t").slate == before


def test_removing_ranks_anew_and_the_same_items_may_come_again(a: Agent) -> None:
    say(a, "t", "a desk lamp under 100 €")
    before = a.state("t")
    places = [k for k, c in enumerate(before.beliefs.clauses) if c.field == "kind"]
    turn = act(a, Remove(kind="clauses", places=tuple(places)))
    assert items(turn) == ["l1", "l2", "l4"] and turn.act == "refine"
    assert [c.field for c in a.state("t").beliefs.clauses] == ["price"]
    assert a.state("t").turns[-2].update.unsaid == ("desk",)  # type: ignore[union-attr]
    more = say(a, "t", "more")
    assert not {"l1", "l2", "l4"} & set(items(more))
    a.undo("t")
    assert a.undo("t") == before


def test_two_ends_of_a_range_go_together(a: Agent) -> None:
    say(a, "t", "a lamp from 2015 to 2020")
    assert len(a.state("t").beliefs.clauses) == 2
    act(a, Remove(kind="clauses", places=(0, 1)))
    assert a.state("t").beliefs.clauses == ()


def test_removing_before_anything_was_shown_forces_no_slate(a: Agent) -> None:
    say(a, "t", "hello")
    act(a, Adventure(level=0.5))
    state = a.state("t")
    assert state.beliefs.adventure == 0.5 and state.slate.item_ids == ()
    assert state.turns[-1].act == "chat" and state.turns[-1].text


def test_replacing_checks_the_new_belief(a: Agent) -> None:
    say(a, "t", "a lamp under 100 €")
    before = a.state("t")
    turn = act(a, Replace(kind="clauses", place=0, value=UNDER_100.model_copy(
        update={"values": (30.0,)})))  # fmt: skip
    assert items(turn) == ["l5"]
    assert [c.values for c in a.state("t").beliefs.clauses] == [(30.0,)]
    blocked = act(a, Replace(kind="clauses", place=0, value=UNDER_100.model_copy(
        update={"values": (1.0,)})))  # fmt: skip
    assert blocked.act == "blocked" and a.state("t").beliefs.clauses[0].values == (1.0,)
    a.undo("t")
    assert a.undo("t") == before


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (NotThis(item_id="x9"), r"'x9'.*8 items"),
        (Why(item_id="x9"), "'x9'"),
        (Remove(kind="clauses", places=(3,)), r"place 3.*clauses: 1 are held"),
        (Remove(kind="wishes", places=()), "No places"),
        (Replace(kind="clauses", place=0, value=About(text="x")), "About.*clauses.*Clause"),
        (Replace(kind="clauses", place=0, value=UNDER_100.model_copy(update={"field": "size"})),
         "'size'.*price"),
        (Replace(kind="clauses", place=0,
                 value=Clause(field="kind", op="any", values=("Desks",))), "'Desks'.*Desk"),
        (Replace(kind="wishes", place=0, value=Wish(scale="warmth", direction=1, said="")),
         "place 0 among the wishes: 0 are held"),
        (Relax(clauses=(Clause(field="year", op="ge", values=(2000.0,)),)), "year"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_a_clear_error_and_changes_nothing(
    a: Agent, action: Action, says: str
) -> None:
    say(a, "t", "a lamp under 100 €")
    before = a.state("t")
    with pytest.raises(AgentError, match=says):
        act(a, action)
    assert a.state("t") == before
    assert say(a, "t", "more").slate is not None


def test_an_unknown_scale_or_item_cannot_be_edited_in(a: Agent) -> None:
    say(a, "t", "like Comet but warmer")
    beliefs = a.state("t").beliefs
    assert beliefs.wishes and beliefs.mentions
    with pytest.raises(AgentError, match=r"'weight'.*warmth"):
        act(a, Replace(kind="wishes", place=0, value=Wish(scale="weight", direction=1, said="")))
    with pytest.raises(AgentError, match="'x9'"):
        swap = Mention(item_id="x9", said="", attitude="like")
        act(a, Replace(kind="mentions", place=0, value=swap))
    assert a.state("t").beliefs == beliefs


def test_the_dial_ranks_anew_and_stays(a: Agent) -> None:
    say(a, "t", "something under 200 €")
    turn = act(a, Adventure(level=1.0))
    assert turn.act == "refine" and turn.slate is not None
    assert a.state("t").beliefs.adventure == 1.0
    say(a, "t", "more")
    assert a.state("t").beliefs.adventure == 1.0
