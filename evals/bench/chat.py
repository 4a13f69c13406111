"""How long a person waits: first verified unit and whole turn, over 50 turns.

    python -m evals.bench.chat [--turns 50] [--script FILE]

Plays our own mixed script through the real agent in a fresh home folder. The peer in the
same run is retrieval alone (no language model): the ratio says what the models cost.
The last line is JSON.
"""

import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from agent.agent import Agent
from agent.settings import Settings, stay_local
from agent.state import Turn
from catalog.errors import ParleyError

#: Five openings and what follows; repeated in fresh conversations until enough turns ran.
CONVERSATIONS = (
    ("hello", "a funny one please", "from the nineties", "why the second?", "three more"),
    ("something hopeful about grief", "what is the first about?", "lighter", "thanks"),
    ("I loved {title0} and {title1}", "newer than the first one", "compare 1 and 2", "undo"),
    ("recommend something", "no preference", "not the first one", "seen the second"),
    ("like {title2} but less dark", "nothing before 2000", "how long is the third?", "bye"),
)


def lines(agent: Agent, turns: int) -> list[list[str]]:
    """Conversations of the script with popular titles of this catalogue filled in."""
    order = np.argsort(-agent.catalog.popularity)
    titles = [item.title for item in agent.catalog.items(order[:30].tolist())]
    result: list[list[str]] = []
    count = 0
    k = 0
    while count < turns:
        names = {f"title{j}": titles[(3 * k + j) % len(titles)] for j in range(3)}
        script = [t.format(**names) for t in CONVERSATIONS[k % len(CONVERSATIONS)]]
        result.append(script[: turns - count])
        count += len(result[-1])
        k += 1
    return result


def measure(agent: Agent, turns: int) -> dict[str, list[float]]:
    first, whole, peer = [], [], []
    for k, script in enumerate(lines(agent, turns)):
        for text in script:
            started = time.perf_counter()
            unit_at: float | None = None
            for event in agent.turn(f"bench-{k}", text):
                if unit_at is None and event.kind in ("sentence", "card"):
                    unit_at = time.perf_counter() - started
            whole.append(time.perf_counter() - started)
            first.append(whole[-1] if unit_at is None else unit_at)
            started = time.perf_counter()
            agent.parts.recommender.prior([Turn(role="user", text=text)])
            peer.append(time.perf_counter() - started)
    return {"first": first, "whole": whole, "peer": peer}


def summary(times: dict[str, list[float]], start_s: float) -> dict[str, Any]:
    def p(name: str, q: float) -> float:
        return round(float(np.percentile(times[name], q)), 3)

    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "turns": len(times["whole"]),
        "first_unit_p50_s": p("first", 50),
        "first_unit_p95_s": p("first", 95),
        "turn_p50_s": p("whole", 50),
        "turn_p95_s": p("whole", 95),
        "retrieval_p50_s": p("peer", 50),
        "turn_over_retrieval": round(p("whole", 50) / max(p("peer", 50), 1e-4), 1),
        "rss_mb": round(rss),
        "start_s": round(start_s, 2),
    }


def main(
    turns: Annotated[int, typer.Option(min=1, help="How many user turns to play.")] = 50,
) -> None:
    """Print the waiting times of a chat on this machine."""
    stay_local()
    try:
        with tempfile.TemporaryDirectory() as home:
            # The vector index is built on the first start; a warm start is what is timed.
            Agent.open(Settings.load(home=Path(home)))
            started = time.perf_counter()
            agent = Agent.open(Settings.load(home=Path(home)))
            start_s = time.perf_counter() - started
            result = summary(measure(agent, turns), start_s)
    except ParleyError as error:
        typer.echo(f"bench: {error}", err=True)
        raise typer.Exit(2) from error
    for key, value in result.items():
        print(f"{key:>20}  {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    typer.run(main)
