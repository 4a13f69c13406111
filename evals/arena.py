"""Conversations that people have judged, in the format of CRSArena: what judges are held to.

A line is ``{"conv_id", "dialogue": [{"role": "USER" | "ASST", "utterance", ...}],
"dial_level_aggregated": {"dialogue_overall": 0..4, ...}, "user_sentiment": "satisfied" |
"frustrated"}``; ``.gz`` is read too. ``conv_id`` is system, dataset and a key of the person's
session, joined by "_".
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evals.dialogues import DialoguesError, refuse_bad
from evals.features import Exchange

ROLES = {"USER": "user", "ASST": "agent"}
ASPECTS = (
    "understanding", "task_completion", "interest_arousal", "efficiency", "dialogue_overall",
    "preference_elicitation", "explanation",
)  # fmt: skip


class Labelled(NamedTuple):
    """A conversation with the person's own verdict and a third party's aspects (0..4)."""

    id: str
    system: str
    group: str
    exchanges: tuple[Exchange, ...]
    satisfied: bool
    aspects: dict[str, float]
    relevance: float  # third-party relevance of the replies, mean; 0 where not labelled

    @property
    def length(self) -> float:
        """Mean words a reply: the baseline every judge has to beat."""
        words = [len(e.text.split()) for e in self.exchanges if e.role == "agent"]
        return float(np.mean(words)) if words else 0.0


def read_arena(path: Path, *, allow_bad: bool = False) -> list[Labelled]:
    """Every conversation. ``DialoguesError`` names and counts malformed lines."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")
    except OSError as error:
        raise DialoguesError(f"{path} cannot be read ({error}): --data names the file.") from error
    found, bad = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(_labelled(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            bad.append(f"line {number}: {type(error).__name__}: {error}")
    refuse_bad(path, bad, allow_bad)
    if len({c.satisfied for c in found}) < 2:
        raise DialoguesError(
            f"{path} holds {len(found)} conversations; both satisfied and frustrated are needed."
        )
    return found


def _labelled(raw: dict[str, Any]) -> Labelled:
    if raw["user_sentiment"] not in ("satisfied", "frustrated"):
        raise ValueError(f"user_sentiment is {raw['user_sentiment']!r}, not satisfied/frustrated")
    turns = raw["dialogue"]
    relevance = [
        t["turn_level_aggregated"]["relevance"] for t in turns if "turn_level_aggregated" in t
    ]
    system, _, key = str(raw["conv_id"]).rpartition("_")
    return Labelled(
        id=raw["conv_id"],
        system=system or "unknown",
        group=key,
        exchanges=tuple(Exchange(ROLES[t["role"]], str(t["utterance"]).strip()) for t in turns),
        satisfied=raw["user_sentiment"] == "satisfied",
        aspects={k: float(raw.get("dial_level_aggregated", {}).get(k, 0)) for k in ASPECTS},
        relevance=float(np.mean(relevance)) if relevance else 0.0,
    )
