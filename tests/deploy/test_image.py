"""The image, run as it is meant to be: no network, a read-only root, any user, PID 1.

``VOCODER_TEST_IMAGE`` names an image that buildah holds; without it the image is built here, from a
base image that buildah holds or can fetch.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from containers import Container, buildah, configuration, unpacked
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import vocoder

ROOT = Path(__file__).parent.parent.parent
FEATURES = ROOT / "tests/assets/speech/slt_arctic_a0090.safetensors"
BUILD = ("build", "--layers", "--isolation=chroot", "--network=host", "--format=docker")
BASE = "docker.io/library/python:3.11-slim"
TOOLS = ("buildah", "unshare", "nsenter", "ip")
LONG = "This is a sentence that takes a while to be spoken, and another while. " * 6

missing = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.image,
    pytest.mark.timeout(1800),  # the first builds it
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="containers here need root on Linux"
    ),
]


@pytest.fixture(scope="module")
def image() -> str:
    """The name of the image that is tested."""
    if named := os.environ.get("VOCODER_TEST_IMAGE"):
        return named
    pulled = subprocess.run(["buildah", "pull", "--policy=missing", BASE], capture_output=True)
    if pulled.returncode:
        pytest.skip(f"the base image {BASE} is not here and cannot be fetched")
    tag = "localhost/vocoder-test"
    done = subprocess.run(
        ["buildah", *BUILD, "--volume=/etc/ssl/certs:/etc/ssl/certs:ro", f"--tag={tag}", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return tag


@pytest.fixture(scope="module")
def config(image: str) -> dict[str, Any]:
    return configuration(image)


@pytest.fixture(scope="module")
def root(image: str) -> Iterator[Path]:
    with unpacked(image) as root:
        yield root


@pytest.fixture(params=["10001:10001", "54321:0"], ids=["its own user", "another user"])
def container(
    root: Path, config: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Container]:
    settings = {"VOCODER_MAX_STREAMS": "8"}  # Measuring is another test's.
    container = Container(root, config, tmp_path / "log", request.param, settings)
    yield container
    container.close()


def post(path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", path, body, {"content-type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read()


def seconds(audio: bytes) -> float:
    with wave.open(BytesIO(audio)) as sound:
        return sound.getnframes() / sound.getframerate()


def test_it_speaks_without_a_network_on_a_read_only_root(container: Container) -> None:
    container.wait_until_healthy()
    features = FEATURES.read_bytes()
    status, audio = container.inside(
        lambda: post("/v1/audio/vocode?speaker=slt", features, "application/octet-stream")
    )
    assert status == 200
    assert seconds(audio) == pytest.approx(2.125, abs=0.01)
    body = {"input": "Hello.", "voice": "slt", "response_format": "wav", "stream": False}
    status, audio = container.inside(
        lambda: post("/v1/audio/speech", json.dumps(body).encode(), "application/json")
    )
    assert status == 200
    assert 0.3 < seconds(audio) < 3.0

    for path in ("/x", "/opt/vocoder/x", "/voices/x"):
        touched = container.execute("touch", path)
        assert "Read-only file system" in touched.stderr
    assert container.execute("touch", "/tmp/x").returncode == 0
    devices = container.execute("cat", "/proc/net/dev").stdout
    assert [line.split(":")[0].strip() for line in devices.splitlines()[2:]] == ["lo"]
    assert "Read-only" not in container.log.read_text()
    assert "Traceback" not in container.log.read_text()


def test_what_is_spoken_at_a_stop_is_spoken_to_its_end(container: Container) -> None:
    container.wait_until_healthy()
    begun = threading.Event()

    def listen() -> tuple[int, list[dict[str, Any]]]:
        audio, messages = 0, []
        with connect("ws://127.0.0.1:8000/v1/audio/stream?voice=slt&seed=1") as socket:
            socket.send(json.dumps({"type": "Speak", "text": LONG}))
            socket.send(json.dumps({"type": "Flush"}))
            with contextlib.suppress(ConnectionClosed):
                while True:
                    if isinstance(message := socket.recv(), bytes):
                        audio += len(message)
                        begun.set()
                    else:
                        messages.append(json.loads(message))
            assert socket.close_code == 1012  # Service restart.
        return audio, messages

    heard = container.start(listen)
    assert begun.wait(60)
    container.signal(signal.SIGTERM)
    audio, messages = heard.result(120)
    assert "Flushed" in [message["type"] for message in messages]
    assert audio / 2 / 16000 > 15.0
    assert container.process.wait(60) == 0
    assert "Traceback" not in container.log.read_text()


def test_a_stop_before_it_serves(container: Container) -> None:
    end = time.monotonic() + 30
    while not container.handles(signal.SIGTERM) and time.monotonic() < end:
        time.sleep(0.01)
    assert not container.healthy()
    container.signal(signal.SIGTERM)
    start = time.monotonic()
    assert container.process.wait(30) == 0
    assert time.monotonic() - start < 10


def test_it_tells_of_a_mistake_in_its_settings(
    root: Path, config: dict[str, Any], tmp_path: Path
) -> None:
    settings = {"VOCODER_MAX_STREAMS": "many"}
    container = Container(root, config, tmp_path / "log", "10001:10001", settings)
    assert container.process.wait(60) == 2
    assert "VOCODER_MAX_STREAMS" in (tmp_path / "log").read_text()
    container.close()


def test_it_measures_and_is_ready(root: Path, config: dict[str, Any], tmp_path: Path) -> None:
    container = Container(root, config, tmp_path / "log", "10001:10001", {})
    try:
        took = container.wait_until_healthy()
    finally:
        container.close()
    print(f"from the start to ready: {took:.1f} s")
    log = (tmp_path / "log").read_text()
    assert "engine cpu on cpu: native code" in log
    assert "streams in real time on engine cpu" in log


def test_what_is_in_the_image(root: Path, config: dict[str, Any]) -> None:
    assert config["User"].split(":")[0].isdigit()
    assert config["Entrypoint"] == ["vocoder"]  # No shell between signals and the server.
    assert config["Labels"]["org.opencontainers.image.version"] == vocoder.__version__
    names = {path.name for folder in ("usr/bin", "bin") for path in (root / folder).iterdir()}
    assert not names & {"gcc", "cc", "g++", "c++", "cpp", "clang", "cmake", "ninja"}
    for folder in ("root/.cache", "src", "wheels", "opt/build"):
        assert not any(path.is_file() for path in (root / folder).rglob("*")), folder
    assert not list((root / "opt/vocoder").glob("lib/python*/site-packages/tests"))


def test_a_change_of_code_fetches_nothing_again(image: str) -> None:
    history = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["history"]
    made = [entry["created_by"] for entry in history]
    installed = ("/requirements/torch.txt", "/requirements/all.txt", "/wheels/*.whl")
    places = [next(n for n, step in enumerate(made) if name in step) for name in installed]
    assert places == sorted(places)
