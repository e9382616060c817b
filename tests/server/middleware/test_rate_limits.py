"""A key's limits on concurrency and rates, also when several processes share them."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from keyed import KeyFile, application, bearer, stopped_clock
from serving import error_of
from starlette.testclient import WebSocketDenialResponse

from vocoder.server.errors import Refusal
from vocoder.server.middleware import rate_limits as limits
from vocoder.server.middleware.api_keys import Keyring
from vocoder.server.middleware.rate_limits import ApiClient, Limits

GENEROUS = Limits(concurrent=2, requests_per_minute=100, characters_per_minute=1000)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.toml")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return stopped_clock(monkeypatch)


def test_characters_per_minute(file: KeyFile, clock: list[float]) -> None:
    headers = bearer(file.add("ann", characters_per_minute=600))
    other = bearer(file.add("ben", characters_per_minute=600))
    client = TestClient(application(Keyring(file.path)))

    def speak(characters: int, headers: dict[str, str] = headers) -> Any:
        return client.post(f"/v1/speak?characters={characters}", headers=headers)

    assert speak(500).status_code == 200
    assert speak(100).status_code == 200
    answer = speak(1)
    error = error_of(answer, 429)
    assert (error["code"], answer.headers["retry-after"]) == ("rate_limited", "1")
    assert "600 characters per minute" in error["message"]
    assert speak(600, other).status_code == 200
    assert speak(205).headers["retry-after"] == "21"
    clock[0] += 20.4
    assert speak(205).status_code == 429
    clock[0] += 0.1
    assert speak(205).status_code == 200
    assert speak(1).status_code == 429
    clock[0] += 3600
    assert speak(600).status_code == 200
    assert speak(1).status_code == 429


def test_a_text_longer_than_a_minutes_allowance(file: KeyFile) -> None:
    headers = bearer(file.add("ann", characters_per_minute=600))
    client = TestClient(application(Keyring(file.path)))
    answer = client.post("/v1/speak?characters=601", headers=headers)
    assert error_of(answer, 422)["code"] == "text_too_long"
    assert client.post("/v1/speak?characters=600", headers=headers).status_code == 200


def test_requests_per_minute(file: KeyFile, clock: list[float]) -> None:
    headers = bearer(file.add("ann", requests_per_minute=3))
    client = TestClient(application(Keyring(file.path)))
    for _ in range(2):
        assert client.get("/v1/models", headers=headers).status_code == 200
    with client.websocket_connect("/socket", headers=headers):
        pass
    answer = client.get("/v1/models", headers=headers)
    assert error_of(answer, 429)["code"] == "rate_limited"
    assert answer.headers["retry-after"] == "20"
    with (
        pytest.raises(WebSocketDenialResponse) as denial,
        client.websocket_connect("/socket", headers=headers),
    ):
        pass
    assert error_of(denial.value, 429)
    assert denial.value.headers["retry-after"] == "20"
    assert client.get("/healthz", headers=headers).status_code == 200
    clock[0] += 20
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_concurrent_requests_are_limited_and_released(file: KeyFile) -> None:
    secret = file.add("ann", concurrent=2)
    headers = bearer(secret)
    keyring = Keyring(file.path)
    client = TestClient(application(keyring), raise_server_exceptions=False)
    identity = keyring.find(secret.encode())
    assert identity is not None
    with client.websocket_connect("/socket", headers=headers):
        assert client.get("/v1/models", headers=headers).status_code == 200
        with client.websocket_connect("/socket", headers=headers):
            assert identity.held == 2
            answer = client.get("/v1/models", headers=headers)
            assert error_of(answer, 429)["code"] == "rate_limited"
            assert answer.headers["retry-after"] == "1"
            assert identity.held == 2
        assert client.get("/v1/models", headers=headers).status_code == 200
        assert client.get("/broken", headers=headers).status_code == 500
        assert client.get("/none", headers=headers).status_code == 404
    assert identity.held == 0


def test_refused_requests_do_not_count(file: KeyFile, clock: list[float]) -> None:
    headers = bearer(file.add("ann", concurrent=1, requests_per_minute=2))
    client = TestClient(application(Keyring(file.path)))
    with client.websocket_connect("/socket", headers=headers):
        for _ in range(5):
            assert client.get("/v1/models", headers=headers).status_code == 429
    assert client.get("/v1/models", headers=headers).status_code == 200


def test_threads_share_an_allowance(clock: list[float]) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    identity = ApiClient("ann", Limits(characters_per_minute=1000))
    refused = []

    def spend() -> None:
        for _ in range(500):
            try:
                identity.charge(1)
            except Refusal:
                refused.append(1)

    threads = [threading.Thread(target=spend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert len(refused) == 1000


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "limits-ann"


def workers(ledger: Path) -> tuple[ApiClient, ApiClient]:
    return ApiClient("ann", GENEROUS, ledger), ApiClient("ann", GENEROUS, ledger)


def test_workers_share_an_allowance(ledger: Path) -> None:
    first, second = workers(ledger)
    first.charge(600)
    with pytest.raises(Refusal) as refusal:
        second.charge(600)
    assert refusal.value.headers is not None
    assert int(refusal.value.headers["retry-after"]) in (11, 12)
    second.charge(400)
    with pytest.raises(Refusal):
        first.charge(10)
    assert ledger.stat().st_mode & 0o077 == 0


def test_workers_share_the_count_of_concurrent_requests(ledger: Path) -> None:
    first, second = workers(ledger)
    with first.hold(), second.hold():
        for worker in (first, second):
            assert worker.held == 2
            with pytest.raises(Refusal), worker.hold():
                pass
    assert first.held == 0
    with second.hold():
        assert first.held == 1


COUNT = """
import sys
from pathlib import Path
from vocoder.server.errors import Refusal
from vocoder.server.middleware.rate_limits import ApiClient, Limits

identity = ApiClient("ann", Limits(characters_per_minute=10**6, concurrent=2), Path(sys.argv[1]))
charged = 0
for _ in range(200):
    try:
        with identity.hold():
            identity.charge(4000)
            charged += 1
    except Refusal:
        pass
print(charged)
"""


def test_processes_count_exactly(ledger: Path) -> None:
    start = time.monotonic()
    running = [
        subprocess.Popen([sys.executable, "-c", COUNT, ledger], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    charged = [int(process.communicate()[0]) for process in running]
    assert all(process.returncode == 0 for process in running)
    back = (time.monotonic() - start) * 250 / 60
    assert 250 <= sum(charged) <= 250 + back + 1
    assert ApiClient("ann", GENEROUS, ledger).held == 0


HOLD = """
import os, sys, time
from pathlib import Path
from vocoder.server.middleware.rate_limits import ApiClient, Limits

with ApiClient("ann", Limits(concurrent=2), Path(sys.argv[1])).hold():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_workers_requests_are_released_at_once(ledger: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, ledger], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        identity, _ = workers(ledger)
        with identity.hold(), pytest.raises(Refusal), identity.hold():
            pass
        process.kill()
        process.wait()
    with identity.hold(), identity.hold():
        pass


@pytest.mark.parametrize("content", [b"", b'{"requests_full_at": 1', b"\xff", b"[]"])
def test_a_partially_written_file_is_ignored(ledger: Path, content: bytes) -> None:
    ledger.write_bytes(content)
    first, second = workers(ledger)
    first.charge(1000)
    with pytest.raises(Refusal):
        second.charge(1000)


def test_a_file_from_before_a_reboot_blocks_for_at_most_a_minute(
    ledger: Path,
) -> None:
    ledger.write_text('{"characters_full_at": 1e12}')
    identity, _ = workers(ledger)
    with pytest.raises(Refusal) as refusal:
        identity.charge(1000)
    assert refusal.value.headers == {"retry-after": "60"}


def test_without_the_folder_each_worker_counts_on_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = workers(tmp_path / "none" / "limits-ann")
    for worker in (first, second):
        worker.charge(1000)
        with pytest.raises(Refusal):
            worker.charge(1000)
        with worker.hold():
            assert worker.held == 1
    assert len(caplog.records) == 2
    assert "each worker now counts on its own" in caplog.text


def test_the_shared_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    assert limits.shared_folder() is None
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert limits.shared_folder() == tmp_path


def test_dead_processes_are_recognised() -> None:
    assert limits._lives(os.getpid())
    assert limits._lives(1)
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert not limits._lives(process.pid)
