"""Limits per API key: concurrent requests, and rates per minute, counted over all workers."""

import contextlib
import fcntl
import logging
import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from pydantic import Field, ValidationError

from vocoder.config import StrictModel

from ..errors import Refusal
from ..metrics import FOLDER_VARIABLE

WINDOW_S = 60.0

logger = logging.getLogger(__name__)


class Limits(StrictModel):
    """The limits of one key; None means unlimited."""

    concurrent: int | None = Field(None, ge=1, description="concurrent requests and sockets")
    requests_per_minute: int | None = Field(
        None, ge=1, description="requests and sockets per minute"
    )
    characters_per_minute: int | None = Field(
        None, ge=1, description="characters of text per minute"
    )


class Usage(StrictModel):
    """How much of a key's limits is used.

    The rates are token buckets: a minute's allowance can be spent at once and refills evenly. The
    state of a bucket is the time at which it will be full again, so no timer has to refill it.
    """

    requests_full_at: float = Field(0.0, description="monotonic time in seconds")
    characters_full_at: float = Field(0.0, description="monotonic time in seconds")
    held: dict[int, int] = Field({}, description="requests in progress, by process id")


class Ledger:
    """Records a key's usage, one change at a time.

    Args:
        file: shared with other processes; None if this process counts on its own.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.usage = Usage()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Lock the ledger: inside, ``usage`` is current, and a change to it is written back."""
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
                    # Truncated last: ext4 waits for the disk when it closes a file emptied before.
                    shared.truncate()
            except OSError as error:
                self._alone(error)

    def _alone(self, error: OSError) -> None:
        logger.error("%s: %s; each worker now counts on its own", self.file, error.strerror)
        self.file = None


class ApiClient:
    """The client behind a request: the owner of a key, and what is left of its limits.

    Args:
        name: of the key; None if no key is needed.
        limits: of the key.
        file: where several processes record usage; None if there is one process.
        limited: called whenever a limit refuses a request.
    """

    def __init__(
        self,
        name: str | None,
        limits: Limits,
        file: Path | None = None,
        limited: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.limits = limits
        self._ledger = Ledger(file)
        self._limited = limited

    @property
    def held(self) -> int:
        """Requests in progress."""
        with self._ledger.open():
            return sum(self._ledger.usage.held.values())

    def charge(self, characters: int) -> None:
        """Count characters before they are spoken.

        Raises:
            Refusal: 429, this minute's allowance is used up; 422, the text is longer than a whole
                minute's allowance.
        """
        limit = self.limits.characters_per_minute
        if limit is not None and characters > limit:
            raise Refusal(
                422,
                f"the text has {characters} characters, key {self.name} may send {limit} per "
                "minute: send it in parts",
                code="text_too_long",
            )
        self._spend("characters", characters, limit)

    def count_request(self) -> None:
        """Count a request.

        Raises:
            Refusal: 429, this minute's allowance is used up.
        """
        self._spend("requests", 1, self.limits.requests_per_minute)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Count one more request in progress inside the ``with`` block.

        Raises:
            Refusal: 429, the key already has as many as it may.
        """
        limit = self.limits.concurrent
        if limit is None:
            yield
            return
        with self._ledger.open():
            if sum(self._ledger.usage.held.values()) >= limit:
                self._forget_the_dead()
            if sum(self._ledger.usage.held.values()) >= limit:
                raise self._refusal(
                    f"key {self.name} already has {limit} requests in progress, its limit: "
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

    def _spend(self, unit: str, amount: int, limit: int | None) -> None:
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
        message = f"key {self.name} may send {limit} {unit} per minute: try again in {seconds} s"
        raise self._refusal(message, seconds)

    def _refusal(self, message: str, retry_after_s: int) -> Refusal:
        self._limited()
        headers = {"retry-after": str(retry_after_s)}
        return Refusal(429, message, code="rate_limited", headers=headers)


def shared_folder() -> Path | None:
    """The folder that all workers of a server share; None if there is only one worker."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def _parsed(data: bytes) -> Usage:
    try:
        return Usage.model_validate_json(data) if data else Usage()
    except ValidationError:  # A process was killed while writing.
        return Usage()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
