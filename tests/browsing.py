"""Helpers of the page's tests: Chromium, and a visit that records errors, sound and pictures."""

import base64
import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import SPEECH_URL, live

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
RECORDING = Path(__file__).parent / "assets" / "speech" / "slt_arctic_a0090.flac"
TEXT = "Dr. Smith paid $3.50 for a cup of tea at 5:30. It was worth every penny!"
SHORT = "It was a dark night."

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
PATIENCE_S = 60.0
LEAST_LOUDNESS = 0.01
NAMES = ("chromium", "chromium-browser", "google-chrome")

LISTED = """document.querySelector("#voice").options.length
    || !document.querySelector("#problem").hidden"""

LISTEN = """window.loudest = 0;
setInterval(() => {
    const analyser = window.vocoderPage?.analyser;
    if (!analyser) return;
    const samples = new Float32Array(analyser.fftSize);
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    window.loudest = Math.max(window.loudest, Math.sqrt(power));
}, 20);"""

COLOURS = """([canvas, top, bottom]) => {
    // Read from a copy, or the browser advises to keep the page's own canvas in slow memory.
    const { width, height } = canvas;
    const first = Math.round(top * height);
    const rows = Math.round(bottom * height) - first;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(60, first, width - 90, rows);
    return new Set(new Uint32Array(data.buffer)).size;
}"""

DROP = """([name, type, data]) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name, { type }));
    for (const kind of ["dragenter", "dragover", "drop"]) {
        const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
        document.querySelector("h1").dispatchEvent(event);
    }
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's handle of a headless Chromium with its own profile."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page of the server in a browser.

    Attributes:
        page: playwright's.
        origin: of the server.
        complaints: what the page's console and its scripts have complained of.
        elsewhere: addresses of other servers that it has asked for something.
    """

    page: Any
    origin: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def until(self, what: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until a JavaScript expression is true, without eval, which is blocked."""
        end = time.monotonic() + patience_s
        while not self.page.evaluate(f"() => Boolean({what})"):
            assert time.monotonic() < end, f"{what}; the page shows {self.page.inner_text('body')}"
            self.page.wait_for_timeout(20)

    def until_position(self, seconds: float) -> None:
        """Wait until this much of the track has been played."""
        self.until(f"window.vocoderPage.player.position > {seconds}")

    def until_quiet(self) -> None:
        """Wait until nothing is playing or audible any more."""
        self.until("!window.vocoderPage.player.track")
        self.page.wait_for_timeout(150)

    def until_heard(self) -> None:
        """Wait until something is audible, according to the page's AnalyserNode."""
        self.page.evaluate("() => { window.loudest = 0; }")
        self.until(f"window.loudest > {LEAST_LOUDNESS}")

    def loudest(self, seconds: float) -> float:
        """The maximum loudness (root mean square) within a time."""
        self.page.evaluate("() => { window.loudest = 0; }")
        self.page.wait_for_timeout(1000 * seconds)
        return float(self.page.evaluate("() => window.loudest"))

    def colours(self, canvas: str, top: float, bottom: float) -> int:
        """The number of colours between two heights of a canvas, as fractions of it."""
        element = self.page.query_selector(canvas)
        return int(self.page.evaluate(COLOURS, [element, top, bottom]))

    def drop(self, name: str, kind: str, data: bytes) -> None:
        """Drop a file on the page."""
        self.page.evaluate(DROP, [name, kind, base64.b64encode(data).decode()])

    def speak(self, text: str, seed: int | None = 3, speaker: str = "slt") -> None:
        """Fill in the form and submit it."""
        self.page.fill("#text", text)
        self.page.select_option("#speaker", speaker)
        self.page.fill("#seed", "" if seed is None else str(seed))
        self.page.click("#speak")

    def downloaded(self) -> bytes:
        """The file that the page offers for download."""
        self.until("!document.querySelector('#download').disabled")
        with self.page.expect_download() as download:
            self.page.click("#download")
        return Path(download.value.path()).read_bytes()

    def whole(self, text: str, seed: int, **options: Any) -> bytes:
        """The WAV file of the same speech by `POST /v1/audio/speech`."""
        body = {"input": text, "seed": seed, "speaker": "slt", "response_format": "wav", **options}
        answer = httpx2.post(
            f"{self.origin}{SPEECH_URL}", json={**body, "stream": False}, timeout=PATIENCE_S
        )
        assert answer.status_code == 200, answer.text
        return answer.content

    def text(self, selector: str) -> str:
        """An element's text."""
        return str(self.page.inner_text(selector))


@contextlib.contextmanager
def shipped_voice(**settings: Any) -> Iterator[int]:
    """A server with the voice in `checkpoints`; yields its port."""
    # The number of streams is set, or it would be measured first.
    wanted = ServerSettings(voices_dir=CHECKPOINTS, max_streams=8, **settings)
    synthesizer, registry = Synthesizer(), VoiceRegistry(CHECKPOINTS)
    synthesizer.warm_up(registry.get())
    with live(create_app(wanted, synthesizer, registry)) as port:
        yield port


@contextlib.contextmanager
def visit(browser: Any, port: int, script: str = "", **context: Any) -> Iterator[Visit]:
    """The server's page in its own context, once it has listed the voices or shown an error.

    Args:
        browser: see :func:`chromium`.
        port: the server's, on this machine.
        script: JavaScript to run before the page's own.
        context: options of playwright's context.
    """
    with contextlib.closing(browser.new_context(**context)) as opened:
        page = opened.new_page()
        visited = Visit(page, f"http://127.0.0.1:{port}")
        page.on("console", lambda said: _note(visited, said))
        page.on("pageerror", lambda error: visited.complaints.append(str(error)))
        page.on("request", lambda request: _check(visited, request.url))
        page.on("websocket", lambda socket: _check(visited, socket.url.replace("ws", "http", 1)))
        page.add_init_script(f"{LISTEN}\n{script}")
        page.goto(visited.origin)
        visited.until(LISTED)
        yield visited


def _note(visited: Visit, said: Any) -> None:
    if said.type in ("error", "warning"):
        visited.complaints.append(said.text)


def _check(visited: Visit, url: str) -> None:
    if not url.startswith((f"{visited.origin}/", f"blob:{visited.origin}/")):
        visited.elsewhere.append(url)
