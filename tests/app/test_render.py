"""The page's HTML text, over a shop of lamps: known answers, and nothing unescaped."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from agent.history import Conversation
from agent.state import (
    About,
    Beliefs,
    DialogueState,
    Evidence,
    Mention,
    Plan,
    Slate,
    Span,
    StateUpdate,
    Turn,
    Unit,
    Wish,
)
from catalog.filters import Clause
from catalog.items import Catalog, Item
from page import cards, history, known, proof, talk
from page.server import image_path
from tests.agent.lamps import lamps

NASTY = "<script>alert(1)</script> & \"${1+1}\" {{title}} 'x' <img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return lamps()


def clause(field: str, op: str, *values: str | float, turn: int = 0, said: str = "") -> Clause:
    return Clause.model_validate(
        {"field": field, "op": op, "values": values, "said": said, "turn": turn}
    )


def unit(text: str, piece: str = "", evidence: Evidence | None = None, item: str = "") -> Unit:
    start = text.index(piece)
    spans = (Span(start=start, end=start + len(piece), evidence=evidence),) if evidence else ()
    return Unit(text=text, spans=spans, item_id=item or None)


def shown(*item_ids: str, act: str = "recommend") -> Turn:
    reasons = tuple(Unit(text=f"A reason for {i}.", item_id=i) for i in item_ids)
    slate = Slate(item_ids=item_ids, reasons=reasons)
    units = (Unit(text="Lamps for you."), *reasons)
    return Turn.model_validate(
        {"role": "agent", "text": "", "act": act, "slate": slate, "units": units}
    )


def test_cards_stand_under_the_reply_they_belong_to(catalog: Catalog) -> None:
    turns = [
        Turn(role="user", text="a lamp"),
        shown("l1", "l3"),
        Turn(role="user", text="others?"),
        shown("l2"),
    ]
    first, second = talk.conversation(DialogueState(turns=turns), catalog)
    assert "a lamp" in first and "others?" in second
    assert first.index("Lamps for you.") < first.index("Aurora") < first.index("Comet")
    assert "Borealis" in second and "Borealis" not in first
    for text in ("Ada Holm", "2019", "Desk", "40 €", 'data-item="l1"', "A reason for l1."):
        assert text in first
    for do in ("more_like", "not_this", "seen_it", "why"):
        assert f'data-do="{do}"' in first
    assert 'aria-label="Compare Aurora"' in first


def test_only_what_came_before_a_stop_is_shown(catalog: Catalog) -> None:
    turn = shown("l1", "l2").model_copy(update={"stopped": True})
    html = talk.reply(turn, catalog)
    assert html.count('class="card"') == 2 and "Stopped." in html


def test_a_message_without_a_reply_offers_to_go_on(catalog: Catalog) -> None:
    state = DialogueState(turns=[Turn(role="user", text="a lamp")])
    (html,) = talk.conversation(state, catalog)
    assert 'data-turn="resume"' in html and "kept" in html


def test_what_was_done_on_the_page_is_a_quiet_line(catalog: Catalog) -> None:
    update = StateUpdate(intent="reject", read_by="page")
    state = DialogueState(turns=[Turn(role="user", text="Not Aurora", update=update)])
    (html,) = talk.conversation(state, catalog)
    assert 'class="did"' in html and "data-edit" not in html


def test_offers_are_buttons_of_the_newest_reply_only(catalog: Catalog) -> None:
    ask = Turn(role="agent", text="", act="ask", units=(Unit(text="Which kind?"),))
    turns = [Turn(role="user", text="hi"), ask, Turn(role="user", text="hm"), ask]
    plan = Plan(act="ask", facet="kind", options=("desk", "floor"))
    first, second = talk.conversation(DialogueState(turns=turns, plan=plan), catalog)
    assert "data-say" not in first
    assert 'data-say="desk"' in second and 'data-say="floor"' in second
    blocked = Turn(role="agent", text="", act="blocked", units=(Unit(text="None."),))
    relax = Plan(act="blocked", relax=((clause("price", "le", 1.0),),))
    state = DialogueState(turns=[Turn(role="user", text="free"), blocked], plan=relax)
    (html,) = talk.conversation(state, catalog)
    assert 'data-relax="0"' in html and "Drop “At most 1 €”" in html


def test_an_item_that_left_the_catalogue_breaks_no_conversation(catalog: Catalog) -> None:
    turn = shown("gone", "l2")
    mention = Mention(item_id="gone", said="it", attitude="like", turn=0)
    state = DialogueState(
        turns=[Turn(role="user", text="hm"), turn], beliefs=Beliefs(mentions=(mention,))
    )
    (html,) = talk.conversation(state, catalog)
    assert "no longer" in html and html.count('class="card"') == 1
    assert "gone" in known.understood(state, catalog)


def test_missing_facts_leave_no_empty_labels(catalog: Catalog) -> None:
    html = cards.card("l6", Unit(text=""), catalog, 1)  # a lamp without maker and price
    assert "Maker" not in html
    assert "None" not in html
    assert 'class="reason"' not in html


def test_a_claim_shows_the_field_it_rests_on(catalog: Catalog) -> None:
    evidence = Evidence(slot="<i1.maker>", text="Ada Holm", item_id="l1", field="maker")
    html = proof.unit_html(unit("It is by Ada Holm, once.", "Ada Holm", evidence), catalog)
    assert html.startswith("It is by <span") and html.endswith("</span>, once.")
    for text in ('tabindex="0"', 'data-label="Maker of Aurora"', 'data-value="Ada Holm"'):
        assert text in html
    assert f'data-source="{proof.SOURCES["fact"]}"' in html


def test_the_whole_list_stands_behind_a_shortened_one(catalog: Catalog) -> None:
    nasty = lamps()
    nasty.df = nasty.df.with_columns(uses=pl.lit(["reading", "sleep", "dining"]))
    evidence = Evidence(slot="<i1.tag>", text="reading", item_id="l1", field="uses")
    label, value = proof.field_of(evidence, nasty)
    assert (label, value) == ("Uses", "reading, sleep, dining")


def test_a_number_shows_its_unit(catalog: Catalog) -> None:
    evidence = Evidence(slot="<i1.amount>", text="40 €", item_id="l1", field="price")
    assert proof.field_of(evidence, catalog) == ("Price", "40 €")


def test_how_many_and_of_what_claim_nothing(catalog: Catalog) -> None:
    evidence = Evidence(slot="<count>", text="three", source="computed")
    assert proof.unit_html(unit("Here are three.", "three", evidence), catalog) == "Here are three."


def test_the_persons_own_words_are_found_again(catalog: Catalog) -> None:
    update = StateUpdate(intent="recommend", add=(clause("price", "le", 50.0, said="not dear"),))
    turns = [Turn(role="user", text="not dear please", update=update)]
    evidence = Evidence(slot="<c1>", text="of at most 50 €", field="price", source="user")
    assert proof.words_for(evidence, turns) == ("not dear", 0)
    reason = unit("It fits: of at most 50 €.", "of at most 50 €", evidence, "l1")
    html = cards.card("l1", reason, catalog, 1, turns=turns)
    assert 'class="quote" href="#message-0"' in html and "You said “not dear”" in html
    assert proof.words_for(evidence, []) is None


def beliefs_state() -> DialogueState:
    beliefs = Beliefs(
        clauses=(
            clause("year", "ge", 2010, said="from the 2010s"),
            clause("kind", "none", "Floor", said="no floor lamps", turn=2),
            clause("year", "le", 2019, said="from the 2010s"),
        ),
        wishes=(Wish(scale="warmth", direction=1, said="warmer", relative_to="l1", turn=2),),
        about=(About(text="for a reading corner", turn=0),),
        mentions=(
            Mention(item_id="l1", said="Aurora", attitude="dislike", turn=2),
            Mention(item_id="l2", said="the second", attitude="neutral", turn=4),
            Mention(item_id="l3", said="Comet", attitude="seen", turn=2),
        ),
        adventure=0.5,
    )
    asked = StateUpdate(intent="ask_fact")
    turns = [Turn(role=r, text="") for r in ("user", "agent", "user", "agent")]
    turns.append(Turn(role="user", text="who made the second?", update=asked))
    return DialogueState.model_validate({"turns": turns, "beliefs": beliefs})


def test_chips_are_grouped_and_know_where_they_came_from(catalog: Catalog) -> None:
    state = beliefs_state()
    held = known.chips(state.beliefs, catalog, state.turns)
    assert [(c.group, c.kind, c.places) for c in held] == [
        ("must", "clauses", (0, 2)),  # both ends of the range go together
        ("must", "clauses", (1,)),
        ("dislike", "mentions", (0,)),
        ("seen", "mentions", (2,)),  # what was only asked about is not listed
        ("wish", "wishes", (0,)),
        ("about", "about", (0,)),
    ]
    html = known.understood(state, catalog)
    for text in (
        "From 2010 to 2019",
        "“from the 2010s” · message 1",
        "“no floor lamps” · message 2",
        "More warm than Aurora",
        "Aurora (2019)",
        'data-remove="0,2" data-kind="clauses"',
        'value="0.5"',
    ):
        assert text in html
    assert "Borealis" not in html


def test_editors_are_typed_by_what_they_edit(catalog: Catalog) -> None:
    html = known.understood(beliefs_state(), catalog)
    assert html.count('name="number" type="number"') == 2  # from and until
    assert 'list="values-kind"' in html
    assert 'name="attitude"' in html and '<option value="dislike" selected>' in html
    assert '<option value="1" selected>more warm' in html
    assert 'name="text"' in html


def test_nothing_understood_yet_says_what_will_stand_there(catalog: Catalog) -> None:
    html = known.understood(DialogueState(), catalog)
    assert "Nothing yet" in html and 'id="adventure"' in html and "disabled" in html


def test_nothing_written_by_others_becomes_markup() -> None:
    first = pl.col("id") == "l1"
    nasty = lamps()
    nasty.df = nasty.df.with_columns(
        title=pl.when(first).then(pl.lit(NASTY)).otherwise(pl.col("title")),
        kind=pl.when(first).then(pl.lit([NASTY])).otherwise(pl.col("kind")),
        maker=pl.when(first).then(pl.lit([NASTY])).otherwise(pl.col("maker")),
        link=pl.lit('https://example.org/"onmouseover="alert(1)'),
    )
    evidence = Evidence(slot="<i1.maker>", text=NASTY, item_id="l1", field="maker")
    reason = unit(NASTY, NASTY, evidence, "l1")
    slate = Slate(item_ids=("l1",), reasons=(reason,))
    agent = Turn(role="agent", text=NASTY, act="ask", slate=slate, units=(reason, Unit(text=NASTY)))
    beliefs = Beliefs(
        mentions=(Mention(item_id="l1", said=NASTY, attitude="like", turn=0),),
        about=(About(text=NASTY, turn=0),),
        clauses=(clause("kind", "any", NASTY, said=NASTY),),
    )
    state = DialogueState(
        turns=[Turn(role="user", text=NASTY), agent],
        beliefs=beliefs,
        plan=Plan(act="ask", options=(NASTY,)),
    )
    past = [Conversation(thread="0" * 32, title=NASTY, updated=datetime.now(UTC), messages=1)]
    for html in (
        *talk.conversation(state, nasty),
        known.understood(state, nasty),
        history.history(past),
        talk.pending(NASTY, 0, quiet=False),
        talk.trouble(NASTY, again="resume"),
    ):
        assert "<script" not in html
        assert "<img" not in html
        assert "&lt;script&gt;" in html
        assert '"onmouseover' not in html


def test_only_web_addresses_become_links(catalog: Catalog) -> None:
    bad = lamps()
    bad.df = bad.df.with_columns(link=pl.lit("javascript:alert(1)"))
    assert "href" not in cards.card("l1", Unit(text="x"), bad, 1)


def test_common_categories_have_colours_far_apart(catalog: Catalog) -> None:
    hues = {
        float(cards.colour(catalog.item(i), catalog).split("--hue: ")[1].split(";")[0])
        for i in ("l1", "l3", "l5", "l7")
    }
    assert len(hues) == 4
    apart = [min(abs(a - b), 360 - abs(a - b)) for a in hues for b in hues if a != b]
    assert min(apart) > 40


def test_images_are_ours_or_allowed() -> None:
    item = Item(id="a b&c", title="A", values={}, image="images/a.png")
    assert cards.image_address(item, False) == "/parley/image?item=a+b%26c"
    far = item.model_copy(update={"image": "https://example.org/a.png"})
    assert cards.image_address(far, False) is None
    assert cards.image_address(far, True) == "https://example.org/a.png"


def test_no_image_is_served_from_outside_the_catalogue(tmp_path: Path) -> None:
    shop = lamps()
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "l1.png").write_bytes(b"png")
    (folder / "secret.txt").write_text("no")
    (tmp_path / "other.png").write_bytes(b"no")
    shop.path = folder
    for name, served in (
        ("images/l1.png", True),
        ("../other.png", False),
        ("secret.txt", False),
        ("images/none.png", False),
        (str(tmp_path / "other.png"), False),
    ):
        shop.df = shop.df.with_columns(image=pl.lit(name))
        assert (image_path(shop, "l1") is not None) == served, name


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=7), "7 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(hours=30), "yesterday"),
        (timedelta(days=40), "10 Oct"),
        (timedelta(days=400), "15 Oct 2025"),
    ],
)
def test_times_read_as_people_say_them(passed: timedelta, words: str) -> None:
    now = datetime(2026, 11, 19, 12, tzinfo=UTC)
    assert history.ago(now - passed, now) == words
