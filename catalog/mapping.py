"""The same work over many inputs, spread over a Ray cluster: the batch jobs' ``--ray``.

    with cluster("local", workers=2):                       # or "auto", "HOST:6379"
        for place, result in spread(Work, arguments, inputs, workers=2):
            write(place, result)

``Work(*arguments)`` is made once in each worker (it loads the model) and then called with one
input after another. Results come as they are ready, each input's exactly once: Ray tries again
what a lost worker had, and whoever calls is the only one who writes. So a job that was killed
resumes as it does without Ray: what is written is not asked for again.

Ray is an optional extra: pip install -r requirements/ray.txt -c constraints.txt. Every machine of
the cluster needs this folder at the same path and the same packages, as one image gives them.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from catalog.errors import ParleyError

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")
R = TypeVar("R")
# Ray's own limits would end a node on a very busy machine before its helpers have started.
PATIENCE = {"RAY_agent_register_timeout_ms": "180000", "RAY_worker_register_timeout_seconds": "180"}
TRIES = 3  # of an input whose worker was lost; an error of the work itself is not tried again


class MappingError(ParleyError):
    """A Ray cluster that cannot be used."""


@contextmanager
def cluster(address: str, workers: int) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine (``local``) and end it afterwards.

    Raises:
        MappingError: Ray is not installed, the address is one of a client outside the cluster
            (Ray Data cannot stream to it), or nothing answers there.
    """
    if address.startswith("ray://"):
        raise MappingError(
            f"{address!r} is for a client outside the cluster, which cannot stream results: start "
            "the job on a machine of the cluster, with --ray auto or --ray HOST:6379."
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call home
    # Ray would hide the GPUs from a worker that asked for none of them, and warns that it does.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MappingError(
            f"--ray needs Ray, which is not installed ({error}): "
            "pip install -r requirements/ray.txt -c constraints.txt"
        ) from error
    local = address == "local"
    if local:
        for wait, most in PATIENCE.items():
            os.environ.setdefault(wait, most)
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for left in reversed(range(TRIES if local else 1)):
        try:
            ray.init(
                address=address,
                num_cpus=workers + 1 if local else None,  # one for Ray's own reading of the inputs
                include_dashboard=False if local else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": variables},
            )
            break
        except Exception as error:  # Ray raises bare ones too; on a busy machine it starts late
            ray.shutdown()
            if left:
                continue
            raise MappingError(
                f"No Ray cluster can be used at {address!r} ({' '.join(str(error).split())[:200]}):"
                " write --ray local, or --ray auto on a machine of the cluster."
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


def spread(
    work: Callable[..., Callable[[T], R]],
    arguments: tuple[Any, ...],
    inputs: Sequence[T],
    workers: int,
) -> Iterator[tuple[int, R]]:
    """``(place in inputs, result)`` in the order of completion; inside ``cluster``.

    An error of the work is raised here, with its own type where that can be carried.
    """
    import ray.data

    if not inputs:
        return
    rows = [{"place": k, "input": pickle.dumps(one)} for k, one in enumerate(inputs)]
    done: set[int] = set()
    # A block of its own for each input: its result is there, and written, as soon as it is done.
    worker: Any = _Worker  # Ray's types know functions only
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        worker,
        fn_constructor_args=(work, arguments),
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
        num_cpus=1,
        max_restarts=TRIES,
        max_task_retries=TRIES,
    )
    for row in data.iter_rows():
        place = int(row["place"])
        if place not in done:
            done.add(place)
            error, result = pickle.loads(row["result"])
            if error is not None:
                raise error
            yield place, result


class _Worker:
    """In a worker process: the work, made once."""

    def __init__(self, work: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]):
        self._work = work(*arguments)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        told: tuple[ParleyError | None, Any]
        try:
            told = None, self._work(pickle.loads(row["input"]))
        except ParleyError as error:  # said to a person as it would be without Ray
            told = error, None
        return {"place": row["place"], "result": pickle.dumps(told)}
