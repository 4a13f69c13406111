"""Rubrics and the judge's prompts: what is asked, and how an answer is read.

A rubric is a YAML file (``evals/rubrics``): a question, a scale and anchors. An answer that
holds no score is a parse failure or a refusal, never a score.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError, model_validator

from catalog.errors import ParleyError
from evals.dialogues import Strict, first_fault
from evals.features import Exchange

RUBRICS = Path(__file__).parent / "rubrics"
PROMPTS = Path(__file__).parent / "prompts"
REFUSAL = re.compile(
    r"\b(i (can(no|')t|am unable|'m unable|won't|will not|must decline)|as an ai|sorry,? but)\b",
    re.IGNORECASE,
)
Status = Literal["ok", "refused", "unparsed"]


class RubricError(ParleyError):
    """A rubric is unknown or malformed."""


class Rubric(Strict):
    """One question about a conversation. ``scale``: lowest and highest score."""

    name: str
    question: str
    scale: tuple[int, int]
    anchors: dict[int, str]

    @model_validator(mode="after")
    def _ordered(self) -> Rubric:
        if self.scale[0] >= self.scale[1]:
            raise ValueError("scale must run from a lower to a higher number")
        return self


class Read(NamedTuple):
    """What an answer said: ``value`` is a score, or "A", "B", "tie"; None unless ok."""

    status: Status
    value: float | str | None
    reason: str


def rubric_names(folder: Path = RUBRICS) -> list[str]:
    return sorted(p.stem for p in folder.glob("*.yaml"))


def read_rubric(name: str, folder: Path = RUBRICS) -> Rubric:
    """A rubric by name, or by the path of a YAML file. ``RubricError`` lists those there are."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        names = rubric_names(folder)
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
        raise RubricError(f"No rubric {name!r}: {hint}")
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except yaml.YAMLError as error:
        raise RubricError(f"{path} cannot be read as YAML: {error}") from error
    except ValidationError as error:
        raise RubricError(f"{path} is no rubric: {first_fault(error)}") from error


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(PROMPTS)
    return Environment(loader=loader, undefined=StrictUndefined, autoescape=False)  # plain text


def absolute_prompt(rubric: Rubric, dialogue: Sequence[Exchange]) -> str:
    """The question about one conversation."""
    return (
        _templates()
        .get_template("judge_absolute.md")
        .render(
            question=rubric.question,
            low=rubric.scale[0],
            high=rubric.scale[1],
            anchors=sorted(rubric.anchors.items()),
            dialogue=dialogue,
        )
    )


def pairwise_prompt(rubric: Rubric, first: Sequence[Exchange], second: Sequence[Exchange]) -> str:
    """The question which of two conversations is better."""
    template = _templates().get_template("judge_pairwise.md")
    return template.render(question=rubric.question, first=first, second=second)


def read_score(text: str, rubric: Rubric) -> Read:
    """A score within the scale, from JSON or from "score: 4"."""
    raw, reason = _field(text, "score")
    try:
        value = float(str(raw))
    except ValueError:
        return Read(_failed(text), None, text[:200])
    if not rubric.scale[0] <= value <= rubric.scale[1]:
        return Read("unparsed", None, f"score {value:g} is off the scale")
    return Read("ok", value, reason)


def read_choice(text: str) -> Read:
    """ "A", "B" or "tie"."""
    raw, reason = _field(text, "better")
    choice = str(raw).strip().strip("\"'.").casefold()
    if choice not in ("a", "b", "tie"):
        return Read(_failed(text), None, text[:200])
    return Read("ok", "tie" if choice == "tie" else choice.upper(), reason)


def _field(text: str, name: str) -> tuple[object, str]:
    """The field of the last JSON object that has it, else of a "name: value" line."""
    for match in reversed(list(re.finditer(r"\{[^{}]*\}", text))):
        try:
            found = json.loads(match.group())
        except ValueError:
            continue
        if isinstance(found, dict) and name in found:
            return found[name], str(found.get("reason", ""))[:300]
    plain = re.search(rf"\b{name}\b\W{{1,4}}([\w.]+)", text, re.IGNORECASE)
    return (plain.group(1) if plain else None), ""


def _failed(text: str) -> Status:
    return "refused" if REFUSAL.search(text) else "unparsed"
