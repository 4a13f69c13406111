"""The reply rows: the grammar, the truth of what it says, and the files that come out."""

import json
import random
import re
from collections import defaultdict
from pathlib import Path

import pytest

from agent.evidence import ties
from agent.state import Beliefs, Evidence
from agent.talker import required
from agent.verify import Verifier, realise
from catalog.filters import Clause
from catalog.items import Catalog
from tests.agent.lamps import lamps
from training.reply_grammar import Grammar, GrammarError, Scene, tidy
from training.reply_grammar.briefs import ACTS, Case, Cases, bare, earned
from training.reply_rows import Speaker, as_typed, check_words, generate, statistics, write

BUNDLED = Path(__file__).resolve().parents[2] / "catalog" / "data" / "movies"
FILM_WORDS = {"movie", "movies", "film", "films", "watch", "watching", "read", "reading", "book"}


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar.read()


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return lamps()


def speaker(grammar: Grammar, catalog: Catalog, seed: int = 0) -> Speaker:
    return Speaker(grammar, Verifier(catalog), random.Random(seed))


def all_sayings(text: str, offered: str, tries: int = 300) -> set[str]:
    grammar = Grammar({"rule": text, "name": "Ann\nBob"})
    rng = random.Random(1)
    scene = Scene(offered=frozenset(offered.split()))
    return {grammar.say("rule", rng, scene).text for _ in range(tries)}


def test_a_line_says_exactly_its_choices() -> None:
    assert all_sayings("[very ](good|fine), {name}.", "") == {
        f"{a}, {b}." for a in ("Very good", "Good", "Very fine", "Fine") for b in ("Ann", "Bob")
    }


def test_slots_that_are_not_on_offer_close_a_branch() -> None:
    text = "with <m1>[ and <m2>].\n{-<m1>}nothing.\n{+<c1>}{-<m1>}asked."
    assert all_sayings(text, "<m1>") == {"With <m1>."}
    assert all_sayings(text, "<m1> <m2>") == {"With <m1>.", "With <m1> and <m2>."}
    assert all_sayings(text, "<c1>") == {"Nothing.", "Asked."}


def test_a_slot_is_used_once_and_an_impossible_rule_is_an_error() -> None:
    assert all_sayings("<m1> (and <m1>|again).", "<m1>") == {"<m1> again."}
    with pytest.raises(GrammarError, match="cannot be said"):
        all_sayings("for <u1>.", "<m1>")


@pytest.mark.parametrize("text", ["(a|b", "a]", "[a", "<i1.title"])
def test_a_line_that_does_not_parse_names_itself(text: str) -> None:
    with pytest.raises(GrammarError, match="does not parse"):
        Grammar({"rule": text})


def test_the_same_is_said_of_both_sides() -> None:
    grammar = Grammar({"rule": "{side}, {other}.", "side": "<i1.title> is <i1.date>"})
    offered = frozenset(("<i1.title>", "<i1.date>", "<i2.title>", "<i2.date>"))
    said = grammar.say("rule", random.Random(0), Scene(offered=offered))
    assert said.text == "<i1.title> is <i1.date>, <i2.title> is <i2.date>."


def test_tidy_sets_capitals_and_stops() -> None:
    assert tidy("done .  what next ? <c1> , so") == "Done. What next? <c1>, so"


def test_every_rule_that_is_named_exists(grammar: Grammar) -> None:
    ways = {r.rsplit(".", 1)[1] for r in grammar.rules if r.startswith("ties.")}
    known = set(grammar.rules) | ways | {"it", "other", "fits", "gives"}
    for rule, lines in grammar.rules.items():
        for line in lines:
            for name in re.findall(r"kind='rule', text='(?:\d:)?([^']+)'", repr(line.node)):
                assert name in known, f"{rule} names {name}"


def test_plain_words_claim_nothing_and_name_no_domain(grammar: Grammar) -> None:
    check_words(grammar, Verifier(Catalog.open(BUNDLED)))
    check_words(grammar, Verifier(lamps()))
    spoken = [(r, w) for r, w in grammar.words() if not r.endswith(".user")]
    assert not [pair for pair in spoken if pair[1] in FILM_WORDS]


def test_a_claim_in_the_grammar_is_refused(catalog: Catalog) -> None:
    with pytest.raises(GrammarError, match="'best' in bye"):
        check_words(Grammar({"bye": "the best to you."}), Verifier(catalog))


@pytest.fixture(scope="module")
def sayings(grammar: Grammar, catalog: Catalog) -> dict[str, set[str]]:
    """Sentences of every way to earn a tie, and of every other act."""
    rng = random.Random(0)
    cases = Cases(catalog, grammar, rng)
    talk = speaker(grammar, catalog)
    found: dict[str, set[str]] = defaultdict(set)
    for way in cases.earned:
        slots = {*grammar.facts[f"{way}.slots"].split(), "<noun>", "<nouns>"}
        case = Case(bare("recommend", slots, [way.split(".")[1]]), "one", (way,))
        for _ in range(250):
            row = talk.row(case, heldout=False)
            assert row is not None
            found[way].add(row.completion)
    for act in ACTS:
        for _ in range(0 if act in ("recommend", "why") else 200):
            row = talk.row(cases.other(act), heldout=False)
            assert row is not None
            found[act].add(row.completion)
    return found


def test_there_is_more_than_one_way_to_say_it(sayings: dict[str, set[str]]) -> None:
    rare = ("given", "kept")
    for name, sentences in sayings.items():
        enough = 60 if name.startswith("ties.") and not name.endswith(rare) else 30
        assert len(sentences) >= enough, f"{name} has {len(sentences)}"


def test_only_what_was_asked_for_is_called_so(sayings: dict[str, set[str]]) -> None:
    asked = re.compile(r"\b(you|your|asked|wish|wanted|named)\b.*<i1\.(?!title)", re.IGNORECASE)
    wished = re.compile(r"\b(as you (asked|wanted|wished)|your (wish|request)|you asked for)\b")
    for name, sentences in sayings.items():
        if name.endswith("kept"):
            assert not [s for s in sentences if "<c2>" not in s and asked.search(s)]
        if name.endswith("given") or name == "ties.popular.bare":
            assert not [s for s in sentences if wished.search(s.lower())]


def test_how_a_tie_was_earned_follows_its_evidence(grammar: Grammar, catalog: Catalog) -> None:
    item = catalog.item("l1")
    wanted = Clause(field="maker", op="any", values=("Ada Holm",))
    refused = Clause(field="maker", op="none", values=("Ben Ruiz",))
    for clause, way in ((wanted, "asked"), (refused, "kept")):
        found = [t for t in ties(catalog, item, Beliefs(clauses=(clause,))) if t.name == "maker"]
        assert [earned(tie) for tie in found] == [way]
    assert earned(ties(catalog, item, Beliefs())[0]) == "bare"


@pytest.fixture(scope="module")
def rows(catalog: Catalog) -> tuple[list, list]:  # type: ignore[type-arg]
    return generate(catalog, 1500, seed=3)


def test_every_row_passes_the_verifier_and_keeps_its_promise(rows, catalog: Catalog) -> None:  # type: ignore[no-untyped-def]
    verifier = Verifier(catalog)
    train, valid = rows
    assert (len(train), len(valid)) == (1425, 75)
    for row in (*train, *valid):
        assert verifier.check(row.completion, row.case.brief).ok
        assert row.prompt.startswith(f"<task:reply><act:{row.act}>")
        assert row.prompt.endswith("<out>") and row.completion[-1] in ".?!"
        for group in required(row.case.brief):
            assert any(all(slot in row.completion for slot in a) for a in group)
    assert {row.act for row in train} == set(ACTS)


def test_validation_sentences_are_new_and_the_seed_decides(rows, catalog: Catalog) -> None:  # type: ignore[no-untyped-def]
    train, valid = rows
    assert not {r.completion for r in train} & {r.completion for r in valid}
    again = generate(catalog, 1500, seed=3)
    assert [r.completion for r in again[0]] == [r.completion for r in train]
    assert [r.completion for r in again[1]] == [r.completion for r in valid]
    words = [len(r.completion.split()) for r in train]
    assert sum(words) / len(words) <= 22


def test_real_reasons_read_well_with_their_values(catalog: Catalog, grammar: Grammar) -> None:
    cases = Cases(catalog, grammar, random.Random(5))
    talk = speaker(grammar, catalog, 5)
    for _ in range(200):
        row = talk.row(cases.real_reason("why"), heldout=False)
        assert row is not None and row.case.evidence is not None
        unit = realise(row.completion, dict(row.case.evidence))
        assert "<" not in unit.text and ".." not in unit.text and "  " not in unit.text
        assert unit.text[0].isupper() or not unit.text[0].isalpha()


def test_words_are_typed_as_people_type() -> None:
    rng = random.Random(2)
    typed = {as_typed("how are you?", rng) for _ in range(200)}
    assert {"how are you", "how are you?", "How are you?"} <= typed
    assert all(len(text) <= 80 for text in typed)


def test_files_hold_prompt_and_completion(rows, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write(rows[1], tmp_path / "reply.valid.jsonl")
    lines = (tmp_path / "reply.valid.jsonl").read_text("utf-8").splitlines()
    record = json.loads(lines[0])
    assert len(lines) == 75 and sorted(record) == ["completion", "prompt", "task"]
    assert statistics(rows[0]).row_count == len(ACTS) + 1


def test_a_premise_is_not_stopped_twice() -> None:
    premise = Evidence(slot="<i1.premise>", text="A lamp learns to dim.")
    text = realise("Here is the idea: <i1.premise>.", {"<i1.premise>": premise}).text
    assert text == "Here is the idea: A lamp learns to dim."
