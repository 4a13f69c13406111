"""A file of dialogues that is added to line by line and survives a kill.

A line is written whole and synced before the next; a process killed in the middle leaves a
torso without its newline, which the next run cuts off. One writer at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evals.dialogues import Dialogue, DialoguesError, lines_of


@contextmanager
def appending(path: Path, run: str) -> Iterator[tuple[Any, set[int]]]:
    """The file, open for whole lines, and the numbers of the dialogues it holds already.

    Raises ``DialoguesError``: another process writes to it, it was made by another run, or a
    line other than the last is malformed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DialoguesError(f"{path} is being written by another process.") from error
        _cut_torn_line(file)
        done: set[int] = set()
        for number, raw in lines_of(path):
            if isinstance(raw, str):
                raise DialoguesError(f"{path}, {raw}: move the file away to start afresh.")
            if raw.get("run") != run:
                raise DialoguesError(
                    f"{path}, line {number} was made by run {raw.get('run')!r}, this is {run!r}: "
                    "choose another --out, or the seed, engine and catalogue it was begun with."
                )
            done.add(int(raw["index"]))
        yield file, done


def _cut_torn_line(file: Any) -> None:
    """A process killed in the middle of a line leaves a torso without its newline."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    at, block = size, 1 << 16
    while at > 0:
        start = max(0, at - block)
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            file.truncate(start + found + 1)
            return
        at = start
    file.truncate(0)


def write_line(file: Any, line: Dialogue | str) -> None:
    """One whole line, on the disk before the next; text is one JSON object."""
    text = line if isinstance(line, str) else line.model_dump_json()
    file.write((text + "\n").encode())
    file.flush()
    os.fsync(file.fileno())
