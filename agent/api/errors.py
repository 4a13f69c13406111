"""Errors as a program reads them: one body for REST and for OpenAI's protocol.

    {"error": {"message": "...", "type": "invalid_request_error", "param": "n", "code": "..."}}

The message is for people: it names the value, the limit and the remedy. ``code`` is for programs
and stays the same when the words change. This is the shape that OpenAI's clients know.
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from agent.errors import LLMError, MemoryError_
from catalog.errors import CatalogError, FilterError, ParleyError

log = logging.getLogger(__name__)
TYPES = {401: "authentication_error", 429: "rate_limit_error"}
SHOWN_CHARS = 80  # of a refused value


class Trouble(BaseModel):
    """What went wrong."""

    message: str = Field(description="for people: the value, the limit, the remedy")
    type: str = Field(description="the class of error, as OpenAI names them")
    param: str | None = Field(None, description="the parameter it is about")
    code: str | None = Field(None, description="for programs")


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: Trouble


class ApiError(ParleyError):
    """A request that cannot be served; ``status`` is the HTTP code."""

    def __init__(
        self, message: str, status: int = 422, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


def body(message: str, status: int, code: str | None, param: str | None = None) -> dict[str, Any]:
    """The error body for a status."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def status_of(error: ParleyError) -> int:
    """The HTTP code of one of our errors."""
    if isinstance(error, ApiError):
        return error.status
    if isinstance(error, LLMError | MemoryError_):
        return 503
    unknown = isinstance(error, CatalogError) and not isinstance(error, FilterError)
    return 404 if unknown and str(error).startswith("No item ") else 422


def told(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body for any exception; a bug is logged whole and told as one."""
    if isinstance(error, ParleyError):
        status = status_of(error)
        code = error.code if isinstance(error, ApiError) else None
        param = error.param if isinstance(error, ApiError) else None
        default = {404: "not_found", 422: "invalid_value", 503: "unavailable"}.get(status)
        return status, body(str(error), status, code or default, param)
    log.error("a request failed", exc_info=error)
    words = "Something went wrong here. It was logged with this request's id (X-Request-Id)."
    return 500, body(words, 500, "internal_error")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's documentation says of failures, with those that any route may have."""
    words = {
        400: "The request cannot be served as it is.",
        401: "The key is missing or wrong.",
        404: "There is no such thing here.",
        409: "The conversation still answers.",
        413: "The body is too long.",
        422: "A value that cannot be used.",
        429: "Too many requests.",
        503: "A model or the database cannot be reached.",
    }
    every = sorted({401, 413, 422, 429, *statuses})
    return {s: {"model": ErrorBody, "description": words[s]} for s in every}


def add_errors(app: FastAPI) -> None:
    """Have every failure of ``app`` told in the one shape."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"] if p not in ("body", "query", "path"))
        status = 400 if request.url.path.startswith("/v1/") else 422
        got = "" if first["type"] in ("missing", "json_invalid") else f", got {_short(first)}"
        words = f"{where or 'body'}: {first['msg']}{got}."
        return JSONResponse(body(words, status, first["type"], where or None), status)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed", 413: "too_long"}
        words = str(error.detail)
        if error.status_code == 404:
            words = f"No address {request.url.path[:SHOWN_CHARS]!r}: see /api/v1/openapi.json."
        answer = body(words, error.status_code, codes.get(error.status_code))
        return JSONResponse(answer, error.status_code, headers=error.headers)

    @app.exception_handler(ParleyError)
    async def known(request: Request, error: ParleyError) -> JSONResponse:
        status, answer = told(error)
        return JSONResponse(answer, status)


def _short(error: Any) -> str:
    shown = repr(error["input"])
    return shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}…"
