"""A large catalogue as people meet it: opened by an agent, talked about, changed while they talk.

    python -m evals.bench.insert --items 1000000 --agent --home DIR

An invented shop of that size is built with given vectors (once; DIR keeps it, and loses what an
earlier run brought in), the agent is opened over it twice (first in a process of its own; the
second start finds its indexes), ``TURNS`` are said, each in a conversation of its own, and rows
come in through ``catalog.update`` while the agent watches its folder. An insert is over when a
conversation's slate could hold the item: the agent's catalogue has it, its title is found in a
message, and a request for its title's words recommends it.
"""

import resource
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from agent.agent import Agent
from agent.settings import Settings, stay_local
from catalog.update import update
from evals.bench.build_catalog import invent, invent_vectors

TURNS = (
    "Something like Belbelbel Slate Iron Mirror, please.",
    "A lamp under 30 €.",
    "A blue oak desk for the study.",
    "A kettle, but not a white one and nothing by Belbelbel Works.",
    "I would like a quiet clock made after 2015.",
    "Show me vases between 20 and 40 €, in stock.",
    "Surprise me with something for the garden.",
    "Anything with silk, but nothing about mornings.",
)
WAIT_S = 120.0  # after which an insert counts as lost
HEAD = "sku,name,type,maker,colour,material,rooms,price (€),weight,stock,year,description\n"


def through_agent(home: Path, items: int, inserts: int) -> dict[str, Any]:
    """Build, open, talk, insert. Seconds and megabytes; ``recommended`` counts found inserts."""
    stay_local()
    catalog = home / "out"
    if not (catalog / "manifest.json").is_file():
        _build(home, items)
    settings = Settings.load(catalog=catalog, home=home / "home")
    with ProcessPoolExecutor(1, get_context("spawn")) as child:  # its memory is not counted
        opens = [child.submit(_open, settings).result()]
    began = time.perf_counter()
    agent = Agent.open(settings)
    opens.append(time.perf_counter() - began)
    opened_mb = resident()
    turns = [_turn(agent, f"turn-{k}", text) for k, text in enumerate(TURNS)]
    waits: list[float] = []
    updates: list[float] = []
    found = 0
    _clear(agent, catalog)
    _insert(agent, catalog, home, 0)  # loads the encoder of the updating side
    for number in range(1, inserts + 1):
        took, whole, shown = _insert(agent, catalog, home, number)
        updates.append(took)
        waits.append(whole)
        found += shown
    after = [_turn(agent, f"after-{k}", text) for k, text in enumerate(TURNS)]
    agent.close()
    return {
        "items": items,
        "inserts": inserts,
        "recommended": found,
        "seconds_p50": round(float(np.median(waits)), 3),
        "seconds_p95": round(float(np.quantile(waits, 0.95)), 3),
        "seconds_max": round(max(waits), 3),
        "update_s_p50": round(float(np.median(updates)), 3),
        "open_first_s": round(opens[0], 1),
        "open_again_s": round(opens[1], 1),
        "opened_mb": opened_mb,
        "own_mb": resident("RssAnon"),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "turn_s_p50": round(float(np.median(turns)), 2),
        "turn_s_max": round(max(turns), 2),
        "turn_after_s_p50": round(float(np.median(after)), 2),
        "wrong": 0,
        "dead_ends": 0,
    }


def _open(settings: Settings) -> float:
    """Seconds that one start takes."""
    began = time.perf_counter()
    agent = Agent.open(settings)
    took = time.perf_counter() - began
    agent.close()
    return took


def _build(home: Path, items: int) -> None:
    home.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    invent(home / "rows.csv", home / "taken.csv", home / "new.csv", items, rng)
    invent_vectors(home / "rows.npy", items, np.random.default_rng(1))
    command = [sys.executable, "-m", "catalog.build", str(home / "rows.csv")]
    command += ["--out", str(home / "out"), "--vectors", str(home / "rows.npy")]
    command += ["--interactions", str(home / "taken.csv"), "--noun", "thing"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _turn(agent: Agent, thread: str, text: str) -> float:
    """Say something in a new conversation; seconds until the reply is whole. It is printed."""
    began = time.perf_counter()
    turn = next(e.turn for e in agent.turn(thread, text) if e.kind == "done")
    took = time.perf_counter() - began
    slate = turn.slate.item_ids if turn is not None and turn.slate else ()
    titles = ", ".join(agent.catalog.item(item).title for item in slate)
    said = turn.text if turn is not None else ""
    print(f"{took:5.2f} s  {text}\n         {said[:150]!r} [{titles}]", flush=True)
    return took


def _clear(agent: Agent, catalog: Path) -> None:
    """Take out what an earlier run brought in: of two lanterns of one name, which is asked for?"""
    left = [item for item in agent.catalog.ids if item.startswith("x-") and agent.catalog.has(item)]
    if left:
        update(catalog, None, left)
        agent.reload()


def _insert(agent: Agent, catalog: Path, home: Path, number: int) -> tuple[float, float, bool]:
    """Bring one row in; seconds of the update, seconds until it is in use, and whether a person
    who asks for it gets it."""
    sku, name = f"x-{number}-{time.time_ns()}", f"Zephyrion {number} Copper Lantern"
    row = f"{sku},{name},lantern,Ada Oak Works,amber,copper,garden,41.50,800 g,3,2025,"
    (home / "insert.csv").write_text(HEAD + row + "A lantern that folds flat for the beach.\n")
    began = time.perf_counter()
    update(catalog, home / "insert.csv")
    took = time.perf_counter() - began
    while not agent.catalog.has(sku):
        if time.perf_counter() - began > WAIT_S:
            return took, WAIT_S, False
        time.sleep(0.01)
    whole = time.perf_counter() - began
    events = agent.turn(f"insert-{sku}", "A folding lantern for the beach, please.")
    turn = next(e.turn for e in events if e.kind == "done")
    shown = turn is not None and turn.slate is not None and sku in turn.slate.item_ids
    links = agent.parts.read("I liked " + name, agent.state(f"insert-{sku}")).mentions
    return took, whole, shown or any(m.item_id == sku for m in links)


def resident(what: str = "VmRSS") -> int:
    """Megabytes of memory that this process holds now: mapped files included, or its own."""
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith(what))
    return int(line.split()[1]) // 1024
