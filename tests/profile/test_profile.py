"""What is kept of a person: told, used, undone, edited, deleted, never another's."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from langgraph.store.memory import InMemoryStore

from agent import export
from agent.agent import Agent
from agent.errors import AgentError
from agent.profile import Held, Profiles
from agent.standing import joined, parted
from agent.state import Beliefs, DialogueState, NotThis, Remove, SeenIt, StateUpdate, Turn
from catalog.filters import Clause
from page.profile import panel, sentence
from tests.agent.shop import CATALOG, agent, done, items

NO_ADA = Clause(field="maker", op="none", values=("Ada Holm",), said="Ada Holm", scope="always")


@pytest.fixture
def a(tmp_path: Path) -> Iterator[Agent]:
    made = agent(tmp_path / "c.sqlite")
    yield made
    made.close()


def say(a: Agent, thread: str, text: str, user: str = "ann") -> Turn:
    return done(a.turn(thread, text, user=user))


def told(a: Agent, user: str = "ann") -> list[str]:
    return [sentence(known, a.catalog) for known in a.profiles.known(user)]


def test_always_and_seen_go_with_the_person_and_with_nobody_else(a: Agent) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    done(a.act("t1", SeenIt(item_id="l3"), user="ann"))
    assert told(a) == ["You know Comet already.", "You only want lamps not by Ada Holm."]
    shown = items(say(a, "t2", "something under 200 €"))
    assert shown == ["l4", "l7", "l8"]  # without Ada Holm's, and without Comet
    assert items(say(a, "t3", "something under 200 €", "bob")) == ["l1", "l2", "l3"]
    assert items(done(a.turn("t4", "something under 200 €"))) == ["l1", "l2", "l3"]
    assert told(a, "bob") == [] and a.profiles.held("anonymous") is None


def test_it_survives_a_restart_and_names_where_it_was_said(a: Agent, tmp_path: Path) -> None:
    say(a, "t1", "hello")
    say(a, "t1", "I never want lamps by Ada Holm")
    again = agent(tmp_path / "c.sqlite")
    [known] = again.profiles.known("ann")
    assert (known.source, known.message, known.said) == ("t1", 1, "Ada Holm")
    again.close()


def test_tonight_is_not_always(a: Agent) -> None:
    say(a, "t1", "no lamps by Ada Holm tonight")
    assert told(a) == []


def test_a_sentence_deleted_changes_the_next_slate_even_in_the_conversation_that_said_it(
    a: Agent,
) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    say(a, "t2", "something under 200 €")
    [known] = a.profiles.known("ann")
    a.profiles.drop("ann", known.key)
    for thread in ("t1", "t2", "t3"):
        say(a, thread, "something under 200 €")
        assert all(c.field != "maker" for c in a.state(thread).beliefs.clauses), thread
    assert items(say(a, "t9", "something under 200 €")) == ["l1", "l2", "l3"]
    assert told(a) == []  # and the conversations that said it do not bring it back
    say(a, "t1", "I never want lamps by Ada Holm")
    assert len(told(a)) == 1  # saying it again does


def test_a_chip_taken_off_stays_off_in_this_conversation_only(a: Agent) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    say(a, "t2", "something under 200 €")
    place = next(k for k, c in enumerate(a.state("t2").beliefs.clauses) if c.field == "maker")
    off = done(a.act("t2", Remove(kind="clauses", places=(place,)), user="ann"))
    assert items(off) == ["l1", "l2", "l3"]
    say(a, "t2", "anything else?")
    assert all(c.field != "maker" for c in a.state("t2").beliefs.clauses)
    assert len(told(a)) == 1
    assert "l1" not in items(say(a, "t3", "something under 200 €"))


def test_undo_takes_back_what_the_turn_added(a: Agent) -> None:
    say(a, "t1", "a desk lamp")
    before = a.profiles.known("ann")
    done(a.act("t1", SeenIt(item_id="l1"), user="ann"))
    say(a, "t1", "I never want lamps by Ben Ruiz")
    assert len(told(a)) == 2
    a.undo("t1")
    assert told(a) == ["You know Aurora already."]
    say(a, "t1", "undo")
    assert a.profiles.known("ann") == before == []


def test_editing_a_message_forgets_what_it_had_told(a: Agent) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    turn = done(a.edit("t1", 0, "a desk lamp", user="ann"))
    assert items(turn) == ["l1", "l2"] and told(a) == []


def test_refused_counts_against_and_choices_are_not_offered_again(a: Agent) -> None:
    say(a, "t1", "a desk lamp")
    done(a.act("t1", NotThis(item_id="l2"), user="ann"))
    say(a, "t1", "I'll take the first one")
    assert told(a) == ["You chose Aurora.", "You turned Borealis down."]
    held = a.profiles.held("ann")
    assert held and held.refused == {"l2"} and held.known == {"l1"} and held.liked == ("l1",)
    assert "l1" not in items(say(a, "t2", "a desk lamp"))


def test_an_edited_sentence_takes_the_old_ones_place(a: Agent) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    [known] = a.profiles.known("ann")
    other = NO_ADA.model_copy(update={"values": ("Ben Ruiz",)})
    a.profiles.edit("ann", known.key, known.model_copy(update={"key": "k2", "clause": other}))
    assert told(a) == ["You only want lamps not by Ben Ruiz."]
    assert items(say(a, "t2", "something under 200 €"))[:2] == ["l1", "l2"]
    with pytest.raises(AgentError, match="not in your profile"):
        a.profiles.drop("ann", known.key)


def test_deleting_a_conversation_deletes_what_it_told(a: Agent) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    a.delete("t1", user="ann")
    assert told(a) == []


def test_what_this_conversation_says_comes_before_what_always_holds() -> None:
    cheap = Clause(field="price", op="le", values=(50.0,), scope="always")
    dear = Clause(field="price", op="le", values=(150.0,), turn=0)
    held = Held(clauses=(cheap, NO_ADA))
    beliefs = joined(Beliefs(clauses=(dear,)), held, CATALOG)
    assert [(c.field, c.turn) for c in beliefs.clauses] == [("price", 0), ("maker", -1)]
    assert joined(beliefs, held, CATALOG) is beliefs
    merged = beliefs.model_copy(
        update={
            "clauses": (
                NO_ADA.model_copy(
                    update={"values": ("Ada Holm", "Ben Ruiz"), "turn": 1, "scope": "now"}
                ),
            )
        }
    )
    left = parted(merged, Held(clauses=(cheap,)), 2)
    assert [c.values for c in left.clauses] == [("Ben Ruiz",)]


def test_facets_of_another_catalogue_are_left_out() -> None:
    other = Clause(field="runtime", op="le", values=(90.0,), scope="always")
    assert joined(Beliefs(), Held(clauses=(other,)), CATALOG).clauses == ()


def test_the_store_is_langgraphs_so_any_of_its_stores_will_do() -> None:
    profiles = Profiles(InMemoryStore())
    state = DialogueState(
        turns=[Turn(role="user", text="x", update=StateUpdate(intent="critique", add=(NO_ADA,)))]
    )
    profiles.note("t", "a.b/ c", state, CATALOG)
    assert [k.clause for k in profiles.known("a.b/ c")] == [NO_ADA]
    assert profiles.known("a") == profiles.known("a.b") == []
    profiles.note("t", "a.b/ c", DialogueState(), CATALOG)
    assert profiles.known("a.b/ c") == []
    with pytest.raises(AgentError, match="nobody's own name"):
        profiles.add("api", "f.csv", [])


def test_forget_me_deletes_everything_from_the_file_too(a: Agent, tmp_path: Path) -> None:
    say(a, "t1", "I never want lamps by Ada Holm, quoth the walrus")
    say(a, "t2", "hello from the walrus")
    say(a, "t3", "hello from the carpenter", "bob")
    a.feedback.give("t1", "ann", a.state("t1"), 1, "thumb_up")
    assert "walrus" in on_disk(tmp_path)
    a.forget("ann")
    assert a.conversations("ann") == [] and told(a) == []
    assert not a.state("t1").turns and not a.state("t2").turns
    assert a.keeping.export("ann")["others"] == {}
    assert "walrus" not in on_disk(tmp_path) and "carpenter" in on_disk(tmp_path)
    assert len(a.state("t3").turns) == 2


def on_disk(folder: Path) -> str:
    """All bytes of the database's files, as text."""
    return "".join(f.read_bytes().decode("latin-1") for f in folder.glob("c.sqlite*"))


def test_forgetting_is_asked_for_in_the_chat_and_asked_back(a: Agent) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    assert "Shall I delete everything" in say(a, "t2", "Please forget everything about me").text
    assert "delete" not in say(a, "t2", "a desk lamp").text and told(a)
    say(a, "t2", "forget everything you know about me.")
    assert (
        say(a, "t2", "yes, delete everything").text == "Everything that I kept of you is deleted."
    )
    assert told(a) == [] and a.conversations("ann") == [] and not a.state("t2").turns
    for text in ("forget about horror", "yes", "delete that one", "forget all that, a desk lamp"):
        assert "Shall I" not in say(a, "t3", text).text


def test_one_without_a_name_loses_this_conversation_only(a: Agent) -> None:
    for thread in ("t1", "t2"):
        say(a, thread, "a desk lamp", "anonymous")
    say(a, "t1", "forget me", "anonymous")
    say(a, "t1", "yes", "anonymous")
    assert not a.state("t1").turns and a.state("t2").turns


def test_the_export_holds_everything_and_reads_back(a: Agent, tmp_path: Path) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    a.feedback.give("t1", "ann", a.state("t1"), 1, "thumb_up")
    whole = json.loads(json.dumps(a.keeping.export("ann")))
    assert whole["conversations"][0]["state"]["turns"][0]["text"].startswith("I never")
    assert whole["profile"][0]["known"][0]["clause"]["values"] == ["Ada Holm"]
    assert whole["others"]["feedback"][0]["kind"] == "thumb_up"
    with pytest.raises(AgentError, match="cannot be written"):
        export.write("{}", tmp_path / "no" / "where.json")
    with pytest.raises(AgentError, match="many share"):
        a.keeping.export("anonymous")


def test_old_conversations_are_deleted_and_their_sentences_stay_without_words(a: Agent) -> None:
    say(a, "t1", "I never want lamps by Ada Holm")
    say(a, "t2", "a desk lamp")
    assert a.keeping.expire(1) == 0
    place = ("conversations", "ann")
    entry = a.history.store.get(place, "t1")
    assert entry is not None
    old = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    a.history.store.put(place, "t1", {**entry.value, "updated": old}, index=False)
    assert a.keeping.expire(1) == 1
    assert [c.thread for c in a.conversations("ann")] == ["t2"] and not a.state("t1").turns
    [known] = a.profiles.known("ann")
    assert (known.said, known.source) == ("", "") and known.clause is not None


def test_the_panel_escapes_what_people_and_catalogues_write(a: Agent) -> None:
    nasty = NO_ADA.model_copy(update={"said": "<b>x", "field": "nowhere", "values": ("<i>",)})
    state = DialogueState(
        turns=[Turn(role="user", text="x", update=StateUpdate(intent="critique", add=(nasty,)))]
    )
    a.profiles.note("t", "ann", state, CATALOG)
    html = panel(a, "ann")
    assert "<b>" not in html and "<i>" not in html and "&lt;b&gt;x" in html
