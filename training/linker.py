"""Fit and measure title linking on dialogues in which films are marked.

ReDial marks a film as "@12345". The marker is replaced by the film's name without its
year, and the linker has to find it again. Weights are fitted on training and validation
dialogues (each message once as typed or once in lower case); figures count a link as right
when it is the marked film, as wrong when it is another film, or nothing was marked there.
Names that people typed without marking count as wrong too: precision is a lower bound.
Marked films that have no row in the catalogue are left out of both.

    python -m training.linker --redial train.jsonl.gz --redial valid.jsonl.gz --names ids.tsv
    python -m training.linker --measure test.jsonl.gz --names ids.tsv
"""

import gzip
import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from rich.console import Console

from catalog.items import Catalog
from tools.find_title import THRESHOLD, TitleLinker
from tools.mention import BY_HAND, WEIGHTS

ROOT = Path(__file__).resolve().parents[1]


class Marked(NamedTuple):
    """A message and its marked films: (start, end, item id or "" if not in the catalogue)."""

    text: str
    films: tuple[tuple[int, int, str], ...]


class Figures(NamedTuple):
    """Precision and recall of linking, with the counts behind them and milliseconds a message."""

    precision: float
    recall: float
    right: int
    wrong: int
    missed: int
    ms: float


def read_marked(path: Path, ids: dict[str, tuple[str, str]], catalog: Catalog) -> Iterator[Marked]:
    """Messages of a ReDial file, markers replaced. ``ids``: film id -> (name, catalogue id)."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            own = row["movieMentions"] or {}
            for message in row["messages"]:
                text, films, place = "", [], 0
                for m in re.finditer(r"@(\d+)", message["text"]):
                    name, item = ids.get(m.group(1), ("", ""))
                    name = re.sub(r"\s*\(\d{4}\)\s*$", "", own.get(m.group(1)) or name).strip()
                    text += message["text"][place : m.start()]
                    place = m.end()
                    if name:
                        known = item if item and catalog.has(item) else ""
                        films.append((len(text), len(text) + len(name), known))
                    text += name
                yield Marked(text + message["text"][place:], tuple(films))


def measure(linker: TitleLinker, messages: list[Marked], threshold: float = THRESHOLD) -> Figures:
    """Link every message and count; see the module docstring."""
    right = wrong = missed = 0
    began = time.perf_counter()
    for text, films in messages:
        hit: set[int] = set()
        for link in linker.link(text, threshold=threshold):
            if link.kind != "item":
                continue
            at = next(
                (n for n, (s, e, _) in enumerate(films) if link.start < e and link.end > s), -1
            )
            if at >= 0 and films[at][2] == "":
                continue
            if at >= 0 and films[at][2] == link.value and at not in hit:
                hit.add(at)
                right += 1
            else:
                wrong += 1
        missed += sum(1 for n, f in enumerate(films) if f[2] and n not in hit)
    ms = 1e3 * (time.perf_counter() - began) / max(1, len(messages))
    return Figures(
        right / max(1, right + wrong), right / max(1, right + missed), right, wrong, missed, ms
    )


def fit(linker: TitleLinker, messages: list[Marked]) -> dict[str, float]:
    """Weights by logistic regression; ``BY_HAND`` ones keep their value."""
    from sklearn.linear_model import LogisticRegression

    rows, labels = [], []
    for text, films in messages:
        for link, values in linker.candidates(text):
            near = [f for f in films if link.start < f[1] and link.end > f[0]]
            same = any(
                link.start <= s + 4 and abs(link.end - e) <= 1 and link.value == item
                for s, e, item in near
            )
            if same or not near:  # pieces of a marked name are settled by length, not here
                rows.append(values)
                labels.append(same)
    names = list(WEIGHTS)
    matrix = np.array(rows)
    matrix[:, [names.index(n) for n in BY_HAND]] = 0
    model = LogisticRegression(max_iter=2_000, fit_intercept=False).fit(matrix, labels)
    found = dict(zip(names, model.coef_[0].tolist(), strict=True))
    return {n: WEIGHTS[n] if n in BY_HAND else round(found[n], 2) for n in names}


def main(
    names: Annotated[
        Path, typer.Option(help="film id <tab> name <tab> mentions <tab> catalogue id")
    ],
    redial: Annotated[list[Path] | None, typer.Option(help="files to fit the weights on")] = None,
    measured: Annotated[
        list[Path] | None, typer.Option("--measure", help="files to measure")
    ] = None,
    catalog: Annotated[Path, typer.Option(help="a built catalogue")] = ROOT / "catalog/data/movies",
    seed: int = 0,
) -> None:
    """Print fitted weights (to be put into ``tools.mention``) or figures, as JSON lines."""
    console = Console(stderr=True)
    films = Catalog.open(catalog)
    linker = TitleLinker(films)
    table = [line.split("\t") for line in names.read_text("utf-8").splitlines()[1:]]
    ids = {r[0]: (r[1], r[3]) for r in table}
    if redial:
        rng = random.Random(seed)
        messages = [m for path in redial for m in read_marked(path, ids, films)]
        console.print(f"{len(messages)} messages to fit on")
        mixed = [m if rng.random() < 0.5 else Marked(m.text.lower(), m.films) for m in messages]
        print(json.dumps({"weights": fit(linker, mixed)}))
    for path in measured or []:
        messages = list(read_marked(path, ids, films))
        lower = [Marked(m.text.lower(), m.films) for m in messages]
        figures = {"typed": measure(linker, messages), "lower": measure(linker, lower)}
        print(json.dumps({"file": path.name, **{k: v._asdict() for k, v in figures.items()}}))


if __name__ == "__main__":
    typer.run(main)
