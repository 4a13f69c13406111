"""Golden conversations as a run that ``evals.compare`` reads: scripted turns, facts alone.

    python -m evals.golden tests/golden/films.yaml --out now.jsonl
    python -m evals.compare tests/golden/films.reference.jsonl now.jsonl     # exit 1 if worse

A golden file is a list of ``{name, turns: [{say, act, count, every, has}]}``: what is typed, acts
that will do, how many cards, what must hold of each card ("year >= 2000", "genres has Comedy"),
words that the reply must hold. Every line of the run is a conversation in the dialogues' own
format without its wording: acts and item ids, the share of the expectations met, so that the
committed reference is small and holds nothing that a change of style would touch. The goal
is what every turn with cards asks for; ``success`` means that all expectations were met.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import Field, ValidationError
from rich.console import Console
from rich.progress import track

from agent.agent import Agent
from agent.settings import Settings, stay_local
from agent.state import Slate, Turn
from catalog.errors import ParleyError
from catalog.filters import Clause, compile
from catalog.items import Catalog
from evals.dialogues import Dialogue, Goal, Outcome, Persona, Strict, first_fault

RULE = re.compile(r"^(\w+) (>=|<=|=|has|not) (.+)$")
READER = Persona(name="golden", patience=20.0)


class GoldenError(ParleyError):
    """A golden file is missing or malformed."""


class Expected(Strict):
    """One turn: what is typed and what must come of it."""

    say: str
    act: tuple[str, ...]
    count: int | None = None
    every: tuple[str, ...] = ()
    has: tuple[str, ...] = ()


class Script(Strict):
    """One conversation."""

    name: str
    turns: tuple[Expected, ...] = Field(min_length=1)


def read_golden(path: Path) -> list[Script]:
    """Every conversation of a file. ``GoldenError`` names the file, the entry and the field."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise GoldenError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(raw, list) or not raw:
        raise GoldenError(f"{path} must be a list of conversations with a name and turns.")
    scripts = []
    for place, entry in enumerate(raw, start=1):
        try:
            scripts.append(Script.model_validate(entry))
        except ValidationError as error:
            raise GoldenError(f"{path}, conversation {place}: {first_fault(error)}") from error
    return scripts


def clauses(rules: Sequence[str]) -> tuple[Clause, ...]:
    """Rules as clauses: "year = 1999" becomes its two bounds."""
    made: list[Clause] = []
    for rule in rules:
        match = RULE.match(rule)
        if match is None:
            raise GoldenError(f"{rule!r} is no rule: write 'field >= | <= | = | has | not value'.")
        field, relation, value = match.groups()
        if relation in (">=", "<=", "="):
            ops: tuple[Any, ...] = {">=": ("ge",), "<=": ("le",)}.get(relation, ("ge", "le"))
            made += [Clause(field=field, op=op, values=(float(value),)) for op in ops]
        else:
            made.append(
                Clause(field=field, op="any" if relation == "has" else "none", values=(value,))
            )
    return tuple(made)


def met(expected: Expected, turn: Turn, catalog: Catalog) -> list[bool]:
    """Each expectation of a turn: kept or not. A rule is kept when every card keeps it."""
    ids = turn.slate.item_ids if turn.slate else ()
    rows = [catalog.row(i) for i in ids if catalog.has(i)]
    kept = [turn.act in expected.act]
    if expected.count is not None:
        kept.append(len(ids) == expected.count)
    kept += [bool(compile(catalog, clauses([rule]))[rows].all()) for rule in expected.every]
    kept += [words in turn.text for words in expected.has]
    return kept


def play(agent: Agent, script: Script, number: int, run: str) -> Dialogue:
    """One golden conversation as a line of facts. An agent's failure ends it as crashed."""
    thread = f"golden-{run}-{script.name}"
    turns: list[Turn] = []
    kept: list[bool] = []
    note = ""
    try:
        for expected in script.turns:
            done = next(e.turn for e in agent.turn(thread, expected.say) if e.kind == "done")
            assert done is not None  # "done" carries the whole turn
            kept += met(expected, done, agent.catalog)
            slate = Slate(item_ids=done.slate.item_ids) if done.slate else None
            turns += [
                Turn(role="user", text=expected.say),
                Turn(role="agent", text="", act=done.act, slate=slate),
            ]
    except Exception as error:  # whatever it is, a crash is a finding
        note = f"{type(error).__name__}: {error}"[:300]
    asked = [t.every for t in script.turns if t.every]
    common = [r for r in (asked[0] if asked else ()) if all(r in rules for rules in asked)]
    share = sum(kept) / len(kept) if kept else 0.0
    return Dialogue(
        id=script.name,
        run=run,
        index=number,
        seed=0,
        engine="golden",
        persona=READER,
        goal=Goal(id=script.name, clauses=clauses(common)),
        turns=tuple(turns),
        outcome=Outcome(
            end="crashed" if note else "accepted",
            success=not note and all(kept),
            turn=len(turns) // 2,
            frustrated=not all(kept),
            kept=round(share, 4),
            note=note,
        ),
    )


def run_golden(agent: Agent, scripts: Sequence[Script], run: str) -> Iterator[Dialogue]:
    """Every conversation in turn."""
    for number, script in enumerate(track(scripts, "golden", console=Console(stderr=True))):
        yield play(agent, script, number, run)


def line_of(dialogue: Dialogue) -> str:
    """A line of the run, what is at its default left out."""
    return json.dumps(dialogue.model_dump(mode="json", exclude_defaults=True)) + "\n"


app = typer.Typer(add_completion=False)


@app.command()
def main(
    golden: Annotated[Path, typer.Argument(help="YAML file of conversations.")],
    out: Annotated[Path, typer.Option(help="The run, as JSON lines.")],
    catalog: Annotated[Path | None, typer.Option(help="A built catalogue's folder.")] = None,
) -> None:
    """Play golden conversations and write what came of them."""
    stay_local()
    try:
        scripts = read_golden(golden)
        with tempfile.TemporaryDirectory(prefix="parley-golden-") as home:
            chosen: dict[str, Any] = {"home": Path(home)} | (
                {"catalog": catalog} if catalog else {}
            )
            agent = Agent.open(Settings.load(**chosen))
            found = list(run_golden(agent, scripts, golden.stem))
            agent.close()
        out.write_text("".join(map(line_of, found)), "utf-8")
    except (ParleyError, OSError) as error:
        typer.echo(f"golden: {error}", err=True)
        raise typer.Exit(2) from error
    summary = {
        "conversations": len(found),
        "whole": sum(d.outcome.success for d in found),
        "kept": round(sum(d.outcome.kept or 0.0 for d in found) / len(found), 4),
        "crashed": sum(d.outcome.end == "crashed" for d in found),
        "out": str(out),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    app()
