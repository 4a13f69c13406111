"""The curves of a ladder as one small SVG: a quantity against the step, an arm a line.

    python -m training.curves ladder/ladder.json --out docs/images/ladder.svg --what reward

Runs of an arm are averaged over seeds and smoothed over a few steps; the band is the spread of
the seeds. No plotting package: a file of some kilobytes that any page shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import typer

WIDTH, HEIGHT, LEFT, BELOW, RIGHT, ABOVE = 640, 320, 56, 36, 120, 16
COLOURS: Final = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a", "#bf3989")
Floats = npt.NDArray[np.float64]


def smooth(values: Floats, width: int) -> Floats:
    """A running mean along the last axis that is shorter at both ends."""
    kernel = np.ones(width)
    weight = np.convolve(np.ones(values.shape[-1]), kernel, "same")
    rows = [np.convolve(row, kernel, "same") / weight for row in np.atleast_2d(values)]
    return np.array(rows)


def series(runs: dict[str, list[dict[str, Any]]], what: str) -> dict[str, Floats]:
    """Per arm (seeds, steps); arms that do not log ``what`` are left out."""
    found = {}
    for arm, made in runs.items():
        rows = [[step[what] for step in run["curve"] if what in step] for run in made]
        length = min(map(len, rows))
        if length:
            found[arm] = np.array([row[:length] for row in rows], dtype=np.float64)
    return found


def svg(curves: dict[str, Floats], title: str, width: int = 7) -> str:
    """The picture. ``curves``: per arm (seeds, steps)."""
    smoothed = {arm: smooth(values, width) for arm, values in curves.items()}
    low = min(float(v.min()) for v in smoothed.values())
    high = max(float(v.max()) for v in smoothed.values())
    span = (high - low) or 1.0
    steps = max(v.shape[1] for v in smoothed.values())

    def at(step: float, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / max(steps - 1, 1)
        y = HEIGHT - BELOW - (HEIGHT - BELOW - ABOVE) * (value - low) / span
        return f"{x:.1f},{y:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="{HEIGHT - 8}">step (0 to {steps - 1})</text>',
        f'<text x="{LEFT + 150}" y="{HEIGHT - 8}">{title}</text>',
    ]
    for value in (low, (low + high) / 2, high):
        x, y = at(0, value).split(",")
        parts.append(f'<text x="4" y="{float(y) + 4:.1f}">{value:.3f}</text>')
        parts.append(f'<path d="M{x},{y} L{at(steps - 1, value)}" stroke="#d8dee4" fill="none"/>')
    for k, (arm, values) in enumerate(smoothed.items()):
        colour = COLOURS[k % len(COLOURS)]
        mean = values.mean(0)
        if len(values) > 1:
            top = [at(s, v) for s, v in enumerate(values.max(0))]
            bottom = [at(s, v) for s, v in enumerate(values.min(0))][::-1]
            parts.append(
                f'<polygon points="{" ".join(top + bottom)}" fill="{colour}" opacity="0.12"/>'
            )
        line = " ".join(at(s, v) for s, v in enumerate(mean))
        parts.append(f'<polyline points="{line}" stroke="{colour}" fill="none" stroke-width="2"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT + 8}" y="{ABOVE + 16 * (k + 1)}" fill="{colour}">{arm}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(
    ladder: Annotated[Path, typer.Argument(help="ladder.json")],
    out: Annotated[Path, typer.Option(help="SVG to write")],
    what: Annotated[str, typer.Option(help="reward, hits, kl, entropy, zero_std_ranks")] = "reward",
) -> None:
    """Draw one quantity of every arm that logs it."""
    curves = series(json.loads(ladder.read_text())["runs"], what)
    if not curves:
        raise typer.BadParameter(f"no run logs {what!r}")
    out.write_text(svg(curves, what), encoding="utf-8")
    print(f"{len(curves)} arms in {out}")


if __name__ == "__main__":
    typer.run(main)
