"""Personas, read from YAML files: how the simulated people behave.

A persona file is a list of ``Persona`` fields. What a person likes and looks for is not in
it: that is drawn from the catalogue in use (``evals.goals``), so the same people shop for
films and for lamps.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from catalog.errors import ParleyError
from evals.dialogues import Persona, first_fault

PERSONAS = Path(__file__).parent / "personas"


class PersonaError(ParleyError):
    """A persona file is missing, malformed or holds nobody."""


def read_personas(folder: Path = PERSONAS) -> list[Persona]:
    """Every persona of the folder's ``*.yaml`` files, in file and list order.

    Raises ``PersonaError`` naming the file, the entry and the field.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise PersonaError(f"{folder} holds no *.yaml file: --personas names a folder of them.")
    people: list[Persona] = []
    for file in files:
        try:
            rows = yaml.safe_load(file.read_text("utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise PersonaError(f"{file} cannot be read as YAML: {error}") from error
        if not isinstance(rows, list):
            raise PersonaError(f"{file} must be a list of personas, each with a name and patience.")
        for place, row in enumerate(rows, start=1):
            try:
                people.append(Persona.model_validate(row))
            except ValidationError as error:
                raise PersonaError(f"{file}, persona {place}: {first_fault(error)}") from error
    if not people:
        raise PersonaError(f"{folder} holds no persona: add one, or leave --personas out.")
    return people


def draw(people: Sequence[Persona], rng: random.Random) -> Persona:
    """One of them, by weight."""
    return rng.choices(people, [p.weight for p in people])[0]
