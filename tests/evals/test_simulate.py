"""Runs of simulated conversations: whole lines, resumed after a kill, nothing lost or twice."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent.llm import Completion, ScriptedLLM
from catalog.errors import ParleyError
from evals.dialogues import DialoguesError, read_dialogues
from evals.persona import read_personas
from evals.played import EngineError, PlayedUser, open_player
from evals.resume import appending, write_line
from evals.seen import Card, View
from evals.simulate import agenda_user, app, converse, jobs, run_all
from tests.evals.shop import DESK, PERSONA, ShopAgent, dialogue, lamps

ROOT = Path(__file__).resolve().parent.parent.parent
PEOPLE = read_personas()
N = 40
#: A process of its own that simulates over the lamp shop, slowly enough to be killed.
CHILD = f"""
import sys, time
from pathlib import Path
from evals.resume import appending
from evals.simulate import agenda_user, jobs, run_all
from evals.persona import read_personas
from tests.evals.shop import ShopAgent, lamps
def slow(*a):
    time.sleep(0.02)
    return agenda_user(*a)
agent = ShopAgent(lamps())
with appending(Path(sys.argv[1]), "r") as (file, done):
    todo = [j for j in jobs(agent.catalog, read_personas(), {N}, 1, 7) if j.number not in done]
    run_all(agent, todo, file, "r", "agenda", slow, 4)
"""


def play_all(path: Path, n: int = 6, trials: int = 1, seed: int = 7) -> list[Any]:
    agent: Any = ShopAgent(lamps())
    with appending(path, "r") as (file, done):
        todo = [j for j in jobs(agent.catalog, PEOPLE, n, trials, seed) if j.number not in done]
        run_all(agent, todo, file, "r", "agenda", agenda_user, 3)
    return sorted(read_dialogues(path).dialogues, key=lambda d: d.index)


def test_a_run_is_a_function_of_its_seed(tmp_path: Path) -> None:
    first, second = play_all(tmp_path / "a.jsonl"), play_all(tmp_path / "b.jsonl")
    texts = [[t.text for t in d.turns] for d in first]
    assert texts == [[t.text for t in d.turns] for d in second]
    assert texts != [[t.text for t in d.turns] for d in play_all(tmp_path / "c.jsonl", seed=8)]
    assert all(len(d.allowed) == d.outcome.turn == len(d.agent_turns()) for d in first)


def test_trials_share_goal_and_persona_not_the_dice(tmp_path: Path) -> None:
    found = play_all(tmp_path / "a.jsonl", n=8, trials=4)
    assert len({d.goal.id for d in found}) == 2
    for group in (found[:4], found[4:]):
        assert len({(d.goal.id, d.persona.name) for d in group}) == 1
        assert [d.trial for d in group] == [0, 1, 2, 3]
        assert len({d.turns[0].text for d in group}) > 1


def test_success_is_judged_by_the_catalogue_not_by_the_person() -> None:
    agent: Any = ShopAgent(lamps())
    for job in jobs(agent.catalog, PEOPLE, 30, 1, 3):
        found = converse(agent, job, "r", "agenda", agenda_user)
        if found.outcome.accepted:
            shown = [i for t in found.agent_turns() if t.slate for i in t.slate.item_ids]
            assert found.outcome.accepted in shown
        assert found.outcome.success <= (found.outcome.end == "accepted")


def test_a_crash_of_the_agent_is_an_outcome() -> None:
    class Broken(ShopAgent):
        def turn(self, thread: str, text: str, *, user: str = "anonymous") -> Iterator[Any]:
            raise ParleyError("the model fell over")

    agent: Any = Broken(lamps())
    job = next(jobs(agent.catalog, PEOPLE, 1, 1, 0))
    found = converse(agent, job, "r", "agenda", agenda_user)
    assert found.outcome.end == "crashed" and "fell over" in found.outcome.note


def test_killed_and_resumed_without_a_lost_or_double_dialogue(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    for attempt in range(2):  # killed once, then left to end
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(out)], cwd=ROOT, stderr=-3)
        before = out.read_bytes().count(b"\n") if out.exists() else 0
        while child.poll() is None:
            now = out.read_bytes().count(b"\n") if out.exists() else 0
            if attempt < 1 and now >= before + 8:
                child.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        child.wait()
    assert child.returncode == 0
    found = read_dialogues(out).dialogues
    assert sorted(d.index for d in found) == list(range(N))


def test_a_torn_last_line_is_cut_and_made_again(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    whole = play_all(out)
    raw = out.read_bytes()
    out.write_bytes(raw[:-200])
    again = play_all(out)
    assert [d.id for d in again] == [d.id for d in whole]
    assert [[t.text for t in d.turns] for d in again] == [[t.text for t in d.turns] for d in whole]


def test_another_run_or_another_writer_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "d.jsonl"
    with appending(out, "one") as (file, _):
        write_line(file, dialogue().model_copy(update={"run": "one"}))
        with pytest.raises(DialoguesError, match="another process"), appending(out, "one"):
            pass
    with pytest.raises(DialoguesError, match=r"'one'.*'two'"), appending(out, "two"):
        pass


def test_bad_lines_are_named_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    good = dialogue().model_dump_json()
    path.write_text(f'{good}\nnot json\n[1]\n{{"id": 3}}\n')
    with pytest.raises(DialoguesError, match=r"3 malformed lines:\nline 2.*\nline 3.*\nline 4: "):
        read_dialogues(path)
    loaded = read_dialogues(path, allow_bad=True)
    assert len(loaded.dialogues) == 1 and len(loaded.bad) == 3
    path.write_text("\n")
    with pytest.raises(DialoguesError, match="holds no dialogues"):
        read_dialogues(path)


class Chatty(ScriptedLLM):
    """Says the same thing for ever."""

    def generate(self, requests: Any, on_text: Any = None) -> list[Completion]:
        self.requests += requests
        return [Completion("hm, show me more", 5, 0, 0.0, True) for _ in requests]


def test_a_played_user_chooses_by_its_mark_and_sees_no_more_than_the_page() -> None:
    llm = ScriptedLLM(["You: a desk lamp please", "Lovely, that one. [ACCEPT 2]"])
    job = dialogue().goal.model_copy(update={"clauses": (DESK,)})
    person = PlayedUser(job, PERSONA, lamps().domain, 1, llm)
    assert person.open() == "a desk lamp please"
    cards = (Card("Aurora", {"kind": ("Desk",)}, "r"), Card("Dusk", {"kind": ("Desk",)}, "r"))
    assert person.reply(View("Two.", cards)) == "Lovely, that one."
    assert person.ended == "accepted" and person.chosen == (0, 1)
    assert "1. Aurora (kind: Desk) r" in llm.requests[1].prompt
    assert not any(t in llm.requests[0].prompt for t in ("Aurora", "Borealis", "l1"))


def test_a_played_user_that_never_decides_runs_out_of_turns() -> None:
    agent: Any = ShopAgent(lamps())
    job = next(jobs(agent.catalog, PEOPLE, 1, 1, 0))
    llm = Chatty([])
    found = converse(agent, job, "r", "x", lambda g, p, c, s: PlayedUser(g, p, c.domain, s, llm))
    assert found.outcome.end == "out_of_turns" and found.outcome.frustrated


def test_an_engine_that_is_none_is_refused() -> None:
    settings: Any = None
    with pytest.raises(EngineError, match="agenda, llm, or the URL"):
        open_player("gpt", None, settings)
    with pytest.raises(EngineError, match="--engine-model"):
        open_player("http://127.0.0.1:1/v1", None, settings)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["agenda", "llm"])
def test_the_command_simulates_over_the_films(tmp_path: Path, engine: str) -> None:
    out = tmp_path / "d.jsonl"
    for n in (2, 4):
        result = CliRunner().invoke(
            app, ["--n", str(n), "--out", str(out), "--workers", "2", "--engine", engine]
        )
        assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.strip().splitlines()[-1])
    assert summary["dialogues"] == 2 and summary["already_there"] == 2
    found = read_dialogues(out).dialogues
    assert sorted(d.index for d in found) == [0, 1, 2, 3]
    assert all(t.trace is not None for d in found for t in d.agent_turns())
