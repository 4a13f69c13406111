"""How the agent talks: first drafts that pass, units realised from plain frames, variety.

    python -m evals.replies tests/golden/films.yaml [--out replies.jsonl] [--show 20]

Plays scripted conversations (YAML: a list of ``{name, turns: [{say}]}``) through the real
agent. A table an act, then JSON: ``{"units", "first_draft_pass", "rewritten", "template",
"distinct_2", "acts": {...}}``. Nothing is judged here but what the trace already says.
"""

import json
import tempfile
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
import yaml
from rich.console import Console
from rich.progress import track
from rich.table import Table

from agent.agent import Agent
from agent.chat import record
from agent.settings import Settings, stay_local
from agent.state import Turn
from catalog.errors import ParleyError


def read_script(path: Path) -> list[dict[str, Any]]:
    """Conversations of a YAML script. ``ParleyError`` names the file and what is wrong."""
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ParleyError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(loaded, list) or not all("turns" in c for c in loaded):
        raise ParleyError(f"{path} must be a list of conversations, each with `turns`.")
    return loaded


def distinct(texts: list[str], n: int = 2) -> float:
    """Share of different word n-grams among all of them (Li et al. 2016)."""
    grams = [
        tuple(words[k : k + n])
        for words in (t.lower().split() for t in texts)
        for k in range(len(words) - n + 1)
    ]
    return len(set(grams)) / len(grams) if grams else 0.0


def tally(turns: list[Turn]) -> dict[str, dict[str, float]]:
    """Per act of a unit: how many, and the share of each way it came about."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for turn in turns:
        acts = {
            v["unit"]: v["act"] for v in (turn.trace.verdicts if turn.trace else ()) if "act" in v
        }
        for index, unit in enumerate(turn.units):
            for act in (acts.get(index, str(turn.act)), "all"):
                counts[act]["units"] += 1
                counts[act][unit.realised_by] += 1
    return {
        act: {
            "units": row["units"],
            **{k: round(row[k] / row["units"], 4) for k in ("llm", "rewrite", "template")},
        }
        for act, row in counts.items()
    }


def play(agent: Agent, conversations: list[dict[str, Any]], out: TextIO | None) -> list[Turn]:
    """Every agent turn, in order; each is written to ``out`` as soon as it is there."""
    turns: list[Turn] = []
    for conversation in track(conversations, "playing", console=Console(stderr=True)):
        thread = Agent.new_thread()
        for step in conversation["turns"]:
            said = step["say"] if isinstance(step, dict) else str(step)
            last = next(e.turn for e in agent.turn(thread, said) if e.kind == "done")
            assert last is not None
            turns.append(last)
            if out is not None:
                row = {"conversation": conversation.get("name"), "say": said}
                row |= record(last, agent.state(thread), agent)
                print(json.dumps(row, ensure_ascii=False), file=out, flush=True)
    return turns


def main(
    script: Annotated[Path, typer.Argument(help="YAML conversations to play.")],
    out: Annotated[Path | None, typer.Option(help="Write every turn as JSON lines.")] = None,
    show: Annotated[int, typer.Option(help="Print this many replies to read.")] = 0,
) -> None:
    """Count how replies came about, per act."""
    stay_local()
    try:
        conversations = read_script(script)
        with tempfile.TemporaryDirectory() as home:
            agent = Agent.open(Settings.load(home=Path(home)))
            with out.open("w", encoding="utf-8") if out else nullcontext() as file:
                turns = play(agent, conversations, file)
    except ParleyError as error:
        typer.echo(f"replies: {error}", err=True)
        raise typer.Exit(2) from error
    for turn in turns[:show]:
        print(f"[{turn.act}] {turn.text}\n")
    acts = tally(turns)
    table = Table("act", "units", "first draft", "rewritten", "plain frame")
    for act, row in sorted(acts.items(), key=lambda kv: -kv[1]["units"]):
        shares = [f"{row[k]:.1%}" for k in ("llm", "rewrite", "template")]
        table.add_row(act, f"{row['units']:.0f}", *shares)
    Console().print(table)
    texts = [u.text for t in turns for u in t.units]
    ordered = [t.slate.ordered_by for t in turns if t.slate]
    total = acts["all"]
    result = {
        "turns": len(turns),
        "units": int(total["units"]),
        "first_draft_pass": total["llm"],
        "rewritten": total["rewrite"],
        "template": total["template"],
        "slates_not_by_llm": sum(o != "llm" for o in ordered),
        "slates": len(ordered),
        "distinct_2": round(distinct(texts), 4),
        "acts": acts,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    typer.run(main)
