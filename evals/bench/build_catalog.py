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


KINDS = "kettle lamp rug desk shelf vase clock stool bowl tray mirror bench".split()
COLOURS = "amber blue coral grey ivory jade ochre plum rust sage slate white".split()
STUFF = "birch brass clay copper cork glass iron linen oak pewter silk willow".split()
SYLLABLES = (
    "bel dor fen gal hol jun kar lum mer nor ost pel quin rav sol tam ul vor wen zel".split()
)
ROOMS = ["kitchen", "kitchen;hall", "study", "bedroom;study", "garden", "hall", "bathroom"]


def names(numbers: np.ndarray) -> list[str]:
    """Invented proper names, another one for every number below 160,000: "Feldorvora"."""
    k = len(SYLLABLES)
    return [
        "".join(SYLLABLES[n // k**i % k] for i in range(3 if n < k**3 else 4)).capitalize()
        for n in numbers.tolist()
    ]


def invent(path: Path, taken: Path, new: Path, n: int, rng: np.random.Generator) -> None:
    """A shop's table, who bought what, and ten rows that come later.

    Titles are such as people would name: "Feldor Amber Oak Lamp", at a million all different.
    """
    pick = rng.integers
    number = np.arange(n)
    kind = np.array(KINDS)[pick(len(KINDS), size=n)]
    colour = np.array(COLOURS)[pick(len(COLOURS), size=n)]
    stuff = np.array(STUFF)[pick(len(STUFF), size=n)]
    called = names(number % 160_000)
    maker = np.array([f"{name} Works" for name in names(np.arange(20_000))])
    frame = pl.DataFrame(
        {
            "sku": [f"s-{k}" for k in number],
            "name": [
                f"{a} {b} {c} {d}".title()
                for a, b, c, d in zip(called, colour, stuff, kind, strict=True)
            ],
            "type": kind,
            "maker": maker[(len(maker) * rng.random(n) ** 3).astype(np.int64)],
            "colour": colour,
            "material": stuff,
            "rooms": np.array(ROOMS)[pick(len(ROOMS), size=n)],
            "price (€)": [f"{p:.2f}" for p in rng.lognormal(3.5, 0.8, n)],
            "weight": [f"{g} g" for g in pick(50, 9000, size=n)],
            "stock": pick(40, size=n),
            "year": pick(1990, 2026, size=n),
            "description": [
                f"A {b} {d} of {c}, the {a} pattern, made for people who like a quiet {e}."
                for a, b, c, d, e in zip(
                    called,
                    colour,
                    stuff,
                    kind,
                    rng.choice(["room", "morning", "hour"], n),
                    strict=True,
                )
            ],
        }
    )
    frame.write_csv(path)
    frame.head(10).with_columns(
        (pl.col("sku") + "-new").alias("sku"), (pl.col("name") + " Twin").alias("name")
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
