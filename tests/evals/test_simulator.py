"""The simulated person: says its wants, judges cards by what is on them, and cannot cheat."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agent.state import Wish
from catalog.filters import Clause, compile
from catalog.items import Catalog
from evals.dialogues import Goal, Persona
from evals.goals import GoalError, Goals
from evals.persona import PersonaError, read_personas
from evals.phrasing import Phrases, slip
from evals.seen import Card, View, view
from evals.simulator import AgendaUser, visibly_broken
from tests.evals.shop import CHEAP, DESK, PERSONA, agent_turn, lamps

SHOP = lamps()


def user(goal: Goal, seed: int = 1, **persona: Any) -> AgendaUser:
    return AgendaUser(goal, PERSONA.model_copy(update=persona), SHOP.domain, seed)


def goal(*clauses: Clause, **more: Any) -> Goal:
    return Goal(id="g", clauses=clauses, **more)


def card(title: str, **facts: Any) -> Card:
    return Card(title, facts, "A fine lamp.")


def strings(thing: Any, seen: set[int] | None = None) -> Iterator[str]:
    """Every string reachable from an object, through attributes, containers and keys."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    assert not isinstance(thing, Catalog), "the person holds a catalogue"
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from strings(key, seen)
            yield from strings(value, seen)
    elif isinstance(thing, list | tuple | set | frozenset):
        for value in thing:
            yield from strings(value, seen)
    elif hasattr(thing, "__dict__"):
        yield from strings(vars(thing), seen)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_of_the_answer_is_in_the_person(seed: int) -> None:
    """Neither an id nor a title of an item that satisfies the goal, nor any catalogue."""
    found = Goals(SHOP).draw(random.Random(seed))
    person = AgendaUser(found, PERSONA, SHOP.domain, seed)
    answers = np.flatnonzero(compile(SHOP, found.clauses))
    titles = {SHOP.item(int(r)).title for r in answers}
    held = set(strings(person))
    assert len(held) > 100  # the walk really went in
    assert not titles & held
    assert not {SHOP.ids[int(r)] for r in answers} & held
    said = " ".join(
        [person.open(), *(person.reply(View("What would you like?")) for _ in range(5))]
    )
    assert not any(title.lower() in said.lower() for title in titles)


def test_what_it_says_does_not_depend_on_which_items_satisfy() -> None:
    """Another shop of the same domain, other items: word for word the same conversation."""
    found = goal(DESK, CHEAP, wishes=(Wish(scale="warmth", direction=1, said="warmer"),))
    replies = [View("Which kind?"), View("", (card("Zeta", kind=("Floor",), price=10.0),))]
    first = user(found)
    second = AgendaUser(
        found.model_copy(update={"matches": 7, "id": "other"}), PERSONA, SHOP.domain, 1
    )
    assert [first.open(), *map(first.reply, replies)] == [
        second.open(),
        *map(second.reply, replies),
    ]


def test_goals_are_satisfiable_deterministic_and_no_titles() -> None:
    goals = Goals(SHOP)
    for seed in range(20):
        found = goals.draw(random.Random(seed))
        assert found == goals.draw(random.Random(seed))
        assert found.matches == int(compile(SHOP, found.clauses).sum()) >= 1
        assert not {SHOP.row(i) for i in SHOP.ids if SHOP.item(i).title in found.likes} & set(
            np.flatnonzero(compile(SHOP, found.clauses)).tolist()
        )


def test_a_catalogue_without_facets_to_ask_for_is_refused() -> None:
    bare = lamps()
    bare.domain = bare.domain.model_copy(update={"facets": bare.domain.facets[5:]})
    with pytest.raises(GoalError, match="No facet"):
        Goals(bare)


def test_a_card_is_judged_by_its_facts() -> None:
    assert visibly_broken(card("x", kind=("Floor",)), DESK)
    assert not visibly_broken(card("x", kind=("Desk", "Floor")), DESK)
    assert not visibly_broken(card("x"), DESK)  # not on the card: no contradiction
    assert visibly_broken(card("x", price=120.0), CHEAP)
    none = Clause(field="kind", op="none", values=("Desk",))
    assert visibly_broken(card("x", kind=("Desk",)), none)


def test_a_broken_constraint_annoys_and_is_said_again() -> None:
    person = user(goal(DESK), disclosure=1.0)
    assert "desk" in person.open().lower()
    said = person.reply(View("Here.", (card("Comet", kind=("Floor",)),)))
    assert person.frustration > 0 and "desk" in said.lower()


def test_a_fitting_card_is_taken_and_remembered_by_its_place() -> None:
    person = user(goal(DESK), disclosure=1.0)
    person.open()
    person.reply(View("Two.", (card("Comet", kind=("Desk",)), card("Dusk", kind=("Desk",)))))
    assert person.ended == "accepted"
    assert person.chosen in ((0, 0), (0, 1))


def test_patience_runs_out() -> None:
    person = user(goal(DESK), disclosure=1.0, patience=1.5)
    person.open()
    for _ in range(4):
        if person.ended:
            break
        person.reply(View("", (card("Comet", kind=("Floor",)),)))
    assert person.ended == "gave_up"


def test_a_question_is_answered_with_what_it_asks_for() -> None:
    person = user(goal(DESK, CHEAP), disclosure=0.0, seed=3)
    person.agenda.sort(key=lambda w: w.field)
    assert "desk" in person.reply(View("Which kind of lamp would you like?")).lower()
    assert "100" in person.reply(View("What is your budget, what price?"))


def test_a_passing_wish_is_taken_back() -> None:
    dropped = Clause(field="maker", op="any", values=("Ada Holm",))
    found = goal(DESK, dropped=dropped)
    heard = []
    for seed in range(12):
        person = user(found, seed, disclosure=1.0)
        heard.append(person.open())
        for _ in range(3):
            if not person.ended:
                heard.append(person.reply(View("", (card("Comet", kind=("Desk",)),))))
    assert any("maker" in text for text in heard)


def test_phrases_say_clauses_in_the_words_of_the_domain() -> None:
    say = Phrases(SHOP.domain, PERSONA, random.Random(0))
    for _ in range(30):
        assert "desk" in say.clause([DESK]).lower()
        assert "100 €" in say.clause([CHEAP])
        start, end = (
            Clause(field="year", op="ge", values=(1990.0,)),
            Clause(field="year", op="le", values=(1999.0,)),
        )
        said = say.clause([start, end])
        assert "90s" in said or "nineties" in said


def test_slips_keep_short_words_and_are_repeatable() -> None:
    text = "a lamp of brilliant workmanship for reading 1999"
    slipped = slip(text, 1.0, random.Random(0))
    assert slipped != text and slipped == slip(text, 1.0, random.Random(0))
    assert "1999" in slipped and slipped.startswith("a ")
    assert slip(text, 0.0, random.Random(0)) == text


def test_the_view_is_what_stands_on_the_page() -> None:
    seen = view(agent_turn("Here you are.", ("l1",)), SHOP)
    assert seen.text == "Here you are." and seen.cards[0].title == "Aurora"
    assert set(seen.cards[0].facts) == {"kind", "maker", "price", "year", "note"}
    assert "l1" not in set(strings(seen))


def test_personas_are_read_and_bad_ones_named(tmp_path: Any) -> None:
    people = read_personas()
    assert len(people) >= 10 and len({p.name for p in people}) == len(people)
    assert {p.decision for p in people} == {"first", "careful", "explorer", "comparer"}
    (tmp_path / "p.yaml").write_text("- {name: a, patience: 0}\n")
    with pytest.raises(PersonaError, match="persona 1: patience"):
        read_personas(tmp_path)
    with pytest.raises(PersonaError, match=r"no \*.yaml"):
        read_personas(tmp_path / "none")
    assert Persona(name="a", patience=1).typos == 0.05
