"""The critique algebra on small known answers."""

import pytest

from agent.beliefs import add_clauses, apply, excluded, visible
from agent.state import About, Beliefs, Mention, StateUpdate, Turn, Wish
from catalog.filters import Clause


def clause(field: str, op: str, *values: float | str) -> Clause:
    return Clause(field=field, op=op, values=values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "new", "result"),
    [
        # later beats earlier on the same side
        ([("year", "ge", 2000)], [("year", "ge", 2010)], [("year", "ge", 2010)]),
        # both ends of a range live together
        (
            [("year", "ge", 1990)],
            [("year", "le", 1999)],
            [("year", "ge", 1990), ("year", "le", 1999)],
        ),
        # an end that contradicts the other replaces it
        ([("year", "le", 1980)], [("year", "ge", 2000)], [("year", "ge", 2000)]),
        # a new "any of" replaces the old one
        ([("genre", "any", "A")], [("genre", "any", "B")], [("genre", "any", "B")]),
        # refusals add up
        ([("genre", "none", "A")], [("genre", "none", "B")], [("genre", "none", "A", "B")]),
        # wanting what was refused lifts the refusal, and the other way round
        ([("genre", "none", "A", "B")], [("genre", "any", "A")],
         [("genre", "none", "B"), ("genre", "any", "A")]),
        ([("genre", "any", "A")], [("genre", "none", "A")], [("genre", "none", "A")]),
        # other facets are untouched
        ([("genre", "any", "A")], [("year", "ge", 5)], [("genre", "any", "A"), ("year", "ge", 5)]),
    ],
)  # fmt: skip
def test_later_clauses_edit_earlier_ones(held: list, new: list, result: list) -> None:
    got = add_clauses(tuple(clause(*c) for c in held), [clause(*c) for c in new])
    assert [(c.field, c.op, *c.values) for c in got] == result


def test_retract_comes_before_add_and_leaves_the_argument_alone() -> None:
    before = Beliefs(
        clauses=(clause("year", "ge", 2000), clause("genre", "any", "A")),
        wishes=(Wish(scale="pace", direction=1, said="less slow"),),
        about=(About(text="grief"),),
    )
    update = StateUpdate(
        intent="critique", retract=("year", "pace", "about"), add=(clause("genre", "any", "B"),)
    )
    after = apply(before, update)
    assert [(c.field, c.values) for c in after.clauses] == [("genre", ("B",))]
    assert after.wishes == () and after.about == ()
    assert len(before.clauses) == 2 and len(before.wishes) == 1


def test_latest_attitude_wins_but_neutral_keeps_the_old_one() -> None:
    liked = Beliefs(mentions=(Mention(item_id="x", said="X", attitude="like"),))
    neutral = StateUpdate(
        intent="recommend", mentions=(Mention(item_id="x", said="x", attitude="neutral"),)
    )
    assert apply(liked, neutral).mentions[0].attitude == "like"
    refused = StateUpdate(
        intent="reject", mentions=(Mention(item_id="x", said="x", attitude="reject"),)
    )
    assert apply(liked, refused).mentions[0].attitude == "reject"


def test_a_new_anchor_takes_over_from_the_old_one() -> None:
    first = Mention(item_id="a", said="A", attitude="like", relative=True)
    second = Mention(item_id="b", said="B", attitude="like", relative=True)
    held = apply(Beliefs(mentions=(first,)), StateUpdate(intent="critique", mentions=(second,)))
    assert {m.item_id: m.relative for m in held.mentions} == {"a": False, "b": True}


def test_a_new_subject_leaves_what_was_about_the_last_one() -> None:
    held = Beliefs(
        mentions=(Mention(item_id="a", said="A", attitude="like", relative=True),),
        wishes=(
            Wish(scale="pace", direction=1, said="less slow", relative_to="a"),
            Wish(scale="humour", direction=1, said="funny"),
        ),
        about=(About(text="robots"),),
    )
    update = StateUpdate(intent="critique", about=(About(text="chess"),), retract=("about",))
    after = apply(held, update)
    assert [w.said for w in after.wishes] == ["funny"]
    assert [a.text for a in after.about] == ["chess"]
    assert not after.mentions[0].relative


def test_starting_over_keeps_what_was_shown_and_refused() -> None:
    held = Beliefs(
        clauses=(clause("year", "ge", 2000),),
        mentions=(
            Mention(item_id="a", said="A", attitude="like"),
            Mention(item_id="b", said="B", attitude="seen"),
        ),
        shown=("c",),
    )
    fresh = apply(held, StateUpdate(intent="reset", retract=("all",)))
    assert fresh.clauses == () and excluded(fresh) == {"b", "c"}


def test_items_only_asked_about_are_not_shown_as_beliefs() -> None:
    asked = StateUpdate(intent="ask_fact")
    told = StateUpdate(intent="recommend")
    turns = [Turn(role="user", text="", update=u) for u in (asked, told, None)]
    mentions = (
        Mention(item_id="a", said="A", attitude="neutral", turn=0),  # "who directed A?"
        Mention(item_id="b", said="B", attitude="neutral", turn=1),
        Mention(item_id="c", said="C", attitude="like", turn=0),
        Mention(item_id="d", said="D", attitude="neutral", turn=0, relative=True),
        Mention(item_id="e", said="E", attitude="neutral", turn=9),
    )
    beliefs = Beliefs(mentions=mentions, clauses=(clause("year", "ge", 2000),))
    assert visible(beliefs, turns)["mentions"] == (1, 2, 3, 4)
    assert visible(beliefs)["mentions"] == (0, 1, 2, 3, 4)
    assert visible(beliefs)["clauses"] == (0,) and visible(beliefs)["about"] == ()


def test_what_is_on_the_slate_may_come_again_but_not_what_was_named() -> None:
    held = Beliefs(shown=("a", "b"), mentions=(Mention(item_id="b", said="B", attitude="seen"),))
    assert excluded(held) == {"a", "b"} and excluded(held, again=("a", "b")) == {"b"}
