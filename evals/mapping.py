"""What a worker of a Ray cluster does in the batch jobs of evals: plays dialogues, or judges them.

    python -m evals.simulate --n 10000 --ray auto --workers 32 --out dialogues.jsonl
    python -m evals.judge dialogues.jsonl --ray auto --workers 8 --cache verdicts

``--workers`` is the number of processes over the whole cluster. Each opens its own agent or judge
with the settings of whoever started the job, so a model's server that they ask (PARLEY_TALKER) has
to be reachable from every machine. Lines are written by the starter alone: see catalog.mapping.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from agent.settings import Settings, stay_local
from catalog.mapping import cluster, spread
from evals.dialogues import Dialogue
from evals.judges import Judge, Verdict
from evals.played import open_player
from evals.rubric import Rubric


class Playing:
    """Plays one job after another with an agent of its own; the dialogue as a line of JSON."""

    def __init__(
        self, settings: Settings, run: str, engine: str, model: str | None, agenda: bool
    ) -> None:
        # Here, so that judging does not load what playing needs.
        from agent.agent import Agent
        from evals.simulate import agenda_user

        stay_local()
        self._home = tempfile.TemporaryDirectory(prefix="parley-sim-")
        mine = settings.model_copy(update={"home": Path(self._home.name), "threads": 1})
        self._agent = Agent.open(mine)
        self._make = agenda_user if agenda else open_player(engine, model, mine)
        self._run, self._engine = run, engine if agenda or model is None else f"{model}@{engine}"

    def __call__(self, job: tuple[Any, ...]) -> str:
        from evals.simulate import Job, converse

        made = converse(self._agent, Job(*job), self._run, self._engine, self._make)
        return made.model_dump_json()


class Question(NamedTuple):
    """Some of a judge's questions by one rubric; its subjects are conversations or pairs."""

    kind: Literal["absolute", "pairwise"]
    rubric: Rubric
    subjects: list[Any]

    def put_to(self, judge: Judge) -> list[Verdict]:
        """Its answers, one a subject."""
        if self.kind == "absolute":
            return judge.absolute(self.rubric, self.subjects)
        return judge.pairwise(self.rubric, self.subjects)


class Judging:
    """Answers one question after another with a judge of its own."""

    def __init__(self, url: str | None, model: str | None, settings: Settings) -> None:
        from evals.judge import open_judge

        stay_local()
        self._judge = open_judge(url, model, settings)

    def __call__(self, asked: Question) -> list[Verdict]:
        return asked.put_to(self._judge)


class Spread(NamedTuple):
    """Where judging is done: the cluster, how many workers, and the judge that each opens."""

    address: str
    workers: int
    url: str | None
    model: str | None
    settings: Settings

    def verdicts(self, questions: Sequence[Question]) -> Iterator[tuple[int, list[Verdict]]]:
        """Each question's place and verdicts, as they are ready."""
        with cluster(self.address, self.workers):
            given = (self.url, self.model, self.settings)
            yield from spread(Judging, given, questions, self.workers)


def played(
    address: str,
    workers: int,
    todo: Sequence[tuple[Any, ...]],
    arguments: tuple[Settings, str, str, str | None, bool],
) -> Iterator[Dialogue]:
    """The dialogues of ``todo``, as they end. ``arguments``: those of ``Playing``."""
    # As plain tuples: where simulate is the main module, its types have another name there.
    with cluster(address, workers):
        for _, line in spread(Playing, arguments, [tuple(job) for job in todo], workers):
            yield Dialogue.model_validate_json(line)
