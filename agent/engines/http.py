"""One OpenAI-compatible server: requests with a deadline, retries, and a circuit breaker.

A request may take ``timeout`` seconds in all, tries included, so a person is told in time
whatever the server does: refuses, hangs, sends its first byte late, dribbles, or answers
nonsense. Too many requests, server errors and broken connections are tried again with growing
pauses and jitter (tenacity). A server that fails call after call is left alone for a few
seconds (circuitbreaker): callers are told at once, and it is not run over while it comes back.
"""

import json
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import tenacity
from circuitbreaker import CircuitBreaker, CircuitBreakerError

from agent.errors import LLMError

TRIP: Final = 5  # failed calls in a row after which a server is left alone ...
REST_S: Final = 5.0  # ... for this long
LONGEST: Final = 16 << 20  # bytes of an answer that are read at all


class Refused(LLMError):
    """The server understood and said no (HTTP 4xx): trying again would not help."""

    def __init__(self, status: int, text: str, message: str) -> None:
        super().__init__(message)
        self.status, self.text = status, text


class Endpoint:
    """The server behind a base URL such as ``http://127.0.0.1:8000/v1``. Thread-safe.

    ``setting``: the variable that names it, for messages.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = 4,
        pause: float = 0.5,
        setting: str = "PARLEY_ENDPOINT_URL",
        trip: int = TRIP,
        rest_s: float = REST_S,
    ) -> None:
        self.url = base_url.rstrip("/")
        self.timeout, self.setting = timeout, setting
        self._attempts, self._pause = attempts, pause
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(headers=headers, limits=httpx.Limits(max_connections=256))
        self.breaker = CircuitBreaker(
            failure_threshold=trip, recovery_timeout=rest_s, expected_exception=_servers_fault
        )
        self._guarded = self.breaker.decorate(self._try)

    def post(self, path: str, body: Mapping[str, Any], *, seconds: float | None = None) -> Any:
        """POST JSON to ``path`` below the base URL; the answer's JSON.

        ``seconds``: less time than the endpoint's own timeout, for a turn that has less left.

        Raises:
            LLMError: unreachable, too slow, failing, left alone, or no JSON came back.
        """
        return self.ask("POST", f"{self.url}{path}", body, seconds=seconds)

    def get(self, address: str) -> Any:
        """GET a whole address; the answer's JSON. Raises as ``post``."""
        return self.ask("GET", address, None)

    def ask(
        self,
        method: str,
        address: str,
        body: Mapping[str, Any] | None,
        *,
        seconds: float | None = None,
    ) -> Any:
        """See ``post``."""
        limit = self.timeout if seconds is None else max(0.05, min(seconds, self.timeout))
        try:
            return self._guarded(method, address, body, limit)
        except CircuitBreakerError as error:
            wait = max(1, round(self.breaker.open_remaining))
            raise LLMError(
                f"{self.url} failed {self.breaker.failure_count} times in a row and is left "
                f"alone for {wait} s more; check that server, then say it again"
            ) from error
        except httpx.HTTPStatusError as error:
            status, text = error.response.status_code, error.response.text[:300]
            message = f"{self.url} answered {status}: {text!r}; check {self.setting}"
            if 400 <= status < 500:
                raise Refused(status, text, message) from error
            raise LLMError(message) from error
        except httpx.TimeoutException as error:
            raise LLMError(
                f"{self.url} did not answer within {limit:g} s; is the server overloaded? "
                f"See {self.setting}"
            ) from error
        except httpx.HTTPError as error:
            raise LLMError(
                f"{self.url} cannot be reached ({type(error).__name__}: {error}); "
                f"start the server or unset {self.setting}"
            ) from error
        except ValueError as error:
            raise LLMError(
                f"{self.url} answered something that is no JSON ({error}); "
                "is it an OpenAI-compatible server?"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _try(self, method: str, address: str, body: Mapping[str, Any] | None, limit: float) -> Any:
        until = time.monotonic() + limit
        for attempt in tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts) | _stop_at(until),
            wait=tenacity.wait_exponential_jitter(
                multiplier=self._pause, max=8, jitter=self._pause
            ),
            retry=tenacity.retry_if_exception(_worth_retrying),
            reraise=True,
        ):
            with attempt:
                return self._send(method, address, body, until)
        raise AssertionError("tenacity reraises")

    def _send(self, method: str, address: str, body: Mapping[str, Any] | None, until: float) -> Any:
        left = max(0.05, until - time.monotonic())
        # Connecting to a port that nobody serves should not use the whole time up.
        timeout = httpx.Timeout(left, connect=min(left, 5.0))
        data = bytearray()
        with self._client.stream(method, address, json=body, timeout=timeout) as response:
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > LONGEST:
                    raise ValueError(f"more than {LONGEST >> 20} MB")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("the answer came too slowly", request=response.request)
            if response.is_error:
                answer = httpx.Response(
                    response.status_code, content=bytes(data), request=response.request
                )
                answer.raise_for_status()
        return json.loads(data)


def _stop_at(until: float) -> Any:
    """Stop when the next pause would end after ``until``."""

    def stop(state: tenacity.RetryCallState) -> bool:
        return time.monotonic() + state.upcoming_sleep >= until

    return stop


def _worth_retrying(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


def _servers_fault(kind: type[BaseException], error: BaseException) -> bool:
    """What counts for the breaker: not what a request did wrong."""
    if isinstance(error, httpx.HTTPStatusError):
        return _worth_retrying(error)
    return isinstance(error, httpx.HTTPError | ValueError)
