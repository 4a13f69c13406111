"""What stands before every address of the API: ids, keys, limits, and a log without words.

One piece of ASGI around the whole API, so that no address can be without it. In this order:
a request id, the length of the body, the key, the rate limit. ``/api/v1/health`` needs no key
and counts towards no limit. The log has method, path, status, time and id, never a text, a
query or a key.
"""

import logging
import re
import time
import uuid

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.api.errors import body, told
from agent.api.keys import Keys
from agent.settings import Settings, SettingsError

MAX_BODY = 1_048_576  # bytes: a hundred long messages
OPEN = ("/api/v1/health",)
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

log = logging.getLogger("parley.api")


class Limit:
    """Requests by caller over moving windows, counted in this process."""

    def __init__(self, rule: str) -> None:
        self._items: list[RateLimitItem] = []
        if rule.strip():
            try:
                self._items = parse_many(rule)
            except ValueError as error:
                raise SettingsError(
                    f"PARLEY_RATE_LIMIT={rule} is no rate: write 60/minute, or several as "
                    "10/second;600/hour; empty for no limit."
                ) from error
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, caller: str) -> RateLimitItem | None:
        """Count one request; the limit that it breaks, if it breaks one."""
        return next((item for item in self._items if not self._window.hit(item, caller)), None)

    def headers(self, caller: str) -> dict[str, str]:
        """What is left of the tightest limit."""
        if not self._items:
            return {}
        stats = [(self._window.get_window_stats(item, caller), item) for item in self._items]
        window, item = min(stats, key=lambda s: s[0].remaining)
        return {
            "X-RateLimit-Limit": str(item.amount),
            "X-RateLimit-Remaining": str(window.remaining),
            "X-RateLimit-Reset": str(max(0, round(window.reset_time - time.time()))),
        }


class Guard:
    """The API behind ids, keys and limits. ``scope["state"]["caller"]``: the key's name."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._keys = Keys.of(settings)
        self._limit = Limit(settings.rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, headers = time.perf_counter(), Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        extra = {"X-Request-Id": request_id, "X-Content-Type-Options": "nosniff"}
        state = {"status": 0}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                own = MutableHeaders(scope=message)
                for name, value in {"Cache-Control": "no-store", **extra}.items():
                    own.setdefault(name, value)
            await send(message)

        try:
            refusal = self._admitted(scope, headers, extra)
            if refusal is None and "transfer-encoding" in headers:
                receive, refusal = await whole(receive)
            await (refusal or self._app)(scope, receive, sending)
        except Exception as error:
            if state["status"]:
                raise  # the answer has begun: nothing better can be said
            status, answer = told(error)
            await JSONResponse(answer, status)(scope, receive, sending)
        finally:
            took = (time.perf_counter() - started) * 1000
            path = scope["path"] if "\n" not in scope["path"] else "?"
            where = re.sub(r"(/items/).*", r"\1…", path)
            log.info(
                "%s %s %s %.0f ms %s", scope["method"], where, state["status"], took, request_id
            )

    def _admitted(
        self, scope: Scope, headers: Headers, extra: dict[str, str]
    ) -> JSONResponse | None:
        """The refusal of a request, or None; ``extra`` gets what its answer says of limits."""
        told_length = headers.get("content-length", "0")
        if told_length.isdecimal() and int(told_length) > MAX_BODY:
            return too_long(f"{told_length} bytes")
        if scope["path"] in OPEN:
            return None
        address = scope["client"][0] if scope.get("client") else ""
        caller = self._keys.name_of(_key(headers)) if self._keys else ""
        who = f"key:{caller}" if caller else f"address:{address}"
        broken = self._limit.hit(who)
        extra.update(self._limit.headers(who))
        if broken is not None:
            wait = extra["X-RateLimit-Reset"]
            words = f"More than {broken} requests: wait {wait} s (PARLEY_RATE_LIMIT)."
            return JSONResponse(
                body(words, 429, "rate_limit_exceeded"), 429, headers={"Retry-After": wait}
            )
        if caller is None:
            words = (
                "The API key is missing or wrong: send one of this server's keys "
                "as 'Authorization: Bearer KEY' or in 'X-API-Key'."
            )
            return JSONResponse(
                body(words, 401, "invalid_api_key"), 401, headers={"WWW-Authenticate": "Bearer"}
            )
        scope.setdefault("state", {})["caller"] = caller
        return None


def _key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


async def whole(receive: Receive) -> tuple[Receive, JSONResponse | None]:
    """A body that comes in pieces of unknown number, read at once; refused when it is too long."""
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        pieces.append(message)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
        if size > MAX_BODY:
            return receive, too_long(f"more than {MAX_BODY} bytes")
    left = iter(pieces)

    async def again() -> Message:
        return next(left, None) or await receive()

    return again, None


def too_long(size: str) -> JSONResponse:
    words = f"The body has {size}; at most {MAX_BODY} are read: send less."
    return JSONResponse(body(words, 413, "too_long"), 413)
