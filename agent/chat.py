"""The agent in a terminal, and from a script for tests and benchmarks.

    python -m agent.chat
    python -m agent.chat --script turns.txt --thread demo
    python -m agent.chat --catalog path/to/built/catalogue

``--script`` plays each line of a file as a user turn and prints one JSON object a turn.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from agent.agent import Agent, Event
from agent.phrases import clauses_text
from agent.settings import Settings, stay_local
from agent.state import DialogueState, Turn
from catalog.errors import ParleyError


def record(turn: Turn, state: DialogueState, agent: Agent) -> dict[str, Any]:
    """One turn as the JSON object that ``--script`` prints."""
    facets = {f.name: f for f in agent.catalog.domain.facets}
    slate = []
    for unit in turn.slate.reasons if turn.slate else ():
        item = agent.catalog.item(str(unit.item_id))
        facts = {k: list(v) if isinstance(v, tuple) else v for k, v in item.values.items()}
        slate.append({"id": item.id, "title": item.title, **facts, "reason": unit.text})
    trace = turn.trace
    return {
        "reply": turn.text,
        "act": turn.act,
        "slate": slate,
        "constraints": [
            {**c.model_dump(), "text": text}
            for c, text in clauses_text(facets, state.beliefs.clauses)
        ],
        "evidence": [
            {"text": u.text[s.start : s.end], **s.evidence.model_dump()}
            for u in turn.units
            for s in u.spans
        ],
        "model_calls": trace.model_calls if trace else 0,
        "realised_by": [u.realised_by for u in turn.units],
        "first_unit_s": trace.first_unit_s if trace else None,
        "total_s": trace.total_s if trace else None,
    }


def play(agent: Agent, thread: str, lines: list[str]) -> None:
    for line in lines:
        done = next(e for e in agent.turn(thread, line) if e.kind == "done")
        assert done.turn is not None
        print(json.dumps(record(done.turn, agent.state(thread), agent), ensure_ascii=False))
        sys.stdout.flush()


def converse(agent: Agent, thread: str) -> None:
    console = Console()
    domain = agent.catalog.domain
    console.print(
        f"[bold]Parley[/] over {len(agent.catalog):,} {domain.noun_many}. "
        f"Try: {escape(domain.openers[0]) if domain.openers else 'hello'}\n"
        "An empty line or Ctrl-D ends; 'undo' takes the last message back.\n"
    )
    while True:
        try:
            text = console.input("[bold cyan]you[/] > ")
        except (EOFError, KeyboardInterrupt):
            break
        if not text.strip():
            break
        number = 0
        for event in agent.turn(thread, text):
            number = show(console, event, agent, number)
    console.print(f"Go on later with --thread {thread}")


def show(console: Console, event: Event, agent: Agent, number: int) -> int:
    if event.kind == "sentence":
        console.print(escape(event.text))
    if event.kind == "card" and event.item_id:
        number += 1
        title = escape(agent.catalog.item(event.item_id).title)
        console.print(f"  {number}. [bold]{title}[/]: {escape(event.text)}")
    return number


def main(
    script: Annotated[Path | None, typer.Option(help="Play this file's lines as turns.")] = None,
    thread: Annotated[str | None, typer.Option(help="Go on with this conversation.")] = None,
    catalog: Annotated[Path | None, typer.Option(help="A built catalogue's folder.")] = None,
) -> None:
    """Talk with the agent, or play a script of turns."""
    stay_local()
    chosen = {"catalog": catalog} if catalog else {}
    try:
        agent = Agent.open(Settings.load(**chosen))
        name = thread or Agent.new_thread()
        if script is None:
            converse(agent, name)
            return
        if not script.is_file():
            raise ParleyError(f"--script {script}: no such file; give a text file of user turns.")
        lines = [line.strip() for line in script.read_text("utf-8").splitlines()]
        play(agent, name, [line for line in lines if line])
    except ParleyError as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
