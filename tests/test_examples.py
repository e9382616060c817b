"""Each program in `examples` runs as it stands; the clients against a server on a real socket."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ASSETS
from serving import live, save_voice

from vocoder.audio import io as audio
from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
RECORDING = ASSETS / "speech" / "slt_arctic_a0090.flac"


def run(folder: Path, name: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run an example in an empty folder."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    return result


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a server with a tiny voice."""
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder, "arctic")
    with live(create_app(ServerSettings(voices_dir=folder, max_streams=4))) as port:
        yield port


def test_the_examples_are_the_ones_tested_here() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    source = Path(__file__).read_text()
    assert len(names) == 5
    assert all(f'"{name}"' in source for name in names)


def test_speak(tmp_path: Path) -> None:
    result = run(tmp_path, "speak.py")
    samples, rate = audio.read(tmp_path / "speech.wav")
    assert rate == 16000
    assert 2 < len(samples) / rate < 8
    assert result.stdout.startswith(b"speech.wav: ")


def test_stream(tmp_path: Path) -> None:
    result = run(tmp_path, "stream.py", "Hello there. Go on.")
    samples = np.frombuffer(result.stdout, "<i2")
    assert 0.8 < len(samples) / 16000 < 4
    assert np.abs(samples).max() > 1000
    lines = result.stderr.decode().splitlines()
    assert [line for line in lines if line in ("Hello there.", "Go on.")] == lines[-2:]


def test_copy_synthesis(tmp_path: Path) -> None:
    run(tmp_path, "copy_synthesis.py", RECORDING, "copy.flac")
    original, _ = audio.read(RECORDING)
    copy, rate = audio.read(tmp_path / "copy.flac")
    assert rate == 16000
    assert abs(len(copy) - len(original)) < 200


def test_the_copied_recording_is_there_by_default() -> None:
    assert RECORDING.name in (EXAMPLES / "copy_synthesis.py").read_text()
    assert RECORDING.is_file()


def test_http_client(port: int, tmp_path: Path) -> None:
    run(tmp_path, "http_client.py", "Hello there.", "out.wav", f"http://127.0.0.1:{port}")
    assert (tmp_path / "out.wav").read_bytes()[:4] == b"RIFF"
    assert (tmp_path / "out.wav").stat().st_size > 1000


def test_websocket_client_receives_what_http_does(port: int, tmp_path: Path) -> None:
    text = "Hello there. Go on."
    run(tmp_path, "websocket_client.py", text, "socket.wav", f"ws://127.0.0.1:{port}")
    run(tmp_path, "http_client.py", text, "http.wav", f"http://127.0.0.1:{port}")
    streamed, rate = audio.read(tmp_path / "socket.wav")
    whole = np.frombuffer((tmp_path / "http.wav").read_bytes()[44:], "<i2")
    assert rate == 8000
    assert np.array_equal(audio.to_pcm16(streamed), whole)
