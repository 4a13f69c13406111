"""How long a catalogue of a million rows takes to build and open, and how much memory.

The table is invented and its vectors are drawn at random around cluster centres (``--vectors``),
because encoding a million texts takes hours on two cores: the rate is measured and the time said.
Every step runs in a process of its own, so that its peak memory is its own.

    python -m evals.bench.build_catalog --rows 1000000 --home DIR
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer

from catalog.embed import DIM, Embedder

STEPS = {
    "read_and_guess": "from catalog.build import prepare; prepare(Path(sys.argv[1]))",
    "build": (
        "from catalog.build import build; "
        "build(Path(sys.argv[1]), Path(sys.argv[2]), given=Path(sys.argv[3]), "
        "interactions=Path(sys.argv[4]))"
    ),
    "open": "from catalog.items import Catalog; len(Catalog.open(sys.argv[2]))",
    "update": "from catalog.update import update; update(Path(sys.argv[2]), Path(sys.argv[5]))",
    "rebuild": (
        "from catalog.build import build; "
        "build(Path(sys.argv[1]), Path(sys.argv[2]), given=Path(sys.argv[3]), "
        "interactions=Path(sys.argv[4]))"
    ),
}
TIMED = (
    "import json, resource, sys, time; from pathlib import Path; start = time.monotonic(); {code}; "
    "print(json.dumps([time.monotonic() - start, "
    "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))"
)


def main(
    rows: Annotated[int, typer.Option(help="rows of the table")] = 1_000_000,
    home: Annotated[Path, typer.Option(help="folder for the files, some gigabytes")] = Path("runs"),
    seed: Annotated[int, typer.Option(help="seed of the invented rows")] = 0,
) -> None:
    """Print seconds and peak megabytes of every step; the last line is JSON."""
    home.mkdir(parents=True, exist_ok=True)
    files = [home / name for name in ("rows.csv", "out", "rows.npy", "taken.csv", "new.csv")]
    invent(files[0], files[3], files[4], rows, np.random.default_rng(seed))
    invent_vectors(files[2], rows, np.random.default_rng(seed + 1))
    results: list[dict[str, object]] = []
    for name, code in STEPS.items():
        done = subprocess.run(
            [sys.executable, "-c", TIMED.format(code=code), *map(str, files)],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, peak = json.loads(done.stdout.splitlines()[-1])
        results.append({"step": name, "rows": rows, "s": round(seconds, 1), "mb": round(peak)})
        print(results[-1], flush=True)
    rate = embedding_rate(files[0])
    hours = rows / rate / 3600
    print(f"embedding: {rate:.0f} texts a second on one thread, {hours:.1f} h for {rows} rows")
    print(json.dumps([*results, {"step": "embedding", "rows": rows, "s": round(rows / rate)}]))


def invent(path: Path, taken: Path, new: Path, n: int, rng: np.random.Generator) -> None:
    """A shop's table, who bought what, and ten rows that come later."""
    kinds = np.array("kettle lamp rug desk shelf vase clock stool bowl tray".split())
    rooms = np.array(["kitchen", "kitchen;hall", "study", "bedroom;study", "garden"])
    makers = np.array([f"Maker {k}" for k in range(400)])
    pick = rng.integers
    kind = kinds[pick(len(kinds), size=n)]
    number = np.arange(n)
    maker = makers[pick(len(makers), size=n)]
    frame = pl.DataFrame(
        {
            "sku": [f"s-{k}" for k in number],
            "name": [f"{a} {b} {c}" for a, b, c in zip(maker, kind, number, strict=True)],
            "type": kind,
            "maker": maker,
            "rooms": rooms[pick(len(rooms), size=n)],
            "price (€)": [f"{p:.2f}" for p in rng.lognormal(3.5, 0.8, n)],
            "weight": [f"{g} g" for g in pick(50, 9000, size=n)],
            "stock": pick(40, size=n),
            "year": pick(1990, 2026, size=n),
            "description": [
                f"A {k} of the plain kind, number {i % 977}, made for people who like it quiet."
                for i, k in enumerate(kind)
            ],
        }
    )
    frame.write_csv(path)
    frame.head(10).with_columns(
        (pl.col("sku") + "-new").alias("sku"), (pl.col("name") + " new").alias("name")
    ).write_csv(new)
    m = 3 * n
    item = (n * rng.random(m) ** 2).astype(np.int64)
    users = pick(n // 4 + 1, size=m)
    pl.DataFrame({"user": users, "item": [f"s-{k}" for k in item]}).write_csv(taken)


def invent_vectors(path: Path, n: int, rng: np.random.Generator) -> None:
    """Unit rows around 2,000 centres, written piece by piece."""
    centres = rng.normal(size=(2_000, DIM)).astype(np.float32)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, DIM))
    for start in range(0, n, 50_000):
        size = min(50_000, n - start)
        rows = centres[rng.integers(len(centres), size=size)]
        rows = rows + 0.7 * rng.standard_normal((size, DIM), dtype=np.float32)
        out[start : start + size] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    out.flush()


def embedding_rate(path: Path) -> float:
    """Texts a second of the encoder on one thread, over 500 of the rows."""
    texts = pl.read_csv(path, n_rows=500)["description"].to_list()
    encoder = Embedder(threads=1)
    encoder.encode(texts[:32])
    start = time.monotonic()
    encoder.encode(texts)
    return len(texts) / (time.monotonic() - start)


if __name__ == "__main__":
    typer.run(main)
