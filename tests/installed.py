"""Run by test_wheel.py with the Python of a fresh environment, in an empty folder, maybe offline.

Speaks through the API, through `vocoder speak`, and through `vocoder serve` with one request.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PROGRAM = """
import vocoder
voice = vocoder.load("arctic")
samples = voice.speak("Hello there.", speaker="slt", seed=1)
voice.save("python.wav", samples)
print(vocoder.__file__, samples.dtype, len(samples), voice.sample_rate_hz)
"""
TEXT = "Hello there."
START_S = 180


def run(*command: str) -> str:
    """What a command prints."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def ready(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server is ready."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            with urllib.request.urlopen(f"{url}/readyz"):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
    raise TimeoutError("the server did not become ready")


def request(url: str) -> bytes:
    """The WAV file that the server answers with."""
    body = {"input": TEXT, "voice": "slt", "seed": 1, "response_format": "wav", "stream": False}
    asked = urllib.request.Request(
        f"{url}/v1/audio/speech", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked) as response:
        data: bytes = response.read()
    return data


def main() -> None:
    """Write what each way of speaking printed, as JSON."""
    # Sums round by the number of threads, and the server uses one.
    os.environ["OMP_NUM_THREADS"] = "1"
    port = sys.argv[1]
    url = f"http://127.0.0.1:{port}"
    vocoder = str(Path(sys.executable).parent / "vocoder")
    found = {"python": run(sys.executable, "-c", PROGRAM), "voices": run(vocoder, "voices")}
    found["speak"] = run(
        *(vocoder, "speak", TEXT, "-o", "command.wav", "--speaker", "slt", "--seed", "1")
    )
    server = subprocess.Popen([vocoder, "serve", "--port", port, "--max-streams", "4"])
    try:
        ready(url, server)
        Path("server.wav").write_bytes(request(url))
        with urllib.request.urlopen(url) as page:
            found["page"] = page.read().decode().splitlines()[0]
    finally:
        server.terminate()
        server.wait()
    found["server"] = f"{Path('server.wav').stat().st_size} bytes"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
