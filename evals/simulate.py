"""Simulated people talk to the agent; every conversation becomes a line of a JSON-lines file.

    python -m evals.simulate --n 1000 --out dialogues.jsonl [--workers 8] [--seed 7]
        [--engine agenda|llm|http://HOST/v1] [--catalog DIR] [--personas DIR] [--trials 4]

Workers are threads over one agent, so that its micro-batching queue fills. A run that was
killed goes on where it stopped: a line is written whole or not at all, a torn last line is
cut off, and each dialogue is a function of the seed and its number. The last line printed
is JSON with the counts.
"""

from __future__ import annotations

import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    track,
)

from agent.agent import Agent
from agent.beliefs import excluded
from agent.settings import Settings, stay_local
from agent.state import DialogueState, Turn
from catalog.errors import ParleyError
from catalog.filters import compile
from catalog.items import Catalog
from evals.dialogues import Asked, Dialogue, Goal, Outcome, Persona
from evals.goals import Goals
from evals.persona import PERSONAS, draw, read_personas
from evals.played import open_player
from evals.resume import appending, write_line
from evals.seen import view
from evals.simulator import AgendaUser, User

MAX_TURNS = 14  # user turns; nobody in the arena's dialogues goes beyond 12
MakeUser = Callable[[Goal, Persona, Catalog, int], User]


class Job(NamedTuple):
    """One dialogue to be: everything it depends on."""

    number: int
    trial: int
    seed: int
    persona: Persona
    goal: Goal


class Played(NamedTuple):
    """What came of a conversation, before it is judged."""

    turns: list[Turn]
    allowed: list[int]
    asked: list[Asked]
    error: str


def jobs(catalog: Catalog, people: list[Persona], n: int, trials: int, seed: int) -> Iterator[Job]:
    """``n`` dialogues. The ``trials`` of one goal share persona and goal, not the dice."""
    goals = Goals(catalog)
    for index in range(n):
        group, trial = divmod(index, trials)
        rng = random.Random(f"goal-{seed}-{group}")
        persona = draw(people, rng)
        goal = goals.draw(rng, f"g{seed}-{group:05d}", persona.changes_mind)
        yield Job(index, trial, seed * 1_000_003 + index, persona, goal)


def play(agent: Agent, user: User, thread: str, max_turns: int = MAX_TURNS) -> Played:
    """One conversation, until the user ends it. An agent's failure ends it with its message."""
    turns: list[Turn] = []
    allowed: list[int] = []
    asked: list[Asked] = []
    try:
        said = user.open()
        for _ in range(max_turns):
            done = next(e.turn for e in agent.turn(thread, said) if e.kind == "done")
            assert done is not None  # "done" carries the whole turn
            state = agent.state(thread)
            heard = state.turns[-2] if len(state.turns) > 1 else None
            kept = heard if heard is not None and heard.text == said.strip() else None
            turns += [kept or Turn(role="user", text=said), done]
            allowed.append(int(compile(agent.catalog, state.beliefs.clauses).sum()))
            if done.slate and done.slate.item_ids:
                asked.append(asked_for(agent, state, done, len(allowed) - 1))
            if user.ended:
                break
            said = user.reply(view(done, agent.catalog))
    except ParleyError as error:
        return Played(turns, allowed, asked, f"{type(error).__name__}: {error}")
    except Exception as error:  # a bug of the agent is a finding, not the end of the run
        return Played(turns, allowed, asked, f"{type(error).__name__}: {error}")
    return Played(turns, allowed, asked, "")


def asked_for(agent: Agent, state: DialogueState, done: Turn, number: int) -> Asked:
    """What the slate of ``done`` was chosen from: the recommender's own query, in item ids."""
    ids, slate = agent.catalog.ids, set(done.slate.item_ids if done.slate else ())
    query = agent.parts.recommender.query(state.turns[:-1], state.beliefs)

    def named(rows: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(ids[row] for row in rows)

    return Asked(
        turn=number,
        turns=query.turns,
        delexicalised=query.delexicalised,
        liked=named(query.liked),
        disliked=named(query.disliked),
        seen=named(query.seen),
        anchors=named(query.anchors),
        about=query.about,
        wishes=tuple(
            (w.scale, w.direction, None if w.than is None else ids[w.than]) for w in query.wishes
        ),
        clauses=state.beliefs.clauses,
        excluded=tuple(sorted(excluded(state.beliefs) - slate)),
    )


def judge_outcome(played: Played, user: User, job: Job, catalog: Catalog) -> Outcome:
    """How it went, by what the goal admits. The user never sees this."""
    right = compile(catalog, job.goal.clauses)
    agents = [t for t in played.turns if t.role == "agent"]
    slates = [t.slate.item_ids if t.slate else () for t in agents]
    hits = [
        k
        for k, ids in enumerate(slates, start=1)
        if any(catalog.has(i) and right[catalog.row(i)] for i in ids)
    ]
    accepted = None
    if user.ended == "accepted" and user.chosen is not None:
        which, place = user.chosen
        if which < len(slates) and place < len(slates[which]):
            accepted = slates[which][place]
    end: Any = "crashed" if played.error else user.ended or "out_of_turns"
    success = accepted is not None and bool(right[catalog.row(accepted)])
    strained = user.frustration > 0.5 * job.persona.patience
    return Outcome(
        end=end,
        success=success,
        accepted=accepted,
        turn=len(agents),
        first_hit=hits[0] if hits else None,
        frustration=round(user.frustration, 2),
        frustrated=end != "accepted" or strained,
        note=played.error,
    )


def converse(agent: Agent, job: Job, run: str, engine: str, make: MakeUser) -> Dialogue:
    """One job, done."""
    name = f"{job.seed // 1_000_003}-{job.number:06d}"
    user = make(job.goal, job.persona, agent.catalog, job.seed)
    played = play(agent, user, f"sim-{run}-{name}")
    return Dialogue(
        id=name,
        run=run,
        index=job.number,
        trial=job.trial,
        seed=job.seed,
        engine=engine,
        persona=job.persona,
        goal=job.goal,
        turns=tuple(played.turns),
        allowed=tuple(played.allowed),
        asked=tuple(played.asked),
        outcome=judge_outcome(played, user, job, agent.catalog),
    )


def agenda_user(goal: Goal, persona: Persona, catalog: Catalog, seed: int) -> User:
    return AgendaUser(goal, persona, catalog.domain, seed)


# -------------------------------------------------------------------------- the run


class Tally:
    """Counts and the progress bar's words."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.succeeded = 0
        self.turns = 0
        self.started = time.perf_counter()
        self._cpu = time.process_time()

    def add(self, dialogue: Dialogue) -> None:
        self.ends[dialogue.outcome.end] += 1
        self.succeeded += dialogue.outcome.success
        self.turns += dialogue.outcome.turn

    @property
    def rate(self) -> float:
        """Dialogues a minute so far."""
        return 60 * sum(self.ends.values()) / max(time.perf_counter() - self.started, 1e-9)

    @property
    def cpu(self) -> float:
        """CPU seconds a dialogue so far: what a busy machine does not change."""
        return (time.process_time() - self._cpu) / max(sum(self.ends.values()), 1)

    def words(self) -> str:
        ends = " ".join(f"{k} {v}" for k, v in sorted(self.ends.items()))
        return f"{self.rate:.0f}/min · success {self.succeeded} · {ends}"


def run_all(
    agent: Agent, todo: list[Job], file: Any, run: str, engine: str, make: MakeUser, workers: int
) -> Tally:
    """Play every job with ``workers`` threads, writing each as it ends."""
    tally, lock = Tally(), threading.Lock()
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with (
        Progress(*columns, console=Console(stderr=True)) as bar,
        ThreadPoolExecutor(workers, "simulated") as pool,
    ):
        task = bar.add_task("dialogues", total=len(todo), said="")
        waiting = iter(todo)
        running: set[Future[Dialogue]] = set()
        while True:
            while len(running) < 2 * workers and (job := next(waiting, None)) is not None:
                running.add(pool.submit(converse, agent, job, run, engine, make))
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                dialogue = future.result()
                with lock:
                    write_line(file, dialogue)
                tally.add(dialogue)
                bar.update(task, advance=1, said=tally.words())
    return tally


def run_spread(
    todo: list[Job], file: Any, address: str, workers: int, given: tuple[Any, ...]
) -> Tally:
    """Play every job on a Ray cluster, writing each as it ends. ``given``: see evals.mapping."""
    from evals.mapping import played

    tally = Tally()
    for dialogue in track(
        played(address, workers, todo, given),
        "dialogues",
        total=len(todo),
        console=Console(stderr=True),
    ):
        write_line(file, dialogue)
        tally.add(dialogue)
    return tally


app = typer.Typer(add_completion=False)


@app.command()
def main(
    n: Annotated[int, typer.Option(min=1, help="How many dialogues.")] = 100,
    out: Annotated[Path, typer.Option(help="JSON-lines file; continued if it exists.")] = Path(
        "dialogues.jsonl"
    ),
    personas: Annotated[Path, typer.Option(help="Folder of persona YAML files.")] = PERSONAS,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Dialogues at once.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same people and goals.")] = 0,
    trials: Annotated[int, typer.Option(min=1, help="Dialogues a goal (for pass^k).")] = 1,
    engine: Annotated[
        str, typer.Option(help="Who plays the user: agenda, llm (ours), or an endpoint's URL.")
    ] = "agenda",
    engine_model: Annotated[
        str | None, typer.Option(help="The model's name at that endpoint.")
    ] = None,
    catalog: Annotated[Path | None, typer.Option(help="A built catalogue's folder.")] = None,
    ray: Annotated[
        str | None, typer.Option(help="Play on a Ray cluster: local, auto or HOST:6379.")
    ] = None,
) -> None:
    """Simulate conversations and write them down."""
    stay_local()
    try:
        people = read_personas(personas)
        with tempfile.TemporaryDirectory(prefix="parley-sim-") as home:
            chosen: dict[str, Any] = {"home": Path(home)} | (
                {"catalog": catalog} if catalog else {}
            )
            settings = Settings.load(**chosen)
            # Threads of torch beyond one fight with the workers for the same cores.
            settings = settings.model_copy(
                update={"threads": 1 if workers > 1 else settings.threads}
            )
            agent = Agent.open(settings)
            name = engine if engine in ("agenda", "llm") else f"{engine_model}@{engine}"
            run = f"seed{seed}-t{trials}-{name}-{agent.catalog.fingerprint[:8] or 'lamps'}"
            make = (
                agenda_user if engine == "agenda" else open_player(engine, engine_model, settings)
            )
            with appending(out, run) as (file, done):
                given = (settings, run, engine, engine_model, engine == "agenda")
                todo = [
                    job
                    for job in jobs(agent.catalog, people, n, trials, seed)
                    if job.number not in done
                ]
                if ray is not None:
                    tally = run_spread(todo, file, ray, workers, given)
                else:
                    tally = run_all(agent, todo, file, run, name, make, workers)
    except ParleyError as error:
        typer.echo(f"simulate: {error}", err=True)
        raise typer.Exit(2) from error
    total = sum(tally.ends.values())
    summary = {
        "dialogues": total,
        "already_there": n - len(todo),
        "success": tally.succeeded,
        "ends": dict(tally.ends),
        "turns": tally.turns,
        "per_minute": round(tally.rate, 1),
        "cpu_seconds_a_dialogue": round(tally.cpu, 2),
        "out": str(out),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    app()
