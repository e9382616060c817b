"""Several workers on one address: dead ones are restarted, streams finish at shutdown."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from serving import SPEECH_URL, save_voice

from vocoder.server.workers.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s, shares

PATIENCE_S = 60.0
COMMAND = (sys.executable, "-c", "from vocoder.cli import main; main()", "serve")
LONG = "The quick brown fox jumps over the lazy old dog. " * 10


class Server:
    """A server with two worker processes, and its log."""

    def __init__(self, voices: Path, **settings: object) -> None:
        given = {"port": 0, "workers": 2, "voices_dir": voices, "max_streams": 8, **settings}
        options = {f"VOCODER_{key.upper()}": str(value) for key, value in given.items()}
        self.process = subprocess.Popen(
            COMMAND,
            env=os.environ | options | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self.bare: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            if line.startswith("{"):
                self.lines.append(json.loads(line))
            else:
                self.bare.append(line)

    @contextlib.contextmanager
    def running(self) -> Iterator["Server"]:
        try:
            yield self
        finally:
            if self._reader.is_alive():
                self.process.kill()
                self.wait()
            print(*self.lines, *self.bare, sep="\n")  # Shown where a test fails.

    def wait(self) -> int:
        """The exit status, once the workers have exited too."""
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)  # Each worker holds the other end of the pipe.
        assert not self._reader.is_alive()
        assert self.process.stderr
        self.process.stderr.close()
        return status

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if message in line["message"]]

    def spoken(self) -> list[dict[str, Any]]:
        """The log lines of finished streams."""
        return [line for line in self.said("request") if line["path"] == SPEECH_URL]

    def until_serving(self, times: int) -> list[dict[str, Any]]:
        """The log lines of workers that serve, once there are this many."""
        until(lambda: len(self.said("worker is serving")) >= times)
        return self.said("worker is serving")

    @property
    def port(self) -> int:
        (line,) = self.said("serving on")
        found = re.search(r":(\d+),", line["message"])
        assert found
        return int(found[1])

    def get(self, path: str) -> tuple[int, bytes]:
        client = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with contextlib.closing(client):
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read()

    def speech(self, seed: int) -> HTTPResponse:
        """A stream that has started, and waits for its client to read."""
        client = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        client.sock = socket.socket()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sock.settimeout(PATIENCE_S)
        client.sock.connect(("127.0.0.1", self.port))
        body = json.dumps({"input": LONG, "seed": seed, "response_format": "pcm"})
        headers = {"content-type": "application/json", "connection": "close"}
        client.request("POST", SPEECH_URL, body, headers)
        answer = client.getresponse()
        assert answer.status == 200
        return answer


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rest_of(answer: HTTPResponse) -> bytes | None:
    """The rest of a stream; None if it breaks off."""
    try:
        return answer.read()
    except (IncompleteRead, ConnectionError):
        return None


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    save_voice(tmp_path, "arctic")
    return tmp_path


def test_a_killed_worker_only_loses_its_own_streams_and_is_restarted(voices: Path) -> None:
    with Server(voices).running() as server:
        first, second = server.until_serving(2)
        streams = [server.speech(seed=1) for _ in range(4)]
        begun = [stream.read(1000) for stream in streams]
        assert not server.spoken()
        os.kill(first["pid"], signal.SIGKILL)
        heard = [rest_of(stream) for stream in streams]
        broken = [rest for rest in heard if rest is None]
        assert 0 < len(broken) < 4  # They were dealt out among both.
        whole = server.speech(seed=1).read()
        for start, rest in zip(begun, heard, strict=True):
            assert rest is None or start + rest == whole

        again = server.until_serving(3)[2]
        assert again["pid"] not in (first["pid"], second["pid"])
        assert (again["worker"], again["cores"]) == (first["worker"], first["cores"])
        assert os.sched_getaffinity(again["pid"]) == set(first["cores"])
        (death,) = server.said("will be restarted")
        assert (death["worker"], death["pause_s"]) == (first["worker"], 0.0)
        assert "SIGKILL" in death["message"]
        # The dead worker's counts are in the sums, its streams are not.
        text = server.get("/metrics")[1].decode()
        assert re.search(r"^vocoder_streams 0\.0$", text, re.MULTILINE)
        assert re.search(r"^vocoder_audio_seconds_total [1-9]", text, re.MULTILINE)

        # Workers exit when their supervisor is killed.
        server.process.kill()
        server.wait()


def test_sighup_reaches_all_workers_and_streams_finish_at_shutdown(voices: Path) -> None:
    with Server(voices, reload_voices_s=0).running() as server:
        server.until_serving(2)
        save_voice(voices, "british", seed=1)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: len(server.said("voice loaded")) == 2)
        streams = [server.speech(seed=1) for _ in range(3)]
        begun = [stream.read(1000) for stream in streams]
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.get("/readyz")[0] == 503)
        status, answer = server.get("/v1/models")
        assert status == 503
        assert json.loads(answer)["error"]["code"] == "draining"
        assert not server.spoken()  # They are in the middle of it.
        wholes = {start + (rest_of(s) or b"") for start, s in zip(begun, streams, strict=True)}
        assert len(wholes) == 1
        assert server.wait() == 0
        samples = len(wholes.pop()) // 2
        rate_hz = int(streams[0].headers["x-sample-rate"])
        assert [line["audio_s"] for line in server.spoken()] == [samples / rate_hz] * 3
        assert not server.bare


def test_if_no_worker_can_start_the_supervisor_exits_with_one_line(voices: Path) -> None:
    (voices / "arctic" / "voice.json").write_text("{")
    server = Server(voices)
    with server.running():
        assert server.wait() == 2
        (line,) = server.bare
        assert re.fullmatch(r"vocoder: .*arctic/voice\.json: not JSON: .*\n", line)
        assert not server.said("will be restarted")


def test_workers_come_back_once_their_voices_are_repaired(voices: Path) -> None:
    manifest = voices / "arctic" / "voice.json"
    sound = manifest.read_text()
    with Server(voices, reload_voices_s=0).running() as server:
        both = server.until_serving(2)
        manifest.write_text("{")
        for worker in both:
            os.kill(worker["pid"], signal.SIGKILL)
        until(lambda: server.said("cannot start") != [])
        assert server.process.poll() is None
        manifest.write_text(sound)
        server.until_serving(3)
        assert server.speech(seed=1).read()


def test_a_hangup_during_the_start_is_ignored(voices: Path) -> None:
    with Server(voices, workers=1).running() as server:
        until(lambda: _ignores(server.process.pid, signal.SIGHUP))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.said("serving on") != [])
        assert server.process.poll() is None


def _ignores(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (found,) = re.findall(r"^SigIgn:\s*(\w+)", status, re.MULTILINE)
    return bool(int(found, 16) >> (number - 1) & 1)


def test_shares_of_the_cores() -> None:
    assert shares([0, 1, 2, 3], 2) == [[0, 1], [2, 3]]
    assert shares([0, 2, 4], 2) == [[0], [2, 4]]
    assert shares([5, 6], 3) == [[5], [6], [5]]
    assert shares([7], 1) == [[7]]


def test_a_worker_that_keeps_dying_is_restarted_with_growing_pauses() -> None:
    assert pause_s(1) == 0.0
    assert pause_s(2) == FIRST_PAUSE_S
    assert pause_s(3) == 2 * FIRST_PAUSE_S
    assert pause_s(100) == LONGEST_PAUSE_S
