"""The page's HTML text, over a shop of lamps: known answers, and nothing unescaped."""

import polars as pl
import pytest

from agent.state import About, Beliefs, DialogueState, Mention, Slate, Turn, Unit, Wish
from catalog.filters import Clause
from catalog.items import Catalog, Item
from page import render
from tests.agent.lamps import lamps

NASTY = "<script>alert(1)</script> & \"${1+1}\" {{title}} 'x'"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return lamps()


def clause(field: str, op: str, *values: str | float, turn: int = 0, said: str = "") -> Clause:
    return Clause.model_validate(
        {"field": field, "op": op, "values": values, "said": said, "turn": turn}
    )


def slate_turn() -> Turn:
    reasons = (
        Unit(text="It is made for reading.", item_id="l1"),
        Unit(text="A quiet floor lamp.", item_id="l3"),
    )
    slate = Slate(item_ids=("l1", "l3"), reasons=reasons)
    units = (Unit(text="Two lamps for you."), *reasons)
    return Turn(role="agent", text="all of it", act="recommend", slate=slate, units=units)


def test_a_slate_is_titles_in_the_chat_and_reasons_on_the_cards(catalog: Catalog) -> None:
    turn = slate_turn()
    state = DialogueState(turns=[Turn(role="user", text="a lamp"), turn], slate=turn.slate)
    chat = render.messages(state, catalog)
    assert [m["role"] for m in chat] == ["user", "assistant"]
    assert chat[1]["content"] == "Two lamps for you.\n1. Aurora (2019)\n2. Comet (2015)"
    cards = render.cards(state, catalog)
    assert cards.count('class="card"') == 2
    assert cards.index("Aurora") < cards.index("Comet")
    for text in ("It is made for reading.", "Ada Holm", "2019", "Desk", "40 €", 'data-item="l1"'):
        assert text in cards


def test_an_empty_conversation_says_what_will_stand_there(catalog: Catalog) -> None:
    state = DialogueState()
    assert render.messages(state, catalog) == []
    assert "Lamps stand here" in render.cards(state, catalog)
    assert "Nothing yet" in render.understood(state, catalog)


def test_an_item_that_left_the_catalogue_breaks_no_conversation(catalog: Catalog) -> None:
    slate = Slate(item_ids=("gone", "l2"))
    turn = Turn(role="agent", text="", act="recommend", slate=slate, units=(Unit(text="Two."),))
    state = DialogueState(
        turns=[turn],
        slate=slate,
        beliefs=Beliefs(mentions=(Mention(item_id="gone", said="it", attitude="like"),)),
    )
    (bubble,) = render.messages(state, catalog)
    assert "1. no longer in the catalogue\n2. Borealis" in bubble["content"]
    assert render.cards(state, catalog).count('class="card"') == 1
    assert "You liked gone" in render.understood(state, catalog)


def test_missing_facts_leave_no_empty_labels(catalog: Catalog) -> None:
    card = render.card(catalog.item("l6"), catalog, "", 1)  # a lamp without maker and price
    assert "Maker" not in card
    assert "None" not in card
    assert "reason" not in card


def test_beliefs_carry_words_turn_and_the_place_to_remove(catalog: Catalog) -> None:
    beliefs = Beliefs(
        clauses=(
            clause("year", "ge", 2010, said="from the 2010s"),
            clause("kind", "none", "Floor", said="no floor lamps", turn=2),
            clause("year", "le", 2019, said="from the 2010s"),
        ),
        wishes=(Wish(scale="warmth", direction=1, said="warmer", relative_to="l1", turn=2),),
        about=(About(text="for a reading corner", turn=0),),
        mentions=(Mention(item_id="l1", said="Aurora", attitude="dislike", turn=2),),
    )
    turns = [Turn(role=r, text="") for r in ("user", "agent", "user")]
    state = DialogueState.model_validate({"turns": turns, "beliefs": beliefs})
    rows = render.belief_rows(beliefs, catalog)
    assert [(kind, places) for kind, places, *_ in rows] == [
        ("clauses", "0,2"),  # both ends of the range go together
        ("clauses", "1"),
        ("wishes", "0"),
        ("about", "0"),
        ("mentions", "0"),
    ]
    html = render.understood(state, catalog)
    for text in (
        "Lamps from 2010 to 2019",
        "“from the 2010s”, message 1",
        "“no floor lamps”, message 2",
        "More warm than Aurora",
        "You did not like Aurora (2019)",
        'data-kind="clauses" data-places="0,2"',
    ):
        assert text in html


def test_nothing_written_by_others_becomes_markup() -> None:
    first = pl.col("id") == "l1"
    nasty = lamps()
    nasty.df = nasty.df.with_columns(
        title=pl.when(first).then(pl.lit(NASTY)).otherwise(pl.col("title")),
        kind=pl.when(first).then(pl.lit([NASTY])).otherwise(pl.col("kind")),
        maker=pl.when(first).then(pl.lit([NASTY])).otherwise(pl.col("maker")),
        link=pl.lit('https://example.org/"onmouseover="alert(1)'),
    )
    slate = Slate(item_ids=("l1",), reasons=(Unit(text=NASTY, item_id="l1"),))
    said = Mention(item_id="l1", said=NASTY, attitude="like", turn=0)
    beliefs = Beliefs(
        mentions=(said,),
        about=(About(text=NASTY, turn=0),),
        clauses=(clause("kind", "any", NASTY, said=NASTY),),
    )
    turns = [Turn(role="user", text=NASTY), slate_turn()]
    state = DialogueState(turns=turns, slate=slate, beliefs=beliefs)
    bubbles = "".join(str(m["content"]) for m in render.messages(state, nasty))
    for html in (render.cards(state, nasty), render.understood(state, nasty), bubbles):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert '"onmouseover' not in html


def test_only_web_addresses_become_links(catalog: Catalog) -> None:
    item = Item(id="l1", title="Aurora", values={}, link="javascript:alert(1)")
    assert "href" not in render.card(item, catalog, "", 1)


def test_common_categories_have_colours_far_apart(catalog: Catalog) -> None:
    hues = {
        float(render.colour(catalog.item(i), catalog).split("--hue: ")[1].split(";")[0])
        for i in ("l1", "l3", "l5", "l7")
    }
    assert len(hues) == 4
    apart = [min(abs(a - b), 360 - abs(a - b)) for a in hues for b in hues if a != b]
    assert min(apart) > 40
