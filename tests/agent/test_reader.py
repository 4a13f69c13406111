"""Turns read by a model under a schema: what holds in the catalogue is taken, nothing else."""

import json
from typing import Any

import pytest

from agent.budget import Budget
from agent.engines.grammar import Grammars
from agent.errors import LLMError
from agent.llm import Request, ScriptedLLM, TransformersLLM
from agent.reader import Reader, json_in
from agent.reading.said import Said
from agent.state import DialogueState, Slate, Trace, Turn
from tests.agent.shop import CATALOG, LINKER
from tests.tiny_lm import tiny_folder
from tools.small_model import load_small

EMPTY: dict[str, Any] = {
    "intent": "recommend",
    "items": [],
    "clauses": [],
    "wishes": [],
    "about": [],
    "avoid": [],
    "drop": [],
    "asks": "",
    "count": 0,
}


def state() -> DialogueState:
    turns = [Turn(role="agent", text="Two lamps."), Turn(role="user", text="x")]
    return DialogueState(turns=turns, slate=Slate(item_ids=("l3", "l5")))


def read(answers: list[str], text: str = "a lamp") -> tuple[Any, ScriptedLLM]:
    llm = ScriptedLLM(answers)
    return Reader(llm, CATALOG, LINKER).read(text, state()), llm


def test_words_become_the_catalogues_own_values() -> None:
    said = EMPTY | {
        "items": [
            {"title": "Aurora", "number": 0, "attitude": "like", "more_like": True},
            {"title": "", "number": 2, "attitude": "reject", "more_like": False},
            {"title": "Zanzibar", "number": 0, "attitude": "like", "more_like": False},
        ],
        "clauses": [
            {"field": "kind", "op": "any", "values": ["desk"], "said": "desk lamp"},
            {"field": "price", "op": "le", "values": ["50"], "said": "under 50"},
            {"field": "price", "op": "le", "values": ["cheap"], "said": "cheap"},
            {"field": "smell", "op": "any", "values": ["rose"], "said": "rose"},
        ],
        "wishes": [{"scale": "warmth", "direction": "more", "said": "warmer"}],
        "about": ["a night by the sea"],
        "count": 3,
    }
    update, llm = read([json.dumps(said)])
    assert [(m.item_id, m.attitude, m.relative) for m in update.mentions] == [
        ("l1", "like", True),
        ("l5", "reject", False),
    ]
    assert update.unknown == ("Zanzibar",)
    assert [(c.field, c.op, c.values, c.said) for c in update.add] == [
        ("kind", "any", ("Desk",), "desk lamp"),
        ("price", "le", (50.0,), "under 50"),
    ]
    assert [(w.scale, w.direction) for w in update.wishes] == [("warmth", 1)]
    assert (update.about[0].text, update.count, update.read_by) == ("a night by the sea", 3, "llm")
    assert llm.requests[0].schema == Said.model_json_schema()
    assert "1. Comet 2. Ember" in llm.requests[0].prompt and "Desk" in llm.requests[0].prompt


def test_a_slip_is_asked_again_and_then_read_by_rules(caplog: pytest.LogCaptureFixture) -> None:
    update, _ = read(["certainly!", "```json\n" + json.dumps(EMPTY | {"intent": "bye"}) + "\n```"])
    assert (update.intent, update.read_by) == ("bye", "llm")
    update, _ = read(["no", "{}"], "a floor lamp under 100 euros")
    assert {c.field for c in update.add} == {"kind", "price"}
    assert "read by rules" in caplog.text
    assert json_in('so: {"a": {"b": 1}} done') == '{"a": {"b": 1}}'


def test_the_same_schema_holds_a_model_in_this_process(tmp_path: Any) -> None:
    pytest.importorskip("xgrammar", reason="requirements/structured.txt is not installed")
    llm = TransformersLLM(load_small(tiny_folder(tmp_path)))
    schema = {
        "type": "object",
        "properties": {"intent": {"enum": ["bye", "more"]}, "on": {"type": "boolean"}},
        "required": ["intent", "on"],
        "additionalProperties": False,
    }
    requests = [Request("a", 60, temperature=2.0, seed=k, schema=schema) for k in range(4)]
    for done in llm.generate([*requests, Request("a", 5, temperature=2.0)])[:4]:
        found = json.loads(done.text)
        assert done.finished and found["intent"] in ("bye", "more") and found["on"] in (True, False)
    with pytest.raises(LLMError, match="cannot be compiled"):
        llm.generate([Request("a", 5, schema={"type": "nothing"})])


def test_without_xgrammar_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xgrammar", None)
    with pytest.raises(LLMError, match=r"structured\.txt"):
        Grammars(None, 10, 0)


def test_a_budget_says_what_is_used_up() -> None:
    import time

    budget, now = Budget(2, 100, 60.0), time.perf_counter()
    assert budget.left(Trace(), now).spent == ""
    assert budget.left(Trace(model_calls=2), now).spent == "calls"
    assert budget.left(Trace(tokens=100), now).spent == "tokens"
    assert budget.left(Trace(seconds={"recommend": 61.0}), now).spent == "seconds"
