"""Build again whenever the source changes: `python -m catalog.build SOURCE --out DIR --watch`.

The files' sizes and times are looked at every two seconds; a change counts once it has held
still for one look, so that a half-saved file is not read. A source with an error is reported
and the catalogue in use stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from catalog.errors import BuildError, CatalogError
from catalog.tables import is_url

EVERY = 2.0  # seconds


def files_of(source: str | Path, others: Sequence[Path | None] = ()) -> list[Path]:
    """What to look at for a source. ``BuildError`` for a database that is no file."""
    if is_url(source):
        text = str(source)
        if not text.startswith("sqlite:///"):
            raise BuildError(
                f"{source} cannot be watched: run catalog.build from a scheduler instead."
            )
        found = [Path(text.removeprefix("sqlite:///").split("?")[0])]
    else:
        found = [Path(source)]
    return [*found, *(path for path in others if path is not None)]


def state(paths: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every file; a folder stands for the files in it."""
    out = []
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            try:
                seen = file.stat()
            except OSError:  # being replaced just now
                continue
            out.append((str(file), seen.st_size, seen.st_mtime_ns))
    return tuple(out)


def watch(
    paths: Sequence[Path],
    rebuild: Callable[[], None],
    complain: Callable[[str], None],
    stop: threading.Event,
    every: float = EVERY,
    built: tuple[tuple[str, int, int], ...] | None = None,
) -> None:
    """Call ``rebuild`` after every change of ``paths`` until ``stop`` is set.

    ``built``: the state the catalogue was built from (default: as they are now).
    """
    done = state(paths) if built is None else built
    before = done
    while not stop.wait(every):
        now = state(paths)
        if now != done and now == before and now:
            try:
                rebuild()
            except CatalogError as error:
                complain(f"{error} The catalogue in use stays.")
            done = now
        before = now
