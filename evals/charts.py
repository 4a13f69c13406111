"""Small plots as inline SVG: bars with intervals, histograms. No script, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evals.outcomes import Figure

COLOURS = ("#3d5a80", "#c8553d", "#588157", "#8d6a9f", "#b08968")
ROW, LABEL, WIDTH = 22, 190, 640


def bars(rows: Sequence[tuple[str, Sequence[Figure]]], top: float = 1.0) -> str:
    """Horizontal bars, one group a row and one bar a run, whiskers for the intervals.

    ``top`` is the value at the right edge.
    """
    runs = max((len(figures) for _, figures in rows), default=0)
    height = sum(ROW * max(runs, 1) + 8 for _ in rows) + 8
    scale = (WIDTH - LABEL - 70) / max(top, 1e-9)
    parts, y = [], 4
    for name, figures in rows:
        middle = y + ROW * runs / 2 + 4
        parts.append(
            f'<text x="{LABEL - 8}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>'
        )
        for k, figure in enumerate(figures):
            x, mid = LABEL, y + ROW // 2
            w = max(0.0, min(figure.mean, top)) * scale
            low, high = (LABEL + max(0.0, min(v, top)) * scale for v in (figure.low, figure.high))
            parts.append(
                f'<rect x="{x}" y="{y + 3}" width="{w:.1f}" height="{ROW - 6}" '
                f'fill="{COLOURS[k % len(COLOURS)]}"/>'
                f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{mid}" y2="{mid}" stroke="#222"/>'
                f'<text x="{max(LABEL + w, high) + 6:.1f}" y="{mid + 4}">{figure.mean:.3g}</text>'
            )
            y += ROW
        y += 8
    return _svg(parts, height)


def histogram(series: Sequence[tuple[str, Sequence[int]]], label: str) -> str:
    """Shares of whole numbers, the runs side by side. ``label`` stands below the axis."""
    top = max((max(values, default=0) for _, values in series), default=0)
    low = min((min(values, default=0) for _, values in series), default=0)
    bins = list(range(low, top + 1))
    listed = [list(values) for _, values in series]
    shares = [[v.count(b) / max(len(v), 1) for b in bins] for v in listed]
    peak = max((max(s, default=0) for s in shares), default=0) or 1
    step = (WIDTH - 40) / max(len(bins), 1)
    wide = step * 0.8 / max(len(series), 1)
    parts = []
    for k, row in enumerate(shares):
        for place, share in enumerate(row):
            h = 120 * share / peak
            parts.append(
                f'<rect x="{30 + place * step + k * wide:.1f}" y="{130 - h:.1f}" '
                f'width="{wide:.1f}" height="{h:.1f}" fill="{COLOURS[k % len(COLOURS)]}"/>'
            )
    every = max(1, len(bins) // 16)
    for place, value in enumerate(bins):
        if place % every == 0:
            parts.append(f'<text x="{30 + (place + 0.4) * step:.1f}" y="146">{value}</text>')
    parts.append(f'<text x="{WIDTH // 2}" y="164" text-anchor="middle">{escape(label)}</text>')
    return _svg(parts, 170)


def legend(names: Sequence[str]) -> str:
    """Which colour is which run."""
    marks = (
        f'<span style="color:{COLOURS[k % len(COLOURS)]}">■</span> {escape(name)}'
        for k, name in enumerate(names)
    )
    return f"<p>{' &nbsp; '.join(marks)}</p>"


def _svg(parts: Sequence[str], height: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" '
        f'font-family="sans-serif" font-size="12" role="img">{"".join(parts)}</svg>'
    )
