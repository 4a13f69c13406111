"""Scoring of readings against people's labels, and the realism figures: known answers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.llm import EndpointLLM, Request, TransformersLLM
from agent.state import About, Mention, StateUpdate
from catalog.errors import ParleyError
from catalog.filters import Clause
from evals.human_turns import HumanTurn, Marked, held_out, redial
from evals.realism import Talk, app, divergence, histogram, told_apart
from evals.understanding import agree, arms_of, figures, link, reading, score, slots_of, state_of
from tests.evals.served import server
from tests.evals.shop import DESK, lamps
from tests.tiny_lm import tiny_folder
from tools.find_title import TitleLinker
from training.turns import in_test

SHOP = lamps()
NAMES = {"table lamp": "desk"}


def turn(*slots: tuple[str, str], whole: bool = False, intent: str | None = None) -> HumanTurn:
    return HumanTurn("x", "g", "text", "none", intent, slots, whole)


def test_the_split_is_the_one_training_keeps_away_from() -> None:
    keys = [f"dialogue/{k}" for k in range(300)]
    assert [held_out(k) for k in keys] == [in_test(k) for k in keys]
    assert 30 < sum(map(held_out, keys)) < 90


def test_slots_of_an_update_are_kinds_with_words() -> None:
    update = StateUpdate(
        intent="recommend",
        mentions=(Mention(item_id="l1", said="Aurora", attitude="like"),),
        add=(DESK, Clause(field="maker", op="any", values=("Ada Holm",))),
        about=(About(text="cosy corner"),),
        unknown=("Nocturne",),
    )
    assert slots_of(update, SHOP) == [
        ("title", "aurora"), ("title", "nocturne"), ("category", "desk"), ("person", "ada holm"),
        ("about", "cosy corner"),
    ]  # fmt: skip


def test_slots_agree_by_value_or_words_never_across_kinds() -> None:
    assert agree(("category", "table lamp"), ("category", "desk"), NAMES)
    assert agree(("person", "holm"), ("person", "ada holm"), NAMES)
    assert not agree(("person", "desk"), ("category", "desk"), NAMES)
    assert not agree(("category", "desk"), ("category", "floor"), NAMES)


def test_precision_is_counted_only_where_all_is_labelled() -> None:
    update = StateUpdate(intent="recommend", add=(DESK,), about=(About(text="nonsense"),))
    whole = score(turn(("category", "desk"), whole=True, intent="recommend"), update, SHOP, NAMES)
    assert whole.intent is True and whole.counts == (1, 1, 2, 1)
    part = score(turn(("category", "desk"), ("person", "x")), update, SHOP, NAMES)
    assert part.intent is None and part.counts == (1, 2, 0, 0)


def test_figures_and_their_paired_difference() -> None:
    update = StateUpdate(intent="recommend", add=(DESK,))
    other = StateUpdate(intent="chat")
    turns = [turn(("category", "desk"), whole=True, intent="recommend")._replace(group=str(k))
             for k in range(20)]  # fmt: skip
    good = [score(t, update, SHOP, NAMES) for t in turns]
    bad = [score(t, other, SHOP, NAMES) for t in turns]
    found = figures(good)
    assert {k: f.mean for k, f in found.items()} == {
        "intent": 1.0, "recall": 1.0, "precision": 1.0, "f1": 1.0
    }  # fmt: skip
    gain = figures(good, bad)
    assert gain["intent"] == (1.0, 1.0, 1.0, 20) and gain["recall"].mean == 1.0
    assert "precision" not in gain  # the other arm read nothing


def test_a_state_shows_what_had_been_done() -> None:
    shown = state_of(turn()._replace(context="shown"), SHOP)
    assert len(shown.slate.item_ids) == 5 and shown.turns[-1].text == "text"
    asked = state_of(turn()._replace(context="ask"), SHOP)
    assert asked.beliefs.asked == ("kind",) and asked.turns[-2].act == "ask"


@pytest.mark.parametrize("schema", [True, False])
def test_a_language_model_reads_over_a_real_wire(schema: bool) -> None:
    """With a schema the server is given it; without, the answer is taken out of its sentence."""
    said = {
        "intent": "recommend", "items": [], "wishes": [], "about": [], "avoid": [], "drop": [],
        "clauses": [{"field": "kind", "op": "any", "values": ["Desk"], "said": "desk"}],
        "asks": "", "count": 0,
    }  # fmt: skip
    wanted = turn(("category", "desk"), intent="recommend")._replace(text="a desk lamp")
    nothing: Any = None
    with server(lambda _: f"Here: {json.dumps(said)} I hope it helps.") as (url, sent):
        llm = EndpointLLM(url, "m", schema=schema)
        update = reading("llm", SHOP, TitleLinker(SHOP), nothing, llm)(
            wanted.text, state_of(wanted, SHOP)
        )
        llm.close()
    assert update.read_by == "llm" and score(wanted, update, SHOP, {}).counts.found == 1
    assert ("response_format" in sent.bodies[0]) == schema and "a desk lamp" in sent[0]


def test_a_small_model_that_babbles_falls_back_to_rules_and_is_counted(tmp_path: Path) -> None:
    small = TransformersLLM.from_dir(tiny_folder(tmp_path))
    wanted = turn(intent="recommend")._replace(text="a desk lamp")
    nothing: Any = None
    with server(lambda p: small.generate([Request(p[-100:], 8)])[0].text) as (url, sent):
        llm = EndpointLLM(url, "tiny", schema=False)
        update = reading("llm", SHOP, TitleLinker(SHOP), nothing, llm)(
            wanted.text, state_of(wanted, SHOP)
        )
        llm.close()
    assert update.read_by == "rules" and len(sent) == 2  # asked once more, then read by rules


def test_arms_are_those_asked_for_and_an_llm_needs_its_address() -> None:
    assert arms_of([], None, None) == ["rules", "encoder", "both"]
    assert arms_of([], "http://h/v1", "m")[-1] == "llm"
    for named, words in ((["llm"], "--llm-model"), (["lmm"], "there are rules")):
        with pytest.raises(ParleyError, match=words):
            arms_of(named, None, None)


def test_linking_counts_right_wrong_and_missed() -> None:
    messages = [
        Marked("a", "I liked Borealis a lot", ((8, 16, "l2"),)),
        Marked("b", "nothing here", ()),
        Marked("c", "the one called Xyzzy", ((15, 20, "l5"),)),
    ]
    found = link(TitleLinker(SHOP), messages)
    assert (found["right"], found["wrong"], found["missed"]) == (1, 0, 1)
    assert found["precision"] == 1 and found["recall"] == 0.5


def test_redial_markers_become_names(tmp_path: Path) -> None:
    import gzip

    row = {"movieMentions": {"7": "Alien (1979)"}, "messages": [{"text": "I liked @7 and @8."}]}
    path, names = tmp_path / "r.jsonl.gz", tmp_path / "n.tsv"
    path.write_bytes(gzip.compress(json.dumps(row).encode()))
    names.write_text("id\tname\tmentions\tcatalogue\n7\tAlien\t3\tAlien (film)\n8\tX (1990)\t1\t\n")
    (found,) = redial(path, names)
    assert found.text == "I liked Alien and X."
    assert found.films == ((8, 13, "Alien (film)"), (18, 19, ""))


def test_divergence_is_zero_for_the_same_and_one_for_strangers() -> None:
    a, b = histogram([1, 1, 5], (0, 2, 10)), histogram([1, 5, 1], (0, 2, 10))
    assert divergence(a, b) == pytest.approx(0)
    assert divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(1)


def test_a_classifier_tells_strangers_apart_and_twins_not() -> None:
    words = ["red lamp please", "something cosy", "a desk lamp", "not that one", "thanks a lot"]
    one = [Talk(str(k), (words[k % 5], words[(k * 3) % 5])) for k in range(60)]
    two = [Talk(str(k), (words[(k + 2) % 5], words[(k * 3 + 1) % 5])) for k in range(60)]
    odd = [Talk(str(k), ("QZX " + words[k % 5].upper(),)) for k in range(60)]
    assert told_apart(one, odd).mean > 0.99
    assert told_apart(one, two).mean < 0.8


def test_the_commands_name_what_is_missing(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "none"), "--data", str(tmp_path)])
    assert result.exit_code == 2 and "cannot be read" in result.stderr
