"""Two slate models side by side: who gets which follows from their name, and stays so.

    PARLEY_AB="a=models/parley-small,b=adapted/model:0.3" python app.py

``b`` chooses for three people in ten, ``a`` for the others; a share that is not given is an
equal part of what is left. A person's arm is a hash of the arms' names and theirs: nothing is
stored, it is the same in every process, and another pair of names deals people anew. Each
reply's trace says which arm chose its items. ``python -m evals.ab`` reports.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent.settings import SettingsError

if TYPE_CHECKING:
    from agent.recommending import Recommender

ARM = re.compile(r"(?P<name>[A-Za-z0-9_-]{1,40})=(?P<model>[^:]+)(:(?P<share>[0-9.]+))?")
FORM = "write name=folder,name=folder:share, as in a=models/parley-small,b=adapted/model:0.5"


class Arm(NamedTuple):
    """One model of a comparison and the share of people who get it, 0..1."""

    name: str
    model: Path
    share: float


class Arms:
    """The recommenders of the arms, and who gets which."""

    def __init__(self, arms: Sequence[Arm], recommenders: Mapping[str, Recommender]) -> None:
        self.arms = tuple(arms)
        self._recommenders = recommenders

    def of(self, user: str) -> tuple[str, Recommender]:
        """The arm of this person: its name and its recommender."""
        name = assigned(self.arms, user)
        return name, self._recommenders[name]


def assigned(arms: Sequence[Arm], user: str) -> str:
    """The name of the arm that ``user`` gets, always the same."""
    words = ",".join(arm.name for arm in arms) + "|" + user
    place = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8]) / 2**64
    edge = 0.0
    for arm in arms:
        edge += arm.share
        if place < edge:
            return arm.name
    return arms[-1].name


def parsed(text: str) -> tuple[Arm, ...]:
    """The arms that ``PARLEY_AB`` names.

    Raises:
        SettingsError: it is not written so, names repeat, or the shares do not make 1.
    """
    found = []
    for entry in text.split(","):
        match = ARM.fullmatch(entry.strip())
        if match is None:
            raise SettingsError(f"PARLEY_AB: {entry.strip()!r} is no arm; {FORM}.")
        share = match["share"]
        try:
            number = float(share) if share else -1.0
        except ValueError:
            raise SettingsError(f"PARLEY_AB: {share!r} is no share; {FORM}.") from None
        found.append(Arm(match["name"], Path(match["model"].strip()), number))
    names = [arm.name for arm in found]
    if len(found) < 2 or len(set(names)) < len(names):
        raise SettingsError(f"PARLEY_AB={text}: two arms or more, of different names; {FORM}.")
    given = sum(arm.share for arm in found if arm.share >= 0)
    open_ = sum(arm.share < 0 for arm in found)
    if given > 1 + 1e-9 or (not open_ and abs(given - 1) > 1e-9):
        raise SettingsError(f"PARLEY_AB={text}: the shares make {given:g}; they have to make 1.")
    rest = (1 - given) / open_ if open_ else 0.0
    return tuple(arm._replace(share=rest) if arm.share < 0 else arm for arm in found)
