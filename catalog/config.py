"""What each column of a table is for: guessed, printed as YAML, corrected, read again.

    noun: boot
    nouns: boots
    columns:
      Preis (€): {use: price, unit: €}
      colour: {use: tags, separator: ";"}

Only ``use`` is needed for a column; all else has a default. A column the file does not name
is guessed, so a correction may be one line long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator

from catalog.errors import BuildError
from catalog.items import YAML, Frozen, Scale

Use = Literal[
    "id", "title", "text", "price", "number", "date", "category", "tags", "maker", "people",
    "size", "rating", "stock", "origin", "language", "mood", "audience", "yes/no", "popularity",
    "link", "image", "ignore",
]  # fmt: skip
USES: Final = get_args(Use)
NUMBERS: Final = frozenset(("price", "number", "date", "rating", "stock", "audience"))
LISTS: Final = frozenset(
    ("category", "tags", "maker", "people", "size", "origin", "language", "mood")
)
ONCE: Final = ("id", "title", "price", "stock", "popularity", "link", "image")
#: use -> role in a sentence (``tools.tokens.ROLES``); what has none is no facet
ROLE: Final[dict[str, str]] = {
    "text": "premise", "price": "amount", "number": "amount", "rating": "amount",
    "stock": "amount", "size": "category", "date": "date", "category": "category", "tags": "tag",
    "yes/no": "tag", "maker": "maker", "people": "people", "origin": "origin",
    "language": "language", "mood": "mood", "audience": "audience",
}  # fmt: skip


class Column(Frozen):
    """What one column is for. Everything but ``use`` may be left out."""

    use: Use
    name: str | None = None  #: the facet's name; default: the heading as a word
    label: str | None = None  #: how a sentence calls it: "price"
    plural: str | None = None
    unit: str | None = None  #: "€", "g", "minutes"
    ask: str | None = None  #: the question that asks for it; "" for never
    separator: str | None = None  #: between several values in a cell; "json" for lists
    decimal: Literal[".", ","] | None = None  #: the mark before fractions
    synonyms: dict[str, str] = Field(default_factory=dict)  #: what people write -> value
    aliases_multi: dict[str, list[str]] = Field(default_factory=dict)
    filterable: bool = True  #: may a firm condition rest on it?

    @field_validator("use", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value not in USES:
            raise ValueError(f"use is {value!r}; one of {', '.join(USES)} is needed")
        return value


class Config(Frozen):
    """The columns of a table and the words for what it holds."""

    noun: str | None = None
    nouns: str | None = None
    also: list[str] = Field(default_factory=list)
    columns: dict[str, Column] = Field(default_factory=dict)
    vector_text: list[str] | None = None  #: columns an item's vector is made from
    scales: list[Scale] = Field(default_factory=list)
    openers: list[str] | None = None  #: example first messages
    encoding: str | None = None
    delimiter: str | None = None

    @classmethod
    def read(cls, path: Path) -> Config:
        """Parse a config file. ``BuildError`` names the file, the entry and what is accepted."""
        try:
            raw = yaml.load(path.read_text("utf-8"), Loader=YAML)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise BuildError(f"{path} cannot be read as YAML ({error}).") from error
        if not isinstance(raw, dict):
            raise BuildError(f"{path} holds no settings: `columns:` and the like are expected.")
        columns = raw.get("columns")
        if isinstance(columns, dict):  # `price: ignore` is short for `price: {use: ignore}`
            short = {k: {"use": v} if isinstance(v, str) else v for k, v in columns.items()}
            raw["columns"] = {str(k): v for k, v in short.items()}
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = " → ".join(map(str, first["loc"])) or "the file"
            reason = first["msg"].removeprefix("Value error, ")
            raise BuildError(f"{path}: {where}: {reason}.") from error

    def without_defaults(self) -> dict[str, Any]:
        """As plain data, short: what a YAML file needs to say."""
        return self.model_dump(exclude_defaults=True, exclude_none=True)


def scalar(value: Any) -> str:
    """A value as YAML writes it in one line, quoted only where needed."""
    style = None
    if isinstance(value, str) and not value.isprintable():
        style = '"'  # line breaks and the like are escaped
    text: str = yaml.safe_dump(
        value,
        allow_unicode=True,
        default_flow_style=True,
        width=10_000_000,
        sort_keys=False,
        default_style=style,
    )
    return text.strip().removesuffix("...").strip()


def to_yaml(config: Config, reasons: dict[str, str], head: str) -> str:
    """The config as YAML for a person to correct: each column with the reason for its use."""
    data = config.without_defaults()
    columns = data.pop("columns", {})
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    for key in ("noun", "nouns", "also"):
        if key in data:
            lines.append(f"{key}: {scalar(data.pop(key))}")
    lines.append("columns:")
    for name, column in columns.items():
        why = reasons.get(name, "")
        lines.append(f"  {scalar(name)}:" + (f"  # {why}" if why else ""))
        lines += [f"    {key}: {scalar(value)}" for key, value in column.items()]
    for key, value in data.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"  - {scalar(entry)}" for entry in value)]
        else:
            lines.append(f"{key}: {scalar(value)}")
    return "\n".join(lines) + "\n"
