"""API keys: who may call, when the owner of this Parley says that not everybody may.

    PARLEY_API_KEYS="shop:3f9c…,app:77ab…"      # a list: name:key or a key alone
    PARLEY_API_KEYS=keys.txt                    # or a file with one of these a line, # comments

Only digests are kept in memory, and every one of them is compared, in constant time, so that
the time an answer takes tells nothing of how near a wrong key came.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from pathlib import Path

from agent.settings import Settings, SettingsError

SHORTEST = 16
KEY = re.compile(rf"[A-Za-z0-9._~+=-]{{{SHORTEST},200}}")
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Keys:
    """The keys that are accepted; without any, everybody is let in under the name ""."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._digests = {name: _digest(key) for name, key in keys.items()}

    @classmethod
    def of(cls, settings: Settings) -> "Keys":
        """The keys that ``PARLEY_API_KEYS`` lists or the file that it names.

        Raises:
            SettingsError: a file that cannot be read, or an entry that is no key; the key
                itself is never part of the message.
        """
        told = settings.api_keys.get_secret_value().strip() if settings.api_keys else ""
        if not told:
            return cls({})
        entries, where = [e.strip() for e in told.split(",")], "PARLEY_API_KEYS"
        if "/" in told or Path(told).is_file():
            where = f"the file of PARLEY_API_KEYS ({told})"
            try:
                lines = Path(told).read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{where} cannot be read ({error}).") from error
            entries = [e for line in lines if (e := line.partition("#")[0].strip())]
        return cls(_parsed(entries, where))

    def __bool__(self) -> bool:
        return bool(self._digests)

    def name_of(self, key: str) -> str | None:
        """Whose key this is; None for a wrong one."""
        digest, found = _digest(key), None
        for name, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _parsed(entries: list[str], where: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        name, named, key = entry.partition(":")
        if not named:
            name, key = f"key{number}", entry
        if not NAME.fullmatch(name) or not KEY.fullmatch(key):
            raise SettingsError(
                f"Entry {number} of {where} is no key: write name:key, the name of letters, "
                f"digits, - and _, the key of at least {SHORTEST} letters, digits and . _ ~ + = -."
            )
        if name in keys:
            raise SettingsError(f"Entry {number} of {where} repeats the name {name!r}.")
        keys[name] = key
    if not keys:
        raise SettingsError(f"{where} holds no key: add one, or unset it to let everybody in.")
    return keys
