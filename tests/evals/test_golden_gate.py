"""The gate on the golden set: the committed reference, what fails against it, and the real run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from agent.agent import Agent, Event
from agent.settings import Settings
from agent.state import DialogueState, Slate
from catalog.items import Catalog
from evals.compare import app as compare_app
from evals.dialogues import Dialogue, read_dialogues
from evals.golden import GoldenError, clauses, line_of, play, read_golden, run_golden
from tests.evals.shop import ShopAgent, lamps

GOLDEN = Path(__file__).parent.parent / "golden"
REFERENCE = GOLDEN / "films.reference.jsonl"
FILMS = Path(__file__).parents[2] / "catalog" / "data" / "movies"
LAMPS = """
- name: desk
  turns:
    - {say: a desk lamp, act: [recommend], count: 2, every: ["year >= 2010"]}
    - {say: cheaper, act: [recommend, refine], every: ["year >= 2010", "kind has Floor"]}
"""


def gate(before: Path, after: Path) -> Any:
    return CliRunner().invoke(compare_app, [str(before), str(after)])


def written(path: Path, held: list[Dialogue]) -> Path:
    path.write_text("".join(map(line_of, held)))
    return path


def test_expectations_are_counted_and_rules_become_clauses(tmp_path: Path) -> None:
    path = tmp_path / "lamps.yaml"
    path.write_text(LAMPS)
    agent: Any = ShopAgent(lamps())
    found = play(agent, read_golden(path)[0], 0, "r")
    assert [t.slate.item_ids for t in found.agent_turns() if t.slate] == [
        ("l1", "l2"),
        ("l3", "l4"),
    ]
    assert found.outcome.success and found.outcome.kept == 1.0
    assert [(c.field, c.op, c.values) for c in found.goal.clauses] == [("year", "ge", (2010.0,))]
    path.write_text(
        LAMPS.replace("kind has Floor", "kind has Desk").replace("[recommend],", "[ask],")
    )
    worse = play(agent, read_golden(path)[0], 0, "again")
    assert not worse.outcome.success and worse.outcome.kept == pytest.approx(4 / 6, abs=1e-3)
    assert len(clauses(["year = 1999"])) == 2


def test_a_malformed_golden_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    for text, words in (
        ("- {name: x, turns: []}", "conversation 1: turns"),
        ("- {name: x, turns: [{say: a, act: [ask], evry: []}]}", "turns.0.evry"),
        ("{}", "must be a list"),
        ("[", "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(GoldenError, match=words):
            read_golden(path)
    with pytest.raises(GoldenError, match="is no rule"):
        clauses(["year > 1999"])


class Broken:
    """Fails at its second turn."""

    catalog = lamps()

    def __init__(self) -> None:
        self.shop, self.calls = ShopAgent(self.catalog), 0

    def turn(self, thread: str, text: str) -> Iterator[Event]:
        self.calls += 1
        if self.calls > 1:
            raise RuntimeError("out of lamps")
        yield from self.shop.turn(thread, text)


def test_a_crash_is_written_down_and_fails_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "lamps.yaml"
    path.write_text(LAMPS)
    agent: Any = Broken()
    found = play(agent, read_golden(path)[0], 0, "r")
    assert found.outcome.end == "crashed" and "out of lamps" in found.outcome.note


def test_the_reference_is_small_and_holds_facts_alone() -> None:
    assert REFERENCE.stat().st_size < 200_000
    held = read_dialogues(REFERENCE).dialogues
    assert [d.id for d in held] == [s.name for s in read_golden(GOLDEN / "films.yaml")]
    assert not any(t.text or t.units or t.trace for d in held for t in d.agent_turns())
    assert all(d.outcome.end == "accepted" for d in held)


def test_the_gate_lets_the_same_pass_and_stops_a_run_that_got_worse(tmp_path: Path) -> None:
    held = read_dialogues(REFERENCE).dialogues
    same = gate(REFERENCE, written(tmp_path / "same.jsonl", held))
    assert same.exit_code == 0, same.output
    catalog = Catalog.open(FILMS)
    known = [catalog.ids[int(r)] for r in np.argsort(-catalog.popularity)[:5]]

    def popular(dialogue: Dialogue) -> Dialogue:
        """What an agent would show that heeds nothing."""
        turns = tuple(
            t.model_copy(update={"slate": Slate(item_ids=tuple(known))}) if t.slate else t
            for t in dialogue.turns
        )
        return dialogue.model_copy(update={"turns": turns})

    deaf = gate(REFERENCE, written(tmp_path / "deaf.jsonl", [popular(d) for d in held]))
    assert deaf.exit_code == 1
    worse = json.loads(deaf.stdout.strip().splitlines()[-1])["worse"]
    assert {"constraint satisfaction", "repeated items"} <= set(worse)
    missed = [
        d.model_copy(
            update={"outcome": d.outcome.model_copy(update={"kept": 0.5, "success": False})}
        )
        if k % 3 == 0
        else d
        for k, d in enumerate(held)
    ]
    assert gate(REFERENCE, written(tmp_path / "missed.jsonl", missed)).exit_code == 1
    crashed = held[0].model_copy(
        update={"outcome": held[0].outcome.model_copy(update={"end": "crashed"})}
    )
    once = gate(REFERENCE, written(tmp_path / "crashed.jsonl", [crashed, *held[1:]]))
    assert once.exit_code == 1  # one new crash is enough


class Deaf:
    """The real agent, told nothing of what the person said: every turn is "recommend something"."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.catalog = agent, agent.catalog

    def turn(self, thread: str, text: str) -> Iterator[Event]:
        return iter(list(self.agent.turn(f"deaf-{thread}", "show me some films")))

    def state(self, thread: str) -> DialogueState:
        return self.agent.state(f"deaf-{thread}")


@pytest.mark.slow
def test_the_golden_set_is_not_worse_than_its_reference(tmp_path: Path) -> None:
    """What CI runs: the forty film conversations now, against the committed run."""
    agent = Agent.open(Settings.load(home=tmp_path))
    scripts = read_golden(GOLDEN / "films.yaml")
    now = written(tmp_path / "now.jsonl", list(run_golden(agent, scripts, "films")))
    result = gate(REFERENCE, now)
    assert result.exit_code == 0, result.output
    deaf: Any = Deaf(agent)
    few = written(tmp_path / "deaf.jsonl", list(run_golden(deaf, scripts[:12], "films")))
    assert gate(REFERENCE, few).exit_code == 1
    agent.close()
