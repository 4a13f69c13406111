"""The Trace panel over a real agent with a tiny language model in the lamp shop."""

import json
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import polars as pl
import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from agent.agent import Agent
from agent.llm import TransformersLLM
from agent.state import (
    Beliefs,
    Call,
    DialogueState,
    Mask,
    Mention,
    Slate,
    StateUpdate,
    Trace,
    Turn,
    Unit,
    Wish,
)
from catalog.filters import Clause
from page.trace import move, trace_html, turn_json
from page.trace_tab import (
    MAX_JSON,
    StepInError,
    beliefs_json,
    parse_beliefs,
    routes,
    shown,
    understood_beliefs,
)
from tests.agent.lamps import lamps
from tests.agent.shop import CATALOG, agent, done, say
from tests.app.conftest import Visit, complete
from tests.app.conftest import say as say_on_page
from tests.app.shop import Shop
from tests.tiny_lm import tiny_folder
from tools.small_model import load_small

NASTY = "<script>alert(1)</script> & \"${1+1}\" 'x'"


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """An agent after three turns: a slate, a refinement, and a question."""
    folder = tmp_path_factory.mktemp("trace")
    made = agent(folder / "c.sqlite", TransformersLLM(load_small(tiny_folder(folder / "model"))))
    for text in ("a lamp under 150 €", "not by Ada Holm", "how much is the first?"):
        say(made, "t", text)
    return made


def text(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", " ", html))


def test_a_turn_shows_nodes_calls_mask_orders_and_verdicts(talked: Agent) -> None:
    state = talked.state("t")
    turn = state.turns[3]
    html = trace_html(turn, state, CATALOG)
    said = text(html)
    assert "“not by Ada Holm”" in said
    places = [html.index(f"<span>{n}</span>") for n in ("understand", "policy", "recommend")]
    assert places == sorted(places)
    assert "maker none Ada Holm" in said  # what was understood, with the words that said it
    assert turn.trace is not None and turn.trace.mask is not None
    assert f"{turn.trace.mask.allowed} of 8 lamps allowed" in said
    assert turn.slate is not None
    for item_id in turn.slate.item_ids:
        assert CATALOG.item(item_id).title in said
    assert "same place" in said  # this shop's slate is its candidates' order
    assert "refused" in said and "plain frame, without the model" in said
    assert said.count("evidence for") == len(turn.units)


def test_the_panel_chooses_turns_and_steps_in_on_the_last(talked: Agent) -> None:
    state = talked.state("t")
    last = shown(state, CATALOG)
    assert last["turn"] == 5 and last["html"].count("<option") == 3
    assert '<option value="5" selected>3. how much is the first?' in last["html"]
    assert 'data-do="run"' in last["html"]
    assert 'class="steps"' not in last["html"]  # it showed no slate: no candidates to edit
    first = shown(state, CATALOG, 1)
    assert first["turn"] == 1 and 'data-do="run"' not in first["html"]
    assert shown(state, CATALOG, 99)["turn"] == 5
    assert "No turn yet" in shown(DialogueState(), CATALOG)["html"]


def test_an_unfinished_turn_is_said_to_be_one() -> None:
    state = DialogueState(turns=[Turn(role="user", text="a lamp")])
    assert "not finished" in shown(state, CATALOG)["html"]
    bare = DialogueState(turns=[*state.turns, Turn(role="agent", text="Hello.")])
    assert "Nothing was recorded" in shown(bare, CATALOG)["html"]


def test_the_json_is_the_turns_and_reads_back(talked: Agent) -> None:
    state = talked.state("t")
    said, turn = state.turns[2:4]
    assert Turn.model_validate_json(turn_json(turn)) == turn
    pair = [Turn.model_validate(one) for one in json.loads(turn_json(turn, said))]
    assert pair == [said, turn]
    html = trace_html(turn, state, CATALOG)
    pre = unescape(html.split("<pre", 1)[1].split(">", 1)[1].split("</pre>")[0])
    assert pre == turn_json(turn, said)


def test_moves_are_said_in_words() -> None:
    assert "up 6, from 7" in move(7, 1)
    assert "down 2, from 1" in move(1, 3)
    assert "same place" in move(2, 2)
    assert "not among the candidates" in move(None, 2)


def test_beliefs_before_the_answer_leave_out_what_it_added(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    first = say(a, "t", "a lamp under 500 €")
    say(a, "t", "more")
    state = a.state("t")
    assert first.slate is not None
    assert set(understood_beliefs(state, state.turns[-1]).shown) == set(first.slate.item_ids)
    # So the same slate comes again when nothing is changed.
    beliefs = parse_beliefs(beliefs_json(understood_beliefs(state, state.turns[-1])), CATALOG)
    again = done(a.rerun("t", beliefs=beliefs))
    assert again.slate is not None and state.turns[-1].slate is not None
    assert again.slate.item_ids == state.turns[-1].slate.item_ids


def test_an_edited_belief_changes_the_next_slate(tmp_path: Path) -> None:
    a = agent(tmp_path / "c.sqlite")
    say(a, "t", "a desk lamp")
    state = a.state("t")
    edited = beliefs_json(understood_beliefs(state, state.turns[-1])).replace("Desk", "Pendant")
    turn = done(a.rerun("t", beliefs=parse_beliefs(edited, CATALOG)))
    assert turn.slate is not None
    assert [CATALOG.item(i).values["kind"] for i in turn.slate.item_ids] == [("Pendant",)] * 2


GOOD = Beliefs(
    clauses=(Clause(field="price", op="le", values=(50.0,)),),
    mentions=(Mention(item_id="l1", said="Aurora", attitude="like"),),
    wishes=(Wish(scale="warmth", direction=1, said="warmer"),),
)


def changed(where: str, value: object) -> str:
    """GOOD as JSON with one place changed."""
    whole = json.loads(beliefs_json(GOOD))
    *path, last = where.split(".")
    place = whole
    for step in path:
        place = place[int(step)] if step.isdecimal() else place[step]
    place[last] = value
    return json.dumps(whole)


def test_good_beliefs_read_back() -> None:
    assert parse_beliefs(beliefs_json(GOOD), CATALOG) == GOOD


@pytest.mark.parametrize(
    ("edited", "told"),
    [
        ("{", "Line 1, column 2 is not JSON"),
        ("[]", "the whole text"),
        (changed("mentions.0.attitude", "adore"), r'mentions\.0\.attitude: .*"adore"'),
        (changed("mentions.0.item_id", "l99"), r"mentions\.0\.item_id: no item 'l99'"),
        (changed("wishes.0.scale", "speed"), r"wishes\.0\.scale: no scale 'speed'.*warmth"),
        (changed("clauses.0.field", "weight"), r"clauses\.0: .*'weight'.*price"),
        (changed("clauses.0.values", ["cheap"]), r"clauses\.0: .*'cheap'"),
        (changed("shown", ["gone"]), r"shown\.0: no item 'gone'"),
        (changed("adventure", 7), r"adventure: .*0 to 1, got 7"),
        (changed("adventure", float("nan")), r"adventure: .*nan"),
        (changed("liked", []), r"liked: Extra inputs"),
        (" " * (MAX_JSON + 1), "at most 50,000"),
        ("[" * 20_000, "deep"),
    ],
)
def test_bad_beliefs_name_the_field_and_the_value(edited: str, told: str) -> None:
    with pytest.raises(StepInError, match=told):
        parse_beliefs(edited, CATALOG)


def test_the_route_checks_what_was_edited() -> None:
    client = TestClient(Starlette(routes=routes(cast(Agent, SimpleNamespace(catalog=CATALOG)))))
    good = client.post("/parley/beliefs", content=beliefs_json(GOOD))
    assert Beliefs.model_validate(good.json()["beliefs"]) == GOOD
    bad = client.post("/parley/beliefs", content="{")
    assert bad.status_code == 200 and "not JSON" in bad.json()["error"]
    assert "not JSON" in client.post("/parley/beliefs", content=b"\xff\xfe").json()["error"]
    assert client.post("/parley/beliefs", content=" " * 5 * MAX_JSON).status_code == 413


def test_nothing_said_or_named_becomes_markup() -> None:
    nasty = lamps()
    nasty.df = nasty.df.with_columns(title=pl.lit(NASTY))
    update = StateUpdate(
        intent="recommend",
        add=(Clause(field="kind", op="any", values=(NASTY,), said=NASTY),),
        mentions=(Mention(item_id="l1", said=NASTY, attitude="like"),),
        unknown=(NASTY,),
    )
    verdict = {"unit": 0, "by": NASTY, "ok": False, "draft": NASTY, "complaint": NASTY}
    trace = Trace(
        nodes=["understand", NASTY],
        calls=[Call(node=NASTY, role="slate", seconds=0.1)],
        mask=Mask(items=8, allowed=2),
        candidates=["l2", NASTY],
        weights=[0.7, 0.1],
        verdicts=[verdict],
    )
    turn = Turn(
        role="agent",
        text=NASTY,
        act="recommend",
        slate=Slate(item_ids=("l1", "l2")),
        units=(Unit(text=NASTY),),
        trace=trace,
    )
    turns = [Turn(role="user", text=NASTY, update=update), turn]
    state = DialogueState(turns=turns, beliefs=Beliefs(shown=("l1",)))
    html = shown(state, nasty)["html"]
    assert "<script" not in html and html.count("&lt;script&gt;") > 12
    assert re.search(r'="[^"]*\${1\+1}" ', html) is None


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_stepping_in_says_what_is_wrong_and_runs_what_is_right(visit: Visit, shop: Shop) -> None:
    page = visit(shop.url)
    say_on_page(page, "a lamp under 500 €")
    page.get_by_role("tab", name="Trace").click()
    page.locator(".trace-step summary").click()
    beliefs, status = page.locator("#trace-beliefs"), page.locator(".trace-step [role=status]")
    good = beliefs.input_value()
    beliefs.fill(good.replace('"price"', '"weight"'))
    page.get_by_role("button", name="Run from here").click()
    expect(status).to_contain_text("'weight'")
    expect(beliefs).to_have_attribute("aria-invalid", "true")
    beliefs.fill(good)
    rows = page.locator(".steps li")
    page.get_by_label("Add by title").fill("Nothing of ours")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(status).to_contain_text("No title “Nothing of ours”")
    page.get_by_label("Add by title").fill("")
    page.get_by_label("Add by title").press_sequentially("hal")
    page.locator("#parley-suggest [role=option]", has_text="Halo").click()
    page.get_by_label("Add by title").press("Enter")
    expect(rows.first).to_contain_text("Halo")
    rows.nth(1).get_by_role("button", name="Move up").click()
    expect(rows.nth(1)).to_contain_text("Halo")
    for _ in range(rows.count() - 2):
        rows.nth(2).get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Run from here").click()
    complete(page)
    expect(page.locator(".exchange")).to_have_count(1)
    expect(page.locator(".card h3")).to_have_count(2)
    expect(page.locator(".card", has_text="Halo")).to_have_count(1)
