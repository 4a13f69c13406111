"""Every setting of a running Parley, in one frozen object read from PARLEY_* variables.

One class and no file format: a setting is an environment variable (``PARLEY_PORT=8080``) or an
argument (``Settings.load(port=8080)``), and the defaults give the embedded tier. Code takes the
object as an argument; nothing reads the environment behind its back.

    python -c "from agent.settings import Settings; print(Settings.load())"
"""

import difflib
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from catalog.errors import ParleyError

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "PARLEY_"

# Libraries that would call home or look models up on a hub, told not to. Set before they load.
LOCAL_ONLY = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "ANONYMIZED_TELEMETRY": "false",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
}


class SettingsError(ParleyError):
    """A PARLEY_* variable, or an argument in its place, that cannot be used."""


class Settings(BaseSettings):
    """What a person running Parley can choose; each field is the variable PARLEY_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(ROOT / ".parley", description="conversations, profiles, vector index")
    database: SecretStr | None = Field(
        None, description="postgresql:// URL of the conversations; default: a SQLite file in home"
    )
    chroma_url: str | None = Field(
        None, pattern=r"^https?://", description="a Chroma server; default: Chroma in this process"
    )
    catalog: Path = Field(ROOT / "catalog" / "data" / "movies", description="a built catalogue")
    model: Path = Field(ROOT / "models" / "parley-small", description="weights and tokenizer")
    recommender: Path | str | None = Field(
        None,
        description="what orders slates: local, another model's folder (training.adapt), or the "
        "address of a server started by agent.serve, http://host:8000/v1#model",
    )
    talker: str = Field(
        "local",
        pattern=r"^(local|https?://.+)$",
        description="what writes replies: local, or the address of an OpenAI-compatible server, "
        "http://host:8000/v1#model",
    )
    host: str = Field("127.0.0.1", min_length=1, description="address the page listens on")
    port: int = Field(7860, ge=1, le=65535, description="port the page listens on")
    threads: int = Field(
        default_factory=lambda: min(2, os.cpu_count() or 1),
        ge=1,
        le=256,
        description="CPU threads of the in-process models",
    )
    slate_size: int = Field(5, ge=1, le=20, description="items recommended at once")
    beam: int = Field(4, ge=1, le=64, description="beams of the slate decoder; 1 is greedy")
    alpha: float = Field(1.0, ge=0, le=10, description="weight of the retrieval prior; 0 = none")
    strength: float = Field(
        0.5, ge=0, le=10, description="how much the language model is believed on slates; 0 = none"
    )
    understander: str = Field(
        "both",
        description="what reads a person's turn: rules, encoder, both (= local), or the address "
        "of an OpenAI-compatible server, http://host:8000/v1#model",
    )
    turn_calls: int = Field(4, ge=1, le=100, description="model calls a turn may make")
    turn_tokens: int = Field(4000, ge=50, le=10**6, description="tokens a turn may have written")
    turn_seconds: float = Field(60.0, gt=0, le=3600, description="seconds a turn may write for")
    endpoint_url: str | None = Field(
        None, pattern=r"^https?://", description="OpenAI-compatible server for the talking role"
    )
    endpoint_model: str | None = Field(None, description="model name at that server")
    endpoint_key: SecretStr | None = Field(None, description="key for that server")
    endpoint_timeout_s: float = Field(30.0, gt=0, le=600, description="seconds, one request")
    rules: Path | None = Field(None, description="a YAML file of the owner's business rules")
    watch_seconds: float = Field(
        0.25, ge=0, le=86400, description="how often to look for a changed catalogue; 0 = never"
    )
    encoder: Path | None = Field(
        None, description="another text encoder (sentence-transformers folder); default: MiniLM"
    )
    user: str | None = Field(
        None, min_length=1, description="one person's name: every browser of this server is theirs"
    )
    retention_days: float | None = Field(
        None, gt=0, le=36500, description="conversations untouched for so long are deleted"
    )
    remote_images: bool = Field(
        False, description="may the page show images of items from https addresses?"
    )
    api_keys: SecretStr | None = Field(
        None, description="keys of the API: name:key,name:key or a file of them; default: open"
    )
    rate_limit: str = Field(
        "600/minute", description="API requests a key, or an address without keys; empty = no limit"
    )
    cors_origins: str = Field(
        "", description="origins whose pages may call the API, with commas between; default: none"
    )
    ab: str | None = Field(
        None, description="two slate models, by person: a=models/x,b=models/y:0.5 (agent/ab.py)"
    )
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    log_format: Literal["text", "json"] = Field(
        "text", description="json: an object a line, for a log collector; never what people say"
    )
    otlp: str | None = Field(
        None, pattern=r"^https?://", description="OpenTelemetry collector (gRPC) for spans"
    )

    @classmethod
    def load(cls, **chosen: Any) -> Self:
        """Settings from the environment, with ``chosen`` fields over it.

        Raises:
            SettingsError: a value that cannot be used, or a PARLEY_* variable that is none of
                ours; the message names the variable, its value and what is accepted.
        """
        _refuse_unknown_variables(set(cls.model_fields))
        try:
            return cls(**chosen)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else ""
            secret = "key" in name or name == "database"  # a URL may hold a password
            value = "" if secret else f"={first['input']!s}"
            reason = first["msg"].removeprefix("Value error, ")
            where = f"{PREFIX}{name.upper()}{value}: " if name else ""
            raise SettingsError(f"{where}{reason}") from error

    @field_validator("understander")
    @classmethod
    def _understander_is_known(cls, value: str) -> str:
        known = ("rules", "encoder", "both", "local")
        if value not in known and not value.startswith(("http://", "https://")):
            names = ", ".join(map(repr, known))
            raise ValueError(f"use {names} or a server's address, http://host:8000/v1")
        return value

    @field_validator("recommender", mode="before")
    @classmethod
    def _recommender_is_known(cls, value: object) -> object:
        if value == "local":
            return None
        is_url = isinstance(value, str) and value.startswith(("http://", "https://"))
        return Path(value) if isinstance(value, str) and not is_url else value

    @property
    def recommender_url(self) -> str | None:
        """The address of the server that orders slates; None when that is done here."""
        return self.recommender if isinstance(self.recommender, str) else None

    @property
    def recommender_folder(self) -> Path:
        """The folder of the slate model (its tokenizer, where a server holds its weights)."""
        return self.recommender if isinstance(self.recommender, Path) else self.model

    @property
    def talker_url(self) -> str | None:
        """The address of the server that writes replies; None when that is done here."""
        return None if self.talker == "local" else self.talker

    @property
    def arm(self) -> Literal["rules", "encoder", "both"]:
        """What reads turns in this process."""
        if self.understander == "rules":
            return "rules"
        return "encoder" if self.understander == "encoder" else "both"

    @property
    def understander_url(self) -> str | None:
        """The address of the server that reads turns; None when that is done here."""
        return self.understander if "://" in self.understander else None

    @field_validator("database")
    @classmethod
    def _database_is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        scheme, found, _ = value.get_secret_value().partition("://") if value else ("", "", "")
        if value and not (found and scheme in ("postgresql", "postgres")):
            raise ValueError(
                "only PostgreSQL is served besides the SQLite file: write "
                "postgresql://user:password@host:5432/database"
            )
        return value

    @model_validator(mode="after")
    def _endpoint_is_whole(self) -> Self:
        if self.endpoint_url and not self.endpoint_model:
            raise ValueError(
                "PARLEY_ENDPOINT_URL is set but PARLEY_ENDPOINT_MODEL is not; "
                "set it to the name of the model that server offers"
            )
        return self


def _refuse_unknown_variables(fields: set[str]) -> None:
    """A misspelt variable would silently do nothing, so it is an error."""
    known = {PREFIX + field.upper() for field in fields}
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX) and variable.upper() not in known:
            near = difflib.get_close_matches(variable.upper(), known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise SettingsError(f"{variable} is not a setting of Parley; {remedy}")


def stay_local() -> None:
    """Keep libraries off the network: no telemetry, no model hub. Call first in ``main()``."""
    for variable, value in LOCAL_ONLY.items():
        os.environ.setdefault(variable, value)
