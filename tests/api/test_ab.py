"""Two arms: who gets which, that it is kept in the trace, and the report with known numbers."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.ab import Arms, assigned, parsed
from agent.agent import Agent
from agent.feedback import Row, Said, Shown
from agent.settings import Settings, SettingsError
from evals.ab import FeedbackError, report
from tests.agent.shop import items, say
from tests.api.shop import Shelf, parts

ROOT = Path(__file__).resolve().parents[2]
ARMS = parsed("a=models/x,b=models/y:0.3")


def test_the_setting_is_read_and_wrong_ones_are_named() -> None:
    assert [(a.name, str(a.model), a.share) for a in ARMS] == [
        ("a", "models/x", 0.7),
        ("b", "models/y", 0.3),
    ]
    assert [a.share for a in parsed("a=x,b=y")] == [0.5, 0.5]
    for wrong, words in {
        "a=x": "two arms",
        "a=x,a=y": "different names",
        "a=x:0.5,b=y:0.7": "make 1.2",
        "a=x:0.5,b=y:0.4": "make 0.9",
        "x,y": "is no arm",
        "a=x:.,b=y": "is no share",
    }.items():
        with pytest.raises(SettingsError, match=words):
            parsed(wrong)


def test_a_person_keeps_the_arm_and_shares_come_out() -> None:
    people = [f"person {k}" for k in range(10_000)]
    dealt = [assigned(ARMS, person) for person in people]
    assert dealt == [assigned(ARMS, person) for person in people]
    assert abs(dealt.count("b") / len(people) - 0.3) < 0.02
    other = [assigned(parsed("c=x,d=y:0.3"), person) for person in people]
    both = sum(x == "b" and y == "d" for x, y in zip(dealt, other, strict=True))
    assert abs(both / len(people) - 0.09) < 0.02  # another test deals anew


class Backwards(Shelf):
    """The other model: the same lamps, least known first."""

    def recommend(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        chosen = super().recommend(*args, **kwargs)  # type: ignore[arg-type]
        return chosen._replace(item_ids=chosen.candidates[::-1][: len(chosen.item_ids)])


def test_each_persons_arm_chooses_and_the_trace_says_which(tmp_path: Path) -> None:
    arms = Arms(ARMS, {"a": Shelf(), "b": Backwards()})
    agent = Agent(replace(parts(), arms=arms), tmp_path / "c.sqlite")
    seen = set()
    for k in range(12):
        user, thread = f"u{k}", f"t{k}"
        turn = done_by(agent, thread, user)
        assert turn.trace is not None and turn.trace.adapter == assigned(ARMS, user)
        first = items(turn)[0]
        assert first == {"a": "l1", "b": "l8"}[turn.trace.adapter]
        seen.add(turn.trace.adapter)
        again = say(agent, thread, "more")
        assert again.trace is not None and again.trace.adapter == turn.trace.adapter
    assert seen == {"a", "b"}
    agent.close()


def done_by(agent: Agent, thread: str, user: str):  # type: ignore[no-untyped-def]
    events = list(agent.turn(thread, "something under 1000 €", user=user))
    return events[-1].turn


def test_two_models_cannot_both_order_everything() -> None:
    from agent.assemble import Assembly

    model = ROOT / "models" / "parley-small"
    settings = Settings.load(ab=f"a={model},b={model}", recommender=model)
    with pytest.raises(SettingsError, match="unset one"):
        Assembly(settings)


def made(adapter: str, people: int, accepts: int, ups: int) -> tuple[list[Row], list[Shown]]:
    """``people`` with two replies each; the first ``accepts`` chose something at the first."""
    rows, turns = [], []
    for k in range(people):
        thread = f"{adapter}{k}"
        for turn in (1, 3):
            thumb = "thumb_up" if turn == 3 and k < ups else None
            turns.append(
                Shown.model_validate(
                    dict(
                        thread=thread,
                        turn=turn,
                        user=thread,
                        adapter=adapter,
                        act="recommend",
                        items=5,
                        thumb=thumb,
                        time="",
                    )
                )
            )
        if k < accepts:
            rows.append(
                Row(
                    thread=thread,
                    turn=1,
                    item_id="x",
                    kind="accept",
                    context=(Said(role="user", text="hi"),),
                    slate=("x",),
                    time="",
                    adapter=adapter,
                )
            )
    return rows, turns


def test_the_report_has_the_known_numbers(tmp_path: Path) -> None:
    (rows_a, turns_a), (rows_b, turns_b) = made("a", 200, 40, 20), made("b", 100, 60, 0)
    rows, turns = rows_a + rows_b, turns_a + turns_b
    a, b = report(rows, turns)
    assert (a.name, a.people, a.replies, a.counts["accept"]) == ("a", 200, 400, 40)
    assert (b.people, b.replies, b.counts["thumb_up"]) == (100, 200, 0)
    assert a.rates["accept"].mean == 10 and b.rates["accept"].mean == 30
    # One person's choice is 0 or 50 of 100 replies: standard error 50 sqrt(p(1-p)/n).
    assert a.rates["accept"].low == pytest.approx(10 - 1.96 * 50 * (0.16 / 200) ** 0.5, abs=0.4)
    assert b.rates["accept"].high == pytest.approx(30 + 1.96 * 50 * (0.24 / 100) ** 0.5, abs=0.6)
    versus = b.versus["accept"]
    half = 1.96 * 50 * (0.16 / 200 + 0.24 / 100) ** 0.5
    assert versus.mean == 20 and versus.high - versus.low == pytest.approx(2 * half, abs=1.2)
    assert b.versus["thumb_up"].mean == -5 and a.versus == {}
    assert b.rates["replies a conversation"].mean == 2
    only = report(rows, None)
    assert [arm.replies for arm in only] == [40, 60]
    with pytest.raises(FeedbackError, match="export both"):
        report(rows, turns_a)
    with pytest.raises(FeedbackError, match="No reply"):
        report([], [])


def test_the_command_prints_and_writes_it(tmp_path: Path) -> None:
    rows, turns = made("a", 4, 2, 0)
    more, others = made("b", 4, 1, 0)
    feedback, shown, out = (tmp_path / n for n in ("f.jsonl", "t.jsonl", "r.json"))
    feedback.write_text("".join(r.model_dump_json() + "\n" for r in rows + more))
    shown.write_text("".join(t.model_dump_json() + "\n" for t in turns + others))
    command = [sys.executable, "-m", "evals.ab", str(feedback), "--turns", str(shown)]
    run = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "chosen" in run.stdout and "b minus a" in run.stdout
    arms = json.loads(out.read_text())
    assert [arm["rates"]["accept"]["mean"] for arm in arms] == [25, 12.5]
    feedback.write_text('{"thread": 1}\n')
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert failed.returncode == 1 and "line 1" in failed.stderr
