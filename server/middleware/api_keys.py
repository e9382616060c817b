"""API keys: the file of them, and whose a given one is.

A key is 256 random bits, so nobody guesses one from its digest however fast the digest is: plain
SHA-256 serves. A slow, salted digest protects passwords, which people choose, and would cost every
request tens of milliseconds.
"""

import hashlib
import hmac
import logging
import secrets
import tomllib
from pathlib import Path
from time import monotonic
from typing import Self

from pydantic import Field, model_validator

from vocoder.config import StrictModel
from vocoder.errors import ConfigError

from .rate_limits import ApiClient, Limits

PREFIX = "vk_"
"""So that people and secret scanners know a key when they see one."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
LOOK_S = 1.0
"""Seconds between looks at the file."""

logger = logging.getLogger(__name__)


class Key(Limits):
    """An entry of the file."""

    name: str = Field(pattern=NAME, description="whose it is; stands in the log")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the key, in hexadecimal digits")

    def limits(self) -> Limits:
        """The limits alone."""
        return Limits(**self.model_dump(include=set(Limits.model_fields)))

    def to_toml(self) -> str:
        """The entry as it stands in the file."""
        lines = [f'name = "{self.name}"', f'sha256 = "{self.sha256}"']
        limits = self.limits().model_dump(exclude_none=True)
        lines += [f"{limit} = {value}" for limit, value in limits.items()]
        return "\n".join(["[[key]]", *lines]) + "\n"


class KeyFile(StrictModel):
    """The file."""

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
        ConfigError: no such file, not TOML, no keys, or one that is not as it should be.
    """
    where = f"file of API keys {path}"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror or error}", param="api_keys_file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not TOML: {error}", param="api_keys_file") from None
    if not data.get("key"):
        raise ConfigError(
            f"{where}: has no [[key]]: `vocoder key NAME` makes one", param="api_keys_file"
        )
    return KeyFile.parse(data, where).key


def new(name: str, **limits: int | None) -> tuple[str, Key]:
    """A new key and its entry, which does not give the key away.

    Raises:
        ConfigError: a name that is not letters, digits and ``._@-``, or a limit below 1.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    entry = {"name": name, "sha256": _digest(secret.encode()).hex(), **limits}
    return secret, Key.parse(entry, "API key")


class Keyring:
    """The keys of a file, which is read again when it changes.

    A new file that cannot be read is logged, and the old keys stay. Requests in progress go on when
    their key goes; what was used of a key's limits is remembered as long as its name is there.

    Args:
        path: the file.
        shared: folder in which workers write down what is used; this process counts alone if None.

    Raises:
        ConfigError: as :func:`load` does.
    """

    def __init__(self, path: Path, shared: Path | None = None) -> None:
        self.path = path
        self.shared = shared
        self._seen = _state(path)
        self._looked = monotonic()
        self._identities: dict[str, ApiClient] = {}
        self._digests: list[tuple[bytes, ApiClient]] = []
        self._take(load(path))

    def find(self, secret: bytes) -> ApiClient | None:
        """Whose key it is; takes the same time for every key that is not there."""
        self._reload()
        digest, found = _digest(secret), None
        for known, identity in self._digests:
            if hmac.compare_digest(known, digest):
                found = identity
        return found

    def _take(self, keys: tuple[Key, ...]) -> None:
        known, self._identities, self._digests = self._identities, {}, []
        for key in keys:
            identity = known.get(key.name) or self._identity(key)
            identity.limits = key.limits()
            self._identities[key.name] = identity
            self._digests.append((bytes.fromhex(key.sha256), identity))

    def _identity(self, key: Key) -> ApiClient:
        file = self.shared / f"limits-{key.name}" if self.shared else None
        return ApiClient(key.name, key.limits(), file)

    def _reload(self) -> None:
        now = monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        state = _state(self.path)
        if state == self._seen:
            return
        self._seen = state
        try:
            self._take(load(self.path))
        except ConfigError as error:
            logger.error("%s; the keys that were there stay", error)
        else:
            logger.info("%d API keys read again", len(self._digests))


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
