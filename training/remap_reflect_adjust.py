"""Target slates for the warm start: Remap, Reflect, Adjust.

A teacher's list of 20 for a conversation is moved onto the catalogue (remap), corrected by
the teacher's own ratings (reflect), and fitted to what people really took (adjust):

    s = p (S_item_item + I_exact) + lambda s_conv_item,      p = 1 / sqrt(rank)
    s += 0.5 r,                                              r in {-2 ... 2}, best ~100 items
    s_final = w * s + b per item;  minimise  -sum log softmax(s_final)[truth]
              + .01 ||w - 1||^2 + .01 ||b||^2

The 20 best of ``s_final`` are the slate that ``training.sft`` learns from. The teacher is
any OpenAI-compatible endpoint; without one the retrieval prior's list stands for it and no
rating is asked for: the report says which. Source: arXiv 2510.20150, section on the warm
start.

    python -m training.remap_reflect_adjust --catalog DIR --prompts DIR/train.npz --out FILE \\
        [--teacher URL --teacher-model NAME]
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.console import Console
from rich.progress import track

from catalog.errors import ParleyError
from catalog.items import Catalog
from training.rl_prompts import Prompt, Prompts, codes_fingerprint

Floats = npt.NDArray[np.float32]
LISTED = 20
RATED = 100
PENALTY = 0.01
RATING = re.compile(r"^\s*(\d{1,3})\s*[.):]\s*([+-]?[0-2])\b", re.MULTILINE)

#: conversation -> the teacher's list of rows, best first
Lists = Callable[[Prompt], Sequence[int]]
#: conversation, candidate rows -> a rating in {-2 ... 2} each, or None when it gave none
Ratings = Callable[[Prompt, Sequence[int]], list[int] | None]


class TeacherError(ParleyError):
    """The teacher could not be asked, or nothing in its answers could be read."""


class Adjusted(NamedTuple):
    """``weight`` and ``bias`` (N,); ``loss`` before and after, mean over (turn, item) pairs."""

    weight: Floats
    bias: Floats
    before: float
    after: float


def remap(listed: Sequence[int], vectors: Floats, said: Floats, *, strength: float = 1.0) -> Floats:
    """Scores of all items from the teacher's list. Shape: ``(N,)``.

    ``listed``: rows, best first. ``vectors``: (N, d) and ``said`` (d,), L2-normalised: the
    items' metadata and the conversation in one space. ``strength`` is lambda.
    """
    scores = (strength * (vectors @ said)).astype(np.float32)
    for rank, row in enumerate(listed, 1):
        share = 1 / np.sqrt(rank)
        scores += share * (vectors @ vectors[row])
        scores[row] += share
    return scores


def reflect(scores: Floats, rows: Sequence[int], ratings: Sequence[int] | None) -> Floats:
    """Scores plus half of each rating; ``ratings`` None leaves them as they are."""
    out = scores.copy()
    if ratings is None:
        return out
    wrong = [r for r in ratings if not -2 <= r <= 2]
    if wrong or len(ratings) != len(rows):
        raise TeacherError(
            f"{len(ratings)} ratings for {len(rows)} items, out of range: {wrong}; one of "
            "-2 ... 2 is needed for each."
        )
    out[list(rows)] += 0.5 * np.asarray(ratings, dtype=np.float32)
    return out


def adjust(
    scores: Floats, truths: Sequence[Sequence[int]], *, steps: int = 200, lr: float = 0.05
) -> Adjusted:
    """Fit one weight and one bias an item to what people took.

    ``scores``: (T, N), one row a conversation; ``truths``: rows taken in each. Full-batch
    Adam; the problem is convex in the bias and the penalties keep rare items near (1, 0).
    """
    table = torch.from_numpy(scores)
    turn = torch.tensor([t for t, rows in enumerate(truths) for _ in rows])
    item = torch.tensor([row for rows in truths for row in rows])
    weight = torch.ones(scores.shape[1], requires_grad=True)
    bias = torch.zeros(scores.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=lr)

    def likelihood() -> torch.Tensor:
        logs = torch.log_softmax(weight * table + bias, dim=1)
        return -logs[turn, item].sum()

    with torch.no_grad():
        before = float(likelihood()) / len(item)
    for _ in range(steps):
        loss = likelihood() + PENALTY * ((weight - 1) ** 2).sum() + PENALTY * (bias**2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        after = float(likelihood()) / len(item)
    return Adjusted(weight.detach().numpy(), bias.detach().numpy(), before, after)


def parse_ratings(text: str, count: int) -> list[int] | None:
    """Ratings of ``count`` numbered lines ("3. +1"), unrated ones 0; None when none is there."""
    found = {int(number): int(rating) for number, rating in RATING.findall(text)}
    known = {k: r for k, r in found.items() if 1 <= k <= count}
    return [known.get(k, 0) for k in range(1, count + 1)] if known else None


def retrieval_lists(prompt: Prompt) -> Sequence[int]:
    """The prior's own best 20, in the place of a teacher."""
    order = np.argsort(-prompt.shares, kind="stable")[:LISTED]
    return [int(row) for row in prompt.top[order]]


def slates(
    prompts: Prompts, catalog: Catalog, lists: Lists, ratings: Ratings | None, n: int = LISTED
) -> tuple[list[list[int]], Adjusted]:
    """The target slate of every prompt, and what was fitted. Items that may not be shown
    are left out."""
    table = np.zeros((len(prompts), len(catalog)), np.float32)
    for k in track(range(len(prompts)), description="remap, reflect"):
        prompt = prompts[k]
        scores = remap(lists(prompt), catalog.vectors, prompt.vector)
        scores[prompt.gone] = -np.inf
        if ratings is not None:
            best = [int(row) for row in np.argsort(-scores, kind="stable")[:RATED]]
            scores = reflect(scores, best, ratings(prompt, best))
        table[k] = np.nan_to_num(scores, neginf=-10.0)
    fitted = adjust(table, [prompts[k].targets.tolist() for k in range(len(prompts))])
    made = []
    for k in range(len(prompts)):
        final = fitted.weight * table[k] + fitted.bias
        final[prompts[k].gone] = -np.inf
        made.append([int(row) for row in np.argsort(-final, kind="stable")[:n]])
    return made, fitted


def endpoint_ratings(url: str, model: str, catalog: Catalog) -> Ratings:
    """Ask an OpenAI-compatible endpoint to rate numbered items for what is known of a person."""
    from agent.llm import EndpointLLM, Request
    from agent.talker import render

    llm = EndpointLLM(url, model)

    def rate(prompt: Prompt, rows: Sequence[int]) -> list[int] | None:
        text = render(
            "teacher_rate",
            noun=catalog.domain.noun_one,
            liked=[catalog.item(int(row)).title for row in prompt.gone[:12]],
            items=[catalog.item(int(row)).title for row in rows],
        )
        (answer,) = llm.generate([Request(prompt=text, max_tokens=12 * len(rows))])
        return parse_ratings(answer.text, len(rows))

    return rate


def main(
    catalog: Annotated[Path, typer.Option(help="built catalogue")],
    prompts: Annotated[Path, typer.Option(help="train.npz of training.rl_prompts")],
    out: Annotated[Path, typer.Option(help="JSON lines: one target slate a prompt")],
    teacher: Annotated[str | None, typer.Option(help="OpenAI-compatible URL")] = None,
    teacher_model: Annotated[str | None, typer.Option(help="model name there")] = None,
    use: Annotated[int, typer.Option(help="prompts fitted at once (memory: 4 N bytes each)")] = 800,
) -> None:
    """Make the slates; the last line is JSON."""
    console = Console(stderr=True)
    try:
        if teacher and not teacher_model:
            raise TeacherError("--teacher needs --teacher-model: the model's name at that URL.")
        opened = Catalog.open(catalog)
        held = Prompts.load(prompts, codes_fingerprint(opened))
        rate = endpoint_ratings(teacher, str(teacher_model), opened) if teacher else None
        part = held.first(use)
        made, fitted = slates(part, opened, retrieval_lists, rate)
    except ParleyError as error:
        console.print(f"[red]{error}[/red]")
        raise typer.Exit(1) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as file:
        for index, rows in enumerate(made):
            file.write(json.dumps({"index": index, "slate": [opened.ids[r] for r in rows]}) + "\n")
    print(
        json.dumps(
            {
                "slates": len(made),
                "teacher": teacher or "retrieval prior (no teacher was given)",
                "loss_before": round(fitted.before, 4),
                "loss_after": round(fitted.after, 4),
            }
        )
    )


if __name__ == "__main__":
    typer.run(main)
