"""Log lines for people (text) or for a collector (JSON, one object a line): PARLEY_LOG_FORMAT.

Nothing here or anywhere logs what people say or are told, at any level: a log line has times,
counts, kinds and addresses. Imports nothing heavy, so that a wrong setting is said at once.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from agent.settings import Settings

# What every log record has; the rest of a record's fields were given as ``extra``.
USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message"}

WORDY = ("langgraph", "langchain", "langchain_core", "chromadb", "httpx", "httpcore", "openai")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in record.__dict__.items() if k not in USUAL}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logs(settings: Settings) -> None:
    """Log to the terminal as PARLEY_LOG_LEVEL and PARLEY_LOG_FORMAT say."""
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for name in WORDY:  # at debug they write the words of people and of queries
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger().level))
