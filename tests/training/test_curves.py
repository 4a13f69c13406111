"""The picture holds every arm that logs the quantity, within its frame."""

import re

import numpy as np

from training.curves import HEIGHT, WIDTH, series, smooth, svg


def test_means_are_shorter_at_the_ends() -> None:
    found = smooth(np.array([0.0, 3.0, 6.0, 9.0]), 3)
    assert found.tolist() == [[1.5, 3.0, 6.0, 7.5]]


def test_every_arm_is_drawn_inside_the_frame() -> None:
    runs = {
        "grpo": [{"curve": [{"reward": 0.1}, {"reward": 0.4}]}, {"curve": [{"reward": 0.2}] * 2}],
        "sft": [{"curve": [{"loss": 1.0}]}],
    }
    curves = series(runs, "reward")
    assert list(curves) == ["grpo"]
    picture = svg(curves, "reward", width=1)
    assert picture.count("<polyline") == 1
    assert picture.count("<polygon") == 1
    for x, y in re.findall(r"(\d+\.\d),(\d+\.\d)", picture):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
