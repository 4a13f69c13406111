"""Two slate models side by side, as people took them: a report from their feedback.

    python -m agent.feedback export --out feedback.jsonl --turns turns.jsonl
    python -m evals.ab feedback.jsonl --turns turns.jsonl [--out report.json]

Per arm of ``PARLEY_AB``: choices, thumbs, refusals and "seen it" per hundred replies with cards,
replies per conversation, each with its 95 % bootstrap interval, and the difference to the first
arm with its own. People are resampled whole, because one person's replies are not independent;
the arms apart from each other, because nobody is in both. Without ``--turns`` a reply is one that
got feedback and a conversation stands for a person: rates are then among those only.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console
from rich.table import Table

from agent.feedback import Row, Shown
from catalog.errors import ParleyError
from evals.metrics import resampled

KINDS = ("accept", "thumb_up", "thumb_down", "reject", "seen")
LENGTH = "replies a conversation"
LABELS = {
    "accept": "chosen",
    "thumb_up": "thumbs up",
    "thumb_down": "thumbs down",
    "reject": "refused",
    "seen": "known already",
}


class FeedbackError(ParleyError):
    """A file of feedback that cannot be read, or that holds nothing to compare."""


class Estimate(BaseModel):
    """A mean with its 95 % interval."""

    model_config = ConfigDict(frozen=True)
    mean: float
    low: float
    high: float


class ArmReport(BaseModel):
    """One arm. ``rates``: per hundred replies with cards; ``versus``: minus the first arm's."""

    name: str
    people: int
    conversations: int
    replies: int
    counts: dict[str, int]
    rates: dict[str, Estimate]
    versus: dict[str, Estimate]


class Reply(NamedTuple):
    """A reply with cards, and how often each kind of feedback was given to it."""

    thread: str
    user: str
    adapter: str
    counts: Counter[str]


def replies(rows: Sequence[Row], turns: Sequence[Shown] | None) -> list[Reply]:
    """Every reply to count by. ``FeedbackError`` where the two files are not of one export."""
    given: dict[tuple[str, int], Counter[str]] = {}
    adapters: dict[tuple[str, int], str] = {}
    for row in rows:
        given.setdefault((row.thread, row.turn), Counter())[row.kind] += 1
        adapters[row.thread, row.turn] = row.adapter
    if turns is None:
        return [
            Reply(thread, thread, adapters[thread, turn], counts)
            for (thread, turn), counts in given.items()
        ]
    known = {(t.thread, t.turn) for t in turns}
    strange = [key for key in given if key not in known]
    if strange:
        raise FeedbackError(
            f"Feedback on reply {strange[0][1]} of conversation {strange[0][0]} is not in --turns "
            f"({len(strange)} such): export both files at once."
        )
    made = []
    for turn in turns:
        if turn.items:
            counts = given.get((turn.thread, turn.turn), Counter()).copy()
            if turn.thumb:
                counts[turn.thumb] += 1
            made.append(Reply(turn.thread, turn.user, turn.adapter, counts))
    return made


def report(rows: Sequence[Row], turns: Sequence[Shown] | None, seed: int = 0) -> list[ArmReport]:
    """The arms by name, the first one the base of the differences.

    Raises:
        FeedbackError: nothing to count, or files that do not belong together.
    """
    found = replies(rows, turns)
    names = sorted({reply.adapter for reply in found})
    if not names:
        raise FeedbackError("No reply with cards: nobody was shown anything yet.")
    reports: list[ArmReport] = []
    base: dict[str, np.ndarray] = {}
    base_means: dict[str, float] = {}
    for place, name in enumerate(names):
        mine = [reply for reply in found if reply.adapter == name]
        draws, means = measures(mine, seed + place)
        versus = {}
        if place:
            versus = {
                what: estimate(means[what] - base_means[what], draws[what] - base[what])
                for what in draws
            }
        else:
            base, base_means = draws, means
        reports.append(
            ArmReport(
                name=name or "(none)",
                people=len({reply.user for reply in mine}),
                conversations=len({reply.thread for reply in mine}),
                replies=len(mine),
                counts={kind: sum(reply.counts[kind] for reply in mine) for kind in KINDS},
                rates={what: estimate(means[what], draws[what]) for what in draws},
                versus=versus,
            )
        )
    return reports


def measures(mine: Sequence[Reply], seed: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Resampled values, ``(RESAMPLES,)``, and means of every measure of one arm."""
    users = [reply.user for reply in mine]
    ones = np.ones(len(mine))
    draws, means = {}, {}
    for kind in KINDS:
        values = np.array([100.0 * reply.counts[kind] for reply in mine])
        draws[kind] = resampled(values, ones, users, seed)
        means[kind] = float(values.mean())
    length = Counter(reply.thread for reply in mine)
    whose = {reply.thread: reply.user for reply in mine}
    sizes = np.array([float(n) for n in length.values()])
    draws[LENGTH] = resampled(sizes, np.ones(len(sizes)), [whose[t] for t in length], seed)
    means[LENGTH] = float(sizes.mean())
    return draws, means


def estimate(mean: float, draws: np.ndarray) -> Estimate:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Estimate(mean=round(mean, 4), low=round(float(low), 4), high=round(float(high), 4))


def read(path: Path, kind: type[Any]) -> list[Any]:
    """The rows of a file. ``FeedbackError`` names the line that cannot be read."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FeedbackError(f"{path} cannot be read ({error}).") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise FeedbackError(f"{path}, line {number}: {where} {first['msg']}.") from error
    return found


def shown(reports: Sequence[ArmReport]) -> Table:
    """The report as a table: an arm a column, differences beside."""
    table = Table("per 100 replies with cards")
    for place, arm in enumerate(reports):
        table.add_column(arm.name, justify="right")
        if place:
            table.add_column(f"{arm.name} minus {reports[0].name}", justify="right")
    for label, of in (
        ("people", lambda a: str(a.people)),
        ("conversations", lambda a: str(a.conversations)),
        ("replies with cards", lambda a: str(a.replies)),
    ):
        cells = []
        for place, arm in enumerate(reports):
            cells += [of(arm), ""] if place else [of(arm)]
        table.add_row(label, *cells)
    for what in (*KINDS, LENGTH):
        cells = []
        for arm in reports:
            cells.append(spelled(arm.rates[what]))
            if arm.versus:
                cells.append(spelled(arm.versus[what], sign=True))
        table.add_row(LABELS.get(what, what), *cells)
    return table


def spelled(value: Estimate, sign: bool = False) -> str:
    plus = "+" if sign else ""
    return f"{value.mean:{plus}.1f} ({value.low:{plus}.1f} … {value.high:{plus}.1f})"


def main(
    feedback: Annotated[Path, typer.Argument(help="what agent.feedback export --out wrote")],
    turns: Annotated[Path | None, typer.Option(help="what its --turns wrote")] = None,
    out: Annotated[Path | None, typer.Option(help="the report as JSON")] = None,
    seed: Annotated[int, typer.Option(help="of the bootstrap")] = 0,
) -> None:
    """Compare the arms of PARLEY_AB by what people did."""
    try:
        every = read(turns, Shown) if turns else None
        reports = report(read(feedback, Row), every, seed)
    except ParleyError as error:
        typer.echo(f"parley: {error}", err=True)
        raise typer.Exit(1) from error
    Console().print(shown(reports))
    if out is not None:
        made = [arm.model_dump() for arm in reports]
        out.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    typer.run(main)
