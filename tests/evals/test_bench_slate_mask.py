"""The mask and insertion benchmarks run, end with the JSON they promise, and can fail."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from catalog.trie import SlateMask
from evals.bench import insert, slate_mask

KEYS = "items ours_ms hf_ms static_csr_ms build_s mb filter_ms invalid".split()


def run(main: Callable[..., None], *command: str) -> Result:
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, command)


def test_the_mask_benchmark_reports_every_figure_and_nothing_invalid() -> None:
    done = run(slate_mask.main, "--items", "2000,5000", "--repeats", "6", "--slates", "600")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output.splitlines()[-1])
    assert [row["items"] for row in rows] == [2000, 5000]
    for row in rows:
        assert list(row) == KEYS
        assert row["invalid"] == 0 and row["mb"] > 0
        assert min(row["ours_ms"], row["hf_ms"], row["static_csr_ms"], row["filter_ms"]) > 0


def test_a_mask_that_forgets_exclusions_fails_the_benchmark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Broken on purpose: exclusions are dropped, and the count of invalid slates says so."""
    right = SlateMask.batch

    def forgetful(self: SlateMask, filters, excluded=None):  # type: ignore[no-untyped-def]
        return right(self, filters)

    monkeypatch.setattr(SlateMask, "batch", forgetful)
    done = run(slate_mask.main, "--items", "2000", "--repeats", "5", "--slates", "500")
    assert done.exit_code == 1
    assert json.loads(done.output.splitlines()[-1])[0]["invalid"] > 0


@pytest.mark.parametrize("items", ["many", "12", "99000000"])
def test_sizes_that_cannot_be_are_refused(items: str) -> None:
    done = run(slate_mask.main, "--items", items)
    assert done.exit_code == 2


def test_random_codes_are_unique_at_every_size() -> None:
    rng = np.random.default_rng(0)
    for n in (1000, 50_000):
        codes = slate_mask.random_codes(n, rng)
        assert codes.shape == (n, 3) and len(np.unique(codes, axis=0)) == n


@pytest.mark.slow
def test_inserted_items_are_recommended_while_others_decode() -> None:
    done = run(insert.main, "--items", "5000", "--inserts", "3")
    assert done.exit_code == 0, done.output
    result = json.loads(done.output.splitlines()[-1])
    assert result["recommended"] == result["inserts"] == 3
    assert result["dead_ends"] == result["wrong"] == 0 < result["decoded_meanwhile"]
