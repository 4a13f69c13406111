"""Segments and rewards: known answers, and each bug of the paper's code as a failing twin."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.rewards import (
    PENALTY,
    RewardError,
    combine,
    dcg,
    hard_negatives,
    rank_advantages,
    rank_returns,
    reachable,
    relevant,
    sequence_advantages,
    with_penalties,
    zero_deviation,
)
from training.slate_segments import Title, parse_title, segment_codes, segment_text

BASE, EOS, LEVELS = 1000, 7, 3


class Characters:
    """A tokenizer whose tokens are the given pieces of text: the smallest that has `decode`."""

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces

    def decode(self, ids: list[int]) -> str:
        return "".join(self.pieces[i] for i in ids)


def code(level: int, value: int) -> int:
    return BASE + 256 * level + value


def item(*codes: int) -> list[int]:
    return [code(level, value) for level, value in enumerate(codes)]


def read(ids: list[int], n: int = 2):
    return segment_codes(ids, levels=LEVELS, base=BASE, eos=EOS, n=n, lookup=lambda c: c)


def lines(pieces: list[str], n: int = 2, eos: bool = True):
    tokenizer = Characters([*pieces, "<end>"])
    ids = [*range(len(pieces)), *([len(pieces)] if eos else [])]
    return segment_text(ids, tokenizer, eos=len(pieces), n=n)


def test_code_items_are_ranks_and_the_end_token_belongs_to_the_last() -> None:
    found = read([*item(1, 2, 3), *item(4, 5, 6), EOS])
    assert found.items == [(1, 2, 3), (4, 5, 6)]
    assert found.rank_ids == [0, 0, 0, 1, 1, 1, 1]
    assert not found.premature


def test_ending_early_is_seen_at_the_first_missing_rank() -> None:
    found = read([*item(1, 2, 3), EOS])
    assert found.premature
    assert found.rank_ids == [0, 0, 0, 1]
    returns = with_penalties(np.zeros((1, 2)), [found], 2)
    assert returns.tolist() == [[0.0, PENALTY]]


def test_a_code_of_the_wrong_level_spoils_its_item_and_no_other() -> None:
    found = read([code(0, 1), code(2, 2), code(2, 3), *item(4, 5, 6), EOS])
    assert found.items == [None, (4, 5, 6)]


def test_a_blank_line_shifts_no_credit() -> None:
    """Reference bug: rewards counted over parsed lines, tokens over newlines."""
    found = lines(["Heat (1995)", "\n", "\n", "Alien (1979)"])
    assert found.items == [Title("heat", 1995), Title("alien", 1979)]
    assert found.rank_ids == [0, 0, 0, 1, 1]


def test_an_unparsable_line_keeps_its_rank() -> None:
    """Reference bug: the line after it was credited with its reward."""
    found = lines(["no year here", "\n", "Alien (1979)"])
    assert found.items == [None, Title("alien", 1979)]
    assert found.rank_ids == [0, 0, 1, 1]
    assert relevant(found.items, [Title("alien", 1979)], 2).tolist() == [0, 1]


def test_exactly_n_items_and_a_trailing_newline_are_no_overflow() -> None:
    """Reference bug: the newline was counted as an item too many."""
    found = lines(["Heat (1995)", "\n", "Alien (1979)", "\n"])
    returns = with_penalties(np.zeros((1, 2)), [found], 2)
    assert len(found.items) == 2 and not found.premature
    assert returns.tolist() == [[0, 0]]
    assert found.rank_ids == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("n", [1, 3, 5, 20])
def test_n_is_no_constant(n: int) -> None:
    """Reference bug: 20 stood in the code."""
    found = read([token for k in range(n + 2) for token in item(k, k, k)] + [EOS], n)
    ranks = len(found.items)
    returns = with_penalties(np.zeros((1, ranks)), [found], n)[0]
    assert returns[:n].tolist() == [0] * n
    assert returns[n:].tolist() == [PENALTY] * 2


def test_one_hit_of_several_targets_is_not_a_perfect_slate() -> None:
    """Reference bug: the ideal of NDCG used the length of what survived."""
    from evals.metrics import Ranked

    assert Ranked((-1, -1, -1)).ndcg(10) == 0
    one = Ranked((0, -1, -1)).ndcg(10)
    assert one == pytest.approx(1 / sum(1 / math.log2(k + 2) for k in range(3)))


def test_years_are_numbers_on_both_sides() -> None:
    """Reference bug: an int was compared with a str, so no year ever matched."""
    said = parse_title("1. Blade Runner (1982)")
    assert said is not None and said.matches(Title("blade runner", 1984))
    assert not said.matches(Title("blade runner", 1985))
    hits = relevant([said], [Title("blade runner", 1983)], 1, same=lambda a, b: a.matches(b))
    assert hits.tolist() == [1]


def test_a_target_counts_once() -> None:
    assert relevant(["a", "b", "a"], ["a", "c"], 4).tolist() == [1, 0, 0, 0]


def test_returns_have_their_known_values() -> None:
    rel = np.array([1.0, 0.0, 1.0])
    assert rank_returns(rel, "exp_inf").tolist() == [1, 0, 1]
    assert rank_returns(rel, "log") == pytest.approx([1 + 0.5, 0.5, 0.5])
    assert rank_returns(rel, "exp_2") == pytest.approx([1.25, 0.5, 1])
    assert rank_returns(rel, "window_2").tolist() == [1, 1, 1]
    assert dcg(rel, 3) == pytest.approx(1.5)
    assert dcg(rel, 2) == pytest.approx(1.0)
    with pytest.raises(RewardError, match="exp_inf"):
        rank_returns(rel, "exp_0.5")


def test_advantages_compare_the_same_rank_of_the_group() -> None:
    returns = np.array([[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]])
    found = rank_advantages(returns, "rank")
    deviation = np.std([1, 0, 0, 1], ddof=1)
    assert found[0, 0, 0] == pytest.approx(0.5 / (deviation + 1e-4))
    assert (found[:, :, 1] == 0).all()
    assert rank_advantages(returns, "none")[0, :, 0].tolist() == [0.5, -0.5, -0.5, 0.5]
    assert zero_deviation(returns) == 0.5


def test_a_rollout_that_has_used_up_its_targets_is_not_blamed_later() -> None:
    rel = np.array([[[1.0, 0.0], [0.0, 1.0]]])  # one target each
    plain = rank_advantages(rank_returns(rel, "exp_inf"), "none")
    assert plain[0, 0, 1] < 0
    counts = reachable(rel, np.array([1]))
    assert counts.tolist() == [[[True, False], [True, True]]]
    fair = rank_advantages(rank_returns(rel, "exp_inf"), "none", counts)
    assert fair[0, 0, 1] == 0 and fair[0, 1, 1] == 0


def test_the_most_confident_mistake_costs_most() -> None:
    rel = np.array([[[0.0], [0.0], [1.0]]])
    found = hard_negatives(rel, np.log(np.array([[[0.6], [0.2], [0.2]]])), weight=2.0)[0, :, 0]
    assert found.tolist() == pytest.approx([-1.5, -0.5, 1.0])


def test_each_reward_normalised_before_the_sum_or_after_it() -> None:
    small, large = np.zeros((1, 4, 1)), np.zeros((1, 4, 1))
    small[0, 0], large[0, 1] = 1, 100
    drowned = combine([small, large], [1, 1], "rank", normalise_each=False)[0, :, 0]
    heard = combine([small, large], [1, 1], "rank", normalise_each=True)[0, :, 0]
    assert drowned[0] < 0 < drowned[1]
    assert heard[0] == pytest.approx(heard[1], rel=1e-2) and heard[0] > 0


def test_the_sequence_arm_has_one_advantage_a_rollout() -> None:
    assert sequence_advantages(np.array([[1.0, 0.0]]), "none").tolist() == [[0.5, -0.5]]


@given(
    st.lists(st.sampled_from(["Heat (1995)", "junk", " ", "\n", "\n\n", "Alien (1979)\nUp"])),
    st.integers(1, 5),
    st.booleans(),
)
def test_ranks_of_tokens_and_items_agree_on_malformed_text(
    pieces: list[str], n: int, eos: bool
) -> None:
    found = lines(pieces, n, eos)
    assert len(found.rank_ids) == len(pieces) + eos
    assert found.rank_ids == sorted(found.rank_ids)
    shown = "".join(pieces)
    assert len(found.items) == sum(bool(line.strip()) for line in shown.split("\n"))
    written = [r for r, piece in zip(found.rank_ids, pieces, strict=False) if piece.strip()]
    assert all(rank < len(found.items) for rank in written)
    if eos:
        early = len(found.items) < n
        assert found.premature == early
        assert found.rank_ids[-1] == (len(found.items) if early else len(found.items) - 1)


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4), st.booleans())
def test_ranks_of_tokens_and_items_agree_on_malformed_codes(
    levels: list[int], n: int, eos: bool
) -> None:
    """Tokens of any level in any order, level 3 being no code at all."""
    ids = [code(level, 5) for level in levels] + ([EOS] if eos else [])
    found = read(ids, n)
    assert len(found.rank_ids) == len(ids)
    assert len(found.items) == math.ceil(len(levels) / LEVELS)
    for rank, value in enumerate(found.items):
        whole = levels[3 * rank : 3 * rank + 3] == [0, 1, 2]
        assert (value is not None) == whole
    assert all(r < len(found.items) for r in found.rank_ids[: len(levels)])
