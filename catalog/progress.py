"""A progress bar for the one slow step of a build: embedding. Says rate and time left."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class Rate(ProgressColumn):
    """ "58 a second"."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.0f} a second" if speed else "")


class Bar:
    """Counts texts done. Shows nothing without a console, so a library call stays quiet."""

    def __init__(self, console: Console | None, what: str = "embedding") -> None:
        self._console = console
        self._what = what
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=console is None,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, total: int) -> None:
        """A new count of ``total`` texts."""
        for task in list(self._progress.task_ids):
            self._progress.remove_task(task)
        self._task = self._progress.add_task(self._what, total=total)

    def advance(self, done: int) -> None:
        self._progress.advance(self._task, done)

    def say(self, text: str) -> None:
        if self._console is not None:
            self._progress.console.print(text, markup=False, highlight=False)
