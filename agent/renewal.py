"""The parts in use, and how a rebuilt catalogue takes their place while people talk.

A turn takes the parts once, at its beginning, so one in flight keeps the old catalogue and
the next has the new one. What cannot be used is reported once and changes nothing.
"""

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np

from agent.graph import Parts
from catalog.errors import ParleyError

#: The parts over a rebuilt catalogue, or None while nothing has changed.
Renew = Callable[[Parts], Parts | None]
MANY, PAUSE_S = 4, 5.0
log = logging.getLogger(__name__)


class InUse:
    """The parts of the next turn. ``watch_seconds`` 0: only ``reload`` looks for new ones."""

    def __init__(
        self, parts: Parts, renew: Renew | None = None, watch_seconds: float = 0.0
    ) -> None:
        self.parts = parts
        self._renew = renew
        self._one = threading.Lock()
        self._complaint = ""
        self._replaced, self._at = 0, 0.0  # large catalogues not freed yet, when the last came
        self._closed = threading.Event()
        if renew is not None and watch_seconds > 0:
            watch = (weakref.ref(self), watch_seconds, self._closed)
            threading.Thread(target=_watch, args=watch, name="parley-watch", daemon=True).start()

    def reload(self) -> bool:
        """Take the rebuilt catalogue into use, if there is a usable one; whether it was."""
        with self._one:
            if self._renew is None:
                return False
            try:
                fresh = self._renew(self.parts)
            except ParleyError as error:
                if str(error) != self._complaint:
                    log.error("the rebuilt catalogue cannot be used, the old one stays: %s", error)
                self._complaint = str(error)
                return False
            self._complaint = ""
            if fresh is None:
                self._tidy()
                return False
            self.parts = fresh
            catalog = fresh.catalog
            log.info("now over %s items, catalogue %s", len(catalog), catalog.fingerprint)
            if isinstance(catalog.vectors, np.memmap):
                self._replaced, self._at = self._replaced + 1, time.monotonic()
            return True

    def _tidy(self) -> None:
        """Free large catalogues that were replaced, when changes pause or many are left.

        They are held by cycles only: at a million items, waiting for Python to notice keeps
        several, each with gigabytes mapped; looking for them takes part of a second.
        """
        if self._replaced > MANY or (self._replaced and time.monotonic() - self._at > PAUSE_S):
            self._replaced = 0
            gc.collect()

    def close(self) -> None:
        self._closed.set()


def _watch(of: "weakref.ref[InUse]", seconds: float, closed: threading.Event) -> None:
    """Look for a rebuilt catalogue every few seconds, for as long as somebody uses this one."""
    while not closed.wait(seconds):
        in_use = of()
        if in_use is None:
            return
        try:
            in_use.reload()
        except Exception:  # a bug here must not end the watch; it is logged whole
            log.exception("looking for a rebuilt catalogue failed")
        del in_use
