"""API keys: the key file, and looking up whose key a request carries.

A key is 256 random bits, so it cannot be guessed from its digest however fast the digest is: plain
SHA-256 is enough. A slow, salted digest protects passwords, which people choose, and would cost
every request tens of milliseconds.
"""

import hashlib
import hmac
import logging
import secrets
import tomllib
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Self

from pydantic import Field, model_validator

from vocoder.config import StrictModel
from vocoder.errors import ConfigError

from .rate_limits import ApiClient, Limits

PREFIX = "vk_"
"""Lets people and secret scanners recognise a key."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
CHECK_S = 1.0
"""Seconds between checks of the file."""

logger = logging.getLogger(__name__)


class Key(Limits):
    """An entry of the key file."""

    name: str = Field(pattern=NAME, description="owner of the key; appears in the log")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key, in hexadecimal")

    def limits(self) -> Limits:
        """The limits alone."""
        return Limits(**self.model_dump(include=set(Limits.model_fields)))

    def to_toml(self) -> str:
        """The entry as the file has it."""
        lines = [f'name = "{self.name}"', f'sha256 = "{self.sha256}"']
        limits = self.limits().model_dump(exclude_none=True)
        lines += [f"{limit} = {value}" for limit, value in limits.items()]
        return "\n".join(["[[key]]", *lines]) + "\n"


class KeyFile(StrictModel):
    """The key file."""

    key: tuple[Key, ...] = Field(min_length=1, description="the keys")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for field in ("name", "sha256"):
            values = [getattr(key, field) for key in self.key]
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"two keys have the {field} {value}")
        return self


def load(path: Path) -> tuple[Key, ...]:
    """The keys of a TOML file of ``[[key]]`` tables.

    Raises:
        ConfigError: the file does not exist, is not TOML, has no keys, or has an invalid one.
    """
    where = f"API key file {path}"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror or error}", param="api_keys_file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not TOML: {error}", param="api_keys_file") from None
    if not data.get("key"):
        raise ConfigError(
            f"{where}: it has no [[key]] entry: create one with `vocoder key NAME`",
            param="api_keys_file",
        )
    return KeyFile.parse(data, where).key


def new(name: str, **limits: int | None) -> tuple[str, Key]:
    """A new key and its entry, which does not reveal the key.

    Raises:
        ConfigError: the name has characters other than letters, digits and ``._@-``, or a limit is
            below 1.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    entry = {"name": name, "sha256": _digest(secret.encode()).hex(), **limits}
    return secret, Key.parse(entry, "API key")


class Keyring:
    """The keys of a file, which is reloaded when it changes.

    If a new version of the file cannot be read, that is logged and the old keys stay valid.
    Requests in progress continue when their key is removed. Usage is kept by name: a key that stays
    in the file keeps what it has used of its limits.

    Args:
        path: the file.
        shared: folder where workers record usage; None if this process counts on its own.
        limited: called whenever a limit refuses a request.

    Raises:
        ConfigError: see :func:`load`.
    """

    def __init__(
        self,
        path: Path,
        shared: Path | None = None,
        limited: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.shared = shared
        self._limited = limited
        self._seen = _state(path)
        self._checked = monotonic()
        self._clients: dict[str, ApiClient] = {}
        self._digests: list[tuple[bytes, ApiClient]] = []
        self._set(load(path))

    def find(self, secret: bytes) -> ApiClient | None:
        """The owner of a key; takes the same time for every unknown key."""
        self._reload()
        digest, found = _digest(secret), None
        for known, client in self._digests:
            if hmac.compare_digest(known, digest):
                found = client
        return found

    def _set(self, keys: tuple[Key, ...]) -> None:
        known, self._clients, self._digests = self._clients, {}, []
        for key in keys:
            client = known.get(key.name) or self._client(key)
            client.limits = key.limits()
            self._clients[key.name] = client
            self._digests.append((bytes.fromhex(key.sha256), client))

    def _client(self, key: Key) -> ApiClient:
        file = self.shared / f"limits-{key.name}" if self.shared else None
        return ApiClient(key.name, key.limits(), file, self._limited)

    def _reload(self) -> None:
        now = monotonic()
        if now - self._checked < CHECK_S:
            return
        self._checked = now
        state = _state(self.path)
        if state == self._seen:
            return
        self._seen = state
        try:
            self._set(load(self.path))
        except ConfigError as error:
            logger.error("%s; the previous keys stay valid", error)
        else:
            logger.info("reloaded %d API keys", len(self._digests))


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _state(path: Path) -> tuple[int, int, int] | None:
    """Identifies a version of the file; None if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
