"""Many chats at once with one running Parley: is every turn answered, and in its own chat?

    python -m evals.bench.load [--clients 32] [--minutes 5] [--url http://127.0.0.1:7860]

Without --url it starts app.py itself, on a free port with a temporary home. Each client is a
`gradio_client` of its own that keeps asking within a constraint of its own (a category and a
span of years that no other client has), so an item from another chat breaks it and is counted
as mixed. In the end every conversation's history must be what was sent and received, in order.
The peer in the same run is one client alone with the same server: the ratio is what company
costs. The last line is JSON; exit code 1 when a turn was lost or mixed.
"""

import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from agent.settings import Settings, stay_local
from catalog.errors import ParleyError
from catalog.filters import Clause, compile
from catalog.items import Catalog

ROOT = Path(__file__).resolve().parent.parent.parent
START_LIMIT_S = 240
TURNS = 8  # of one conversation; then the client begins another
SPAN = 10  # years of a marker
FOLLOW_UPS = (
    "more",
    "why the first?",
    "three more",
    "compare 1 and 2",
    "what year is the second?",
    "anything else?",
    "who made the first?",
    "thanks",
)


class LoadError(ParleyError):
    """The server did not start, or the catalogue has too few markers."""


@dataclass(frozen=True)
class Marker:
    """A client's own constraint: how it is said, and the ids that obey it."""

    opening: str
    allowed: frozenset[str]


@dataclass
class Said:
    """One conversation as its client saw it."""

    thread: str
    sent: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """What one client saw."""

    seconds: list[float] = field(default_factory=list)
    conversations: list[Said] = field(default_factory=list)
    slates: int = 0
    errors: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)


def markers(catalog: Catalog, count: int) -> list[Marker]:
    """``count`` different constraints, those that admit most items first.

    Raises:
        LoadError: the catalogue has no category or date facet, or too few combinations.
    """
    kinds = [f for f in catalog.domain.facets if f.role == "category" and f.kind == "categories"]
    dates = [f for f in catalog.domain.facets if f.role == "date" and f.kind == "number"]
    if not kinds or not dates:
        raise LoadError("Markers need a facet of role category and one of role date.")
    kind, date = kinds[0], dates[0]
    years = catalog.df[date.name].drop_nulls()
    first, last = int(years.min() or 0), int(years.max() or 0)  # type: ignore[arg-type]
    ids = np.array(catalog.ids)
    found: list[Marker] = []
    for value in list(catalog.values(kind.name))[:20]:
        for low in range(first // SPAN * SPAN, last + 1, SPAN):
            high = low + SPAN - 1
            clauses = [
                Clause(field=kind.name, op="any", values=(value,)),
                Clause(field=date.name, op="ge", values=(float(low),)),
                Clause(field=date.name, op="le", values=(float(high),)),
            ]
            allowed = frozenset(ids[compile(catalog, clauses)].tolist())
            if allowed:
                noun = catalog.domain.noun_one
                words = f"a {str(value).lower()} {noun} from {low} to {high}"
                found.append(Marker(words, allowed))
    found.sort(key=lambda one: -len(one.allowed))
    if len(found) < count:
        raise LoadError(f"This catalogue has {len(found)} markers for {count} clients: fewer.")
    return found[:count]


def script(marker: Marker, client: int, conversation: int) -> list[str]:
    """What a client says in one conversation: its marker, then follow-ups in its own order."""
    start = client + 3 * conversation
    rest = [FOLLOW_UPS[(start + k) % len(FOLLOW_UPS)] for k in range(TURNS - 1)]
    return [marker.opening, *rest]


def chat(url: str, marker: Marker, client: int, until: float) -> Tally:
    """Talk until the clock says ``until``; every answer is checked as it comes."""
    from gradio_client import Client

    tally = Tally()
    server = Client(url, verbose=False)
    conversation = 0
    while time.perf_counter() < until:
        said = Said("")
        tally.conversations.append(said)
        for text in script(marker, client, conversation):
            started = time.perf_counter()
            if started >= until:
                break
            try:
                answer: dict[str, Any] = server.predict(text, said.thread, api_name="/chat")
            except Exception as error:
                # Whatever goes wrong is what is counted here; the client begins anew.
                tally.errors.append(f"{type(error).__name__}: {str(error)[:200]}")
                break
            tally.seconds.append(time.perf_counter() - started)
            check(answer, said, text, marker, tally)
        conversation += 1
    return tally


def check(answer: dict[str, Any], said: Said, text: str, marker: Marker, tally: Tally) -> None:
    """Note an answer, and whatever about it belongs to another chat."""
    thread = str(answer["conversation"])
    if said.thread and thread != said.thread:
        tally.mixed.append(f"asked in {said.thread}, answered in {thread}")
    said.thread = thread
    said.sent.append(text)
    said.replies.append(str(answer["reply"]))
    tally.slates += bool(answer["items"])
    for item in answer["items"]:
        if item["id"] not in marker.allowed:
            tally.mixed.append(f"{item['title']!r} for {marker.opening!r}")


def verify(url: str, tallies: list[Tally]) -> list[str]:
    """Every way in which a conversation's kept history differs from what its client saw."""
    from gradio_client import Client

    server = Client(url, verbose=False)
    wrong: list[str] = []
    owner: dict[str, int] = {}
    for client, tally in enumerate(tallies):
        for said in tally.conversations:
            if not said.sent:
                continue
            if owner.setdefault(said.thread, client) != client:
                wrong.append(f"{said.thread} was given to two clients")
            kept = server.predict(said.thread, api_name="/history")
            seen = [
                {"role": role, "text": text}
                for pair in zip(said.sent, said.replies, strict=True)
                for role, text in zip(("user", "agent"), pair, strict=True)
            ]
            # A turn that failed may be kept with no reply; more than it saw is fine only then.
            if kept[: len(seen)] != seen or (len(kept) > len(seen) and not tally.errors):
                wrong.append(f"{said.thread}: {len(kept)} turns kept, {len(seen)} seen")
    return wrong


def play(url: str, chosen: list[Marker], seconds: float) -> tuple[list[Tally], float]:
    """All clients at once for so long; what each saw, and how long it took to the last answer."""
    started = time.perf_counter()
    with ThreadPoolExecutor(len(chosen)) as pool:
        running = [
            pool.submit(chat, url, marker, k, started + seconds) for k, marker in enumerate(chosen)
        ]
        tallies = [one.result() for one in running]
    return tallies, time.perf_counter() - started


@contextmanager
def served(catalog: Path) -> Iterator[str]:
    """``python app.py`` on a free port with a home of its own; its address. Ended afterwards.

    Raises:
        LoadError: it ended or said nothing within ``START_LIMIT_S``; with what it printed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as home:
        variables = {"PARLEY_PORT": str(port), "PARLEY_HOME": home, "PARLEY_CATALOG": str(catalog)}
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        printed: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process, printed), daemon=True).start()
        try:
            _await_ready(printed)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _read(process: "subprocess.Popen[str]", printed: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            printed.put(line)
    printed.put(None)


def _await_ready(printed: "queue.Queue[str | None]") -> None:
    lines: list[str] = []
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            line = printed.get(timeout=max(deadline - time.monotonic(), 0.01))
        except queue.Empty:
            line = None
        if line is None:
            raise LoadError(f"app.py was not ready; it printed:\n{''.join(lines[-20:])}")
        lines.append(line)
        if "Parley is ready" in line:
            return


def summary(tallies: list[Tally], elapsed: float, wrong: list[str], alone: Tally) -> dict[str, Any]:
    """The figures of a run. ``lost``: turns without an answer, or not kept as they were said."""
    seconds = [s for tally in tallies for s in tally.seconds]
    errors = [e for tally in tallies for e in tally.errors]
    mixed = [m for tally in tallies for m in tally.mixed]
    p50, p95 = _percentiles(seconds)
    solo50, solo95 = _percentiles(alone.seconds)
    return {
        "clients": len(tallies),
        "seconds": round(elapsed, 1),
        "turns": len(seconds),
        "conversations": sum(len(tally.conversations) for tally in tallies),
        "slates": sum(tally.slates for tally in tallies),
        "turns_per_s": round(len(seconds) / max(elapsed, 1e-9), 2),
        "turn_p50_s": p50,
        "turn_p95_s": p95,
        "alone_turns": len(alone.seconds),
        "alone_p50_s": solo50,
        "alone_p95_s": solo95,
        "alone_turns_per_s": round(1 / solo50, 2) if solo50 else None,
        "p50_over_alone": round(p50 / solo50, 1) if p50 and solo50 else None,
        "errors": len(errors),
        "lost": len(errors) + len(wrong),
        "mixed": len(mixed),
        "first_troubles": [*errors[:3], *wrong[:3], *mixed[:3]],
    }


def _percentiles(seconds: list[float]) -> tuple[float | None, float | None]:
    if not seconds:
        return None, None
    p50, p95 = np.percentile(seconds, (50, 95))
    return round(float(p50), 3), round(float(p95), 3)


def main(
    clients: Annotated[int, typer.Option(min=1, max=256, help="Chats at once.")] = 32,
    minutes: Annotated[float, typer.Option(min=0.01, help="How long they chat.")] = 5.0,
    url: Annotated[
        str | None, typer.Option(help="A Parley that runs; else one is started.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="The catalogue it serves; the bundled films if left out.")
    ] = None,
) -> None:
    """Let many clients chat with one server and count what was lost or mixed."""
    stay_local()
    try:
        path = catalog or Settings.load().catalog
        chosen = markers(Catalog.open(path), clients)
        if url:
            result = run(url, chosen, 60 * minutes)
        else:
            with served(path) as started:
                result = run(started, chosen, 60 * minutes)
    except ParleyError as error:
        typer.echo(f"load: {error}", err=True)
        raise typer.Exit(2) from error
    for key, value in result.items():
        print(f"{key:>18}  {value}")
    print(json.dumps(result))
    if result["lost"] or result["mixed"]:
        raise typer.Exit(1)


def run(url: str, chosen: list[Marker], seconds: float) -> dict[str, Any]:
    """One client alone for a tenth of the time (at most half a minute), then all of them."""
    (alone,), _ = play(url, chosen[:1], min(seconds / 10 + 2, 30.0))
    tallies, elapsed = play(url, chosen, seconds)
    return summary(tallies, elapsed, verify(url, [*tallies, alone]), alone)


if __name__ == "__main__":
    typer.run(main)
