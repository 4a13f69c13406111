"""Adapting the slate role to one catalogue: rows, held-out items, and the command's report."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from agent.agent import Agent
from agent.settings import Settings
from catalog.embed import Embedder
from catalog.items import Catalog
from tests.tiny_lm import tiny_folder
from tools.candidates import RANKER, Candidates
from tools.small_model import load_small
from training.adapt import adapt, paired
from training.adapt_rows import AdaptError, histories, read_histories, requests

OUTDOOR = Path(__file__).parents[2] / "catalog" / "data" / "outdoor"


@pytest.fixture(scope="module")
def candidates() -> Candidates:
    return Candidates.open(Catalog.open(OUTDOOR), Embedder())


def test_requests_name_facts_of_their_targets_and_keep_held_out_items_apart(
    candidates: Candidates,
) -> None:
    rng = np.random.default_rng(0)
    train = list(requests(candidates, 40, rng, held=False))
    held = list(requests(candidates, 20, rng, held=True))
    assert not {s.targets[0] for s in train} & {s.targets[0] for s in held}
    for sample in train[:10]:
        item = str(candidates.catalog.item(sample.targets[0]).values).casefold()
        said = sample.query.about[0].casefold()
        assert any(word in item for word in said.split())
        assert all(sample.prior.weights[t] > 0 for t in sample.targets)


def test_histories_are_in_time_order_and_people_are_held_out_whole(
    candidates: Candidates, tmp_path: Path
) -> None:
    ids = candidates.catalog.ids
    path = tmp_path / "chosen.csv"
    lines = ["user,item,time"]
    for user in range(60):
        lines += [f"u{user},{ids[(user + step) % 200]},{9 - step}" for step in range(4)]
    lines += ["u0,no such item,0"]
    path.write_text("\n".join(lines))
    chosen = read_histories(path, candidates.catalog)
    assert chosen["u5"] == [8, 7, 6, 5]
    rng = np.random.default_rng(0)
    held = list(histories(candidates, chosen, True, rng))
    train = list(histories(candidates, chosen, False, rng))
    assert held and train and len(held) + len(train) <= 60
    assert all(len(s.targets) == 1 for s in held)


def test_interactions_that_teach_nothing_are_refused(
    candidates: Candidates, tmp_path: Path
) -> None:
    path = tmp_path / "chosen.csv"
    with pytest.raises(AdaptError, match="does not exist"):
        read_histories(path, candidates.catalog)
    path.write_text("user,thing,time\na,b,1\n")
    with pytest.raises(AdaptError, match="'item'"):
        read_histories(path, candidates.catalog)
    path.write_text("user,item,time\na,b,1\n")
    with pytest.raises(AdaptError, match="nobody chose two"):
        read_histories(path, candidates.catalog)


def test_the_paired_difference_counts_what_was_won_and_lost() -> None:
    won = np.array([0, 3, -1, 12])
    lost = np.array([-1, 3, -1, 2])
    mean, low, high = paired(won, lost)
    assert mean == 0
    assert low < 0 < high


@pytest.mark.slow
def test_the_command_trains_measures_and_leaves_a_loadable_model(tmp_path: Path) -> None:
    model = tiny_folder(tmp_path / "tiny")
    shutil.copy(RANKER, model / "ranker.npz")
    report = adapt(
        OUTDOOR,
        tmp_path / "run",
        model,
        None,
        minutes=5,
        steps=3,
        rows=30,
        held=8,
        lr=1e-4,
        alpha=1.0,
        workers=1,
        seed=0,
    )
    assert report["steps"] == 3
    figures = report["requests"]
    assert figures["n"] > 0
    assert {"retrieval_R@10", "before_R@10", "after_R@10"} <= set(figures)
    assert load_small(tmp_path / "run" / "model").projection is not None
    chosen = {"catalog": OUTDOOR, "home": tmp_path / "home", "watch_seconds": 0}
    agent = Agent.open(Settings.load(recommender=tmp_path / "run" / "model", **chosen))
    *_, last = agent.turn("t", "a tent for two under 300 €")
    assert last.turn is not None and last.turn.slate is not None
    assert last.turn.slate.ordered_by == "llm" and last.turn.slate.item_ids
    agent.close()
