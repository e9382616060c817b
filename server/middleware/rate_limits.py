"""How much the holder of a key may ask for: at a time, and a minute; all workers count together."""

import contextlib
import fcntl
import logging
import math
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from pydantic import Field, ValidationError

from vocoder.config import StrictModel

from .. import metrics
from ..errors import Refusal

WINDOW_S = 60.0

logger = logging.getLogger(__name__)


class Limits(StrictModel):
    """What one key may do; no limit where None."""

    concurrent: int | None = Field(None, ge=1, description="requests and sockets at a time")
    requests_per_minute: int | None = Field(None, ge=1, description="requests and sockets a minute")
    characters_per_minute: int | None = Field(None, ge=1, description="of text, a minute")


class Usage(StrictModel):
    """What was used of a key's limits.

    The allowances are token buckets: a minute's may be taken at once, and comes back evenly. Such a
    bucket is known by the time at which it will be full again, and needs no timer to fill it.
    """

    requests_full_at: float = Field(0.0, description="monotonic time in seconds")
    characters_full_at: float = Field(0.0, description="monotonic time in seconds")
    held: dict[int, int] = Field({}, description="requests in progress of each process, by its id")


class Ledger:
    """Where a key's usage is written down, one change at a time.

    Args:
        file: shared with other processes; only this one counts where None.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.usage = Usage()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """For as long as it lasts, ``usage`` is what all processes know, and theirs what it is."""
        with self._lock, contextlib.ExitStack() as stack:
            shared: BinaryIO | None = None
            try:
                if self.file is not None:
                    handle = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
                    shared = stack.enter_context(os.fdopen(handle, "r+b"))
                    fcntl.flock(shared, fcntl.LOCK_EX)
                    self.usage = _parsed(shared.read())
            except OSError as error:
                shared = None
                self._alone(error)
            before = self.usage
            yield
            try:
                if shared is not None and self.usage != before:
                    shared.seek(0)
                    shared.write(self.usage.model_dump_json().encode())
                    # Not before: where a file was empty, ext4 waits for the disk as it is closed.
                    shared.truncate()
            except OSError as error:
                self._alone(error)

    def _alone(self, error: OSError) -> None:
        logger.error("%s: %s; from now on each worker counts alone", self.file, error.strerror)
        self.file = None


class ApiClient:
    """Who asks: the holder of a key, and what is left of its limits.

    Args:
        name: of the key.
        limits: what it may do.
        file: where several processes write down what is used, if there are several.
    """

    def __init__(self, name: str | None, limits: Limits, file: Path | None = None) -> None:
        self.name = name
        self.limits = limits
        self._ledger = Ledger(file)

    @property
    def held(self) -> int:
        """Requests in progress."""
        with self._ledger.open():
            return sum(self._ledger.usage.held.values())

    def charge(self, characters: int) -> None:
        """Count characters that are to be spoken; to be called before they are.

        Raises:
            Refusal: 429, they are more than is left of this minute's; 422, than a minute may have.
        """
        limit = self.limits.characters_per_minute
        if limit is not None and characters > limit:
            raise Refusal(
                422,
                f"the text has {characters} characters, key {self.name} may send {limit} a minute: "
                "send it in parts",
                code="text_too_long",
            )
        self._take("characters", characters, limit)

    def count_request(self) -> None:
        """Count a request.

        Raises:
            Refusal: 429, this minute's are used up.
        """
        self._take("requests", 1, self.limits.requests_per_minute)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Count one more request in progress for as long as it lasts.

        Raises:
            Refusal: 429, as many as the key may have are there.
        """
        limit = self.limits.concurrent
        if limit is None:
            yield
            return
        with self._ledger.open():
            if sum(self._ledger.usage.held.values()) >= limit:
                self._forget_the_dead()
            if sum(self._ledger.usage.held.values()) >= limit:
                raise _used_up(
                    f"key {self.name} may have {limit} requests in progress, and has: "
                    "try again when one has ended",
                    1,
                )
            self._count(1)
        try:
            yield
        finally:
            with self._ledger.open():
                self._count(-1)

    def _count(self, change: int) -> None:
        held, own = self._ledger.usage.held, os.getpid()
        counted = {**held, own: max(0, held.get(own, 0) + change)}
        self._ledger.usage = self._ledger.usage.model_copy(update={"held": counted})

    def _forget_the_dead(self) -> None:
        held = self._ledger.usage.held
        alive = {process: count for process, count in held.items() if _lives(process)}
        self._ledger.usage = self._ledger.usage.model_copy(update={"held": alive})

    def _take(self, unit: str, amount: int, limit: int | None) -> None:
        if limit is None:
            return
        field = f"{unit}_full_at"
        with self._ledger.open():
            now = monotonic()
            missing_s = min(max(getattr(self._ledger.usage, field) - now, 0.0), WINDOW_S)
            missing_s += amount * WINDOW_S / limit
            if missing_s <= WINDOW_S:
                change = {field: now + missing_s}
                self._ledger.usage = self._ledger.usage.model_copy(update=change)
                return
        seconds = max(1, math.ceil(missing_s - WINDOW_S))
        message = f"key {self.name} may send {limit} {unit} a minute: try again in {seconds} s"
        raise _used_up(message, seconds)


ANYONE = ApiClient(None, Limits())
"""Whoever asks where no key is needed."""


def shared_folder() -> Path | None:
    """The folder that the workers of one server share; None where there is one worker."""
    folder = os.environ.get(metrics.FOLDER_VARIABLE)
    return Path(folder) if folder else None


def _used_up(message: str, retry_after_s: int) -> Refusal:
    metrics.rejected("key_limit")
    headers = {"retry-after": str(retry_after_s)}
    return Refusal(429, message, code="rate_limited", headers=headers)


def _parsed(data: bytes) -> Usage:
    try:
        return Usage.model_validate_json(data) if data else Usage()
    except ValidationError:  # A process was killed while it wrote.
        return Usage()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
