"""A container of an image that buildah holds: with no network, a root that nobody can write to, and
the server as its first process, under any user. For tests; needs root."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PREPARE = """set -e
ip link set lo up
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
mount -t proc proc "$0/proc"
mount --bind /dev "$0/dev"
mount -t tmpfs tmpfs "$0/tmp"
user="$1"
shift
exec chroot --userspec="$user" "$0" "$@"
"""
"""In namespaces of its own: the loopback alone, all read-only but ``/tmp``, then the command."""


def buildah(*arguments: str) -> str:
    """What a buildah command prints."""
    done = subprocess.run(["buildah", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def configuration(image: str) -> dict[str, Any]:
    """User, environment, command and health check of an image."""
    found = json.loads(buildah("inspect", "--type", "image", image))
    config: dict[str, Any] = found["Docker"]["config"]
    return config


@contextlib.contextmanager
def unpacked(image: str) -> Iterator[Path]:
    """The root of an image."""
    container = buildah("from", "--pull-never", image)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("rm", container)


class Container:
    """A running container; what it writes goes to a log."""

    def __init__(
        self, root: Path, config: dict[str, Any], log: Path, user: str, settings: dict[str, str]
    ) -> None:
        """Start the image's own command, as a user ``UID:GID``."""
        self.root, self.log = root, log
        self._environment = dict(line.split("=", 1) for line in config["Env"]) | settings
        kind, *self._health = config["Healthcheck"]["Test"]
        assert kind == "CMD"  # Not by a shell.
        command = [*config["Entrypoint"], *config["Cmd"]]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                # The first process of its PID namespace, which signals treat as they do PID 1.
                [
                    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"),
                    *("sh", "-c", PREPARE, str(root), user, *command),
                ],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._user = user
        self.first = self._child()
        self._inside = ThreadPoolExecutor(1, initializer=self._enter)

    def _child(self) -> int:
        """The first process's number as seen from outside, once it runs the image's command."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            if found := children.read_text().split():
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{found[0]}/root").resolve() == self.root:
                        return int(found[0])
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def _enter(self) -> None:
        # A thread, unlike a process, can join a network for itself.
        with open(f"/proc/{self.first}/ns/net") as network:
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")

    def start(self, call: Callable[[], T]) -> Future[T]:
        """Begin a call on the container's network."""
        return self._inside.submit(call)

    def inside(self, call: Callable[[], T]) -> T:
        """What a call gives that is made on the container's network."""
        return self.start(call).result(120)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as its user."""
        uid, gid = self._user.split(":")
        return subprocess.run(
            [
                *("nsenter", f"--target={self.first}", "--net", "--mount", "--pid", "--root"),
                *("--wd=/", f"--setuid={uid}", f"--setgid={gid}", *command),
            ],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def healthy(self) -> bool:
        """What the image's own health check says."""
        return self.execute(*self._health).returncode == 0

    def wait_until_healthy(self, longest_s: float = 120.0) -> float:
        """Wait for it; returns the seconds since this was called."""
        start = time.monotonic()
        while not self.healthy():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - start < longest_s, self.log.read_text()
            time.sleep(0.2)
        return time.monotonic() - start

    def handles(self, number: int) -> bool:
        """Whether the first process has a handler of a signal; without one it ignores it."""
        status = Path(f"/proc/{self.first}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    def signal(self, number: int) -> None:
        """Signal the first process."""
        os.kill(self.first, number)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)  # And with it all of its namespace.
            self.process.wait()
        self._inside.shutdown()
