"""Turns in the background: followed from the start by whoever comes, one at a time."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from page.runs import BusyError, Run, Runs

THREAD = "0" * 32


async def everything(run: Run) -> list[int]:
    return [event["n"] async for event in run.follow()]


def test_those_who_come_late_see_it_from_the_start() -> None:
    gate = threading.Event()

    def events() -> Iterator[dict[str, Any]]:
        yield {"kind": "sentence", "n": 1}
        assert gate.wait(20)
        yield {"kind": "done", "n": 2}

    async def two() -> list[list[int]]:
        run = Runs(1).start(THREAD, first=0, events=events)
        first = asyncio.create_task(everything(run))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(everything(run))
        gate.set()
        return [await first, await second, await everything(run)]

    assert asyncio.run(two()) == [[1, 2]] * 3


def test_one_turn_at_a_time_in_a_conversation() -> None:
    gate = threading.Event()

    def events() -> Iterator[dict[str, Any]]:
        assert gate.wait(20)
        yield {"kind": "done", "n": 1}

    runs = Runs(2)
    run = runs.start(THREAD, first=0, events=events)
    with pytest.raises(BusyError, match="still answering"):
        runs.start(THREAD, first=0, events=events)
    other = runs.start("1" * 32, first=0, events=events)
    gate.set()
    assert asyncio.run(everything(run)) == asyncio.run(everything(other)) == [1]
    assert runs.of(THREAD) is None
    assert asyncio.run(everything(runs.start(THREAD, first=0, events=events))) == [1]
