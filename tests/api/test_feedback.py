"""Feedback from what people did: rows with known answers, undo, the export, and both readers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.agent import Agent
from agent.errors import AgentError
from agent.feedback import Row, export, rows, shown
from agent.state import NotThis, SeenIt
from tests.agent.shop import Plain, agent, done, items, say
from training.readers import examples

ROOT = Path(__file__).resolve().parents[2]
USER = "anonymous"


def told(a: Agent, thread: str = "t") -> list[tuple[str, str, int]]:
    state = a.state(thread)
    found = rows(thread, state, a.feedback.thumbs(USER, thread, state))
    return [(row.kind, row.item_id, row.turn) for row in found]


def talk(path: Path) -> Agent:
    """Three lamps shown; one refused, one known, and one of a second list chosen."""
    a = agent(path, Plain())
    assert items(say(a, "t", "something under 100 €")) == ["l1", "l2", "l4"]
    done(a.act("t", NotThis(item_id="l2")))
    done(a.act("t", SeenIt(item_id="l4")))
    return a


def test_refusals_choices_and_thumbs_are_rows(tmp_path: Path) -> None:
    a = talk(tmp_path / "c.sqlite")
    last = len(a.state("t").turns) - 1
    taken = say(a, "t", "I'll take the first one")
    assert taken.act == "accept"
    state = a.state("t")
    a.feedback.give("t", USER, state, 1, "thumb_up", "l1")
    a.feedback.give("t", USER, state, 1, "thumb_down")  # of the whole reply: no row of an item
    assert sorted(told(a)) == sorted(
        [("reject", "l2", 1), ("seen", "l4", 3), ("accept", "l1", last), ("thumb_up", "l1", 1)]
    )
    found = rows("t", state, a.feedback.thumbs(USER, "t", state))
    row = next(r for r in found if r.kind == "reject")
    assert row.slate == ("l1", "l2", "l4") and row.time and row.adapter == ""
    assert [(s.role, s.text) for s in row.context] == [("user", "something under 100 €")]
    replies = shown("t", state, a.feedback.thumbs(USER, "t", state))
    assert replies[0].items == 3 and replies[0].thumb == "thumb_down"
    assert replies[0].user != USER  # a digest


def test_what_is_undone_was_never_said(tmp_path: Path) -> None:
    a = talk(tmp_path / "c.sqlite")
    assert {kind for kind, _, _ in told(a)} == {"reject", "seen"}
    a.undo("t")
    assert [kind for kind, _, _ in told(a)] == ["reject"]
    state = a.state("t")
    a.feedback.give("t", USER, state, 3, "thumb_up")
    assert len(a.feedback.thumbs(USER, "t", state)) == 1
    a.undo("t")
    assert told(a) == [] and a.feedback.thumbs(USER, "t", a.state("t")) == []
    say(a, "t", "a floor lamp")  # another reply at the same place
    assert a.feedback.thumbs(USER, "t", a.state("t")) == []
    with pytest.raises(AgentError, match="No reply 9"):
        a.feedback.give("t", USER, a.state("t"), 9, "thumb_up")
    with pytest.raises(AgentError, match="No item 'l7' in reply 1"):
        a.feedback.give("t", USER, a.state("t"), 1, "thumb_up", "l7")


def test_the_export_is_what_training_reads(tmp_path: Path) -> None:
    a = talk(tmp_path / "conversations.sqlite")
    say(a, "t", "I'll take the first one")
    a.feedback.give("t", USER, a.state("t"), 1, "thumb_up", "l1")
    every = list(export(a.memory.store, a.graph))
    assert len(every) == 1 and len(every[0][0]) == 4
    a.close()
    out, turns = tmp_path / "feedback.jsonl", tmp_path / "turns.jsonl"
    command = [sys.executable, "-m", "agent.feedback", "export"]
    run = subprocess.run(
        [*command, "--out", str(out), "--turns", str(turns)],
        cwd=ROOT,
        env={"PARLEY_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "4 pieces of feedback on 4 replies\n"
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert set(lines[0]) == set(Row.model_fields)
    learnt = list(examples("feedback", out))
    assert learnt[0].targets == ("l1",) and learnt[0].refused == ("l2",)
    assert len(turns.read_text("utf-8").splitlines()) == 4


def test_deleting_a_conversation_deletes_its_feedback(tmp_path: Path) -> None:
    a = talk(tmp_path / "c.sqlite")
    state = a.state("t")
    a.feedback.give("t", USER, state, 1, "thumb_up")
    a.delete("t", user=USER)
    assert a.feedback.thumbs(USER, "t", state) == []
    assert list(export(a.memory.store, a.graph)) == []
