"""The page's modules, each on its own in Chromium, and how the server sends them."""

import io
import math
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from browsing import chromium, visit
from fastapi.testclient import TestClient
from serving import error_of, live

from vocoder.server.app import create_app
from vocoder.server.routes.page import FOLDER
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(synthesizer: Synthesizer, voices_dir: Path) -> Iterator[Run]:
    """Runs a JavaScript function body with the argument `given` in the page."""
    settings = ServerSettings(voices_dir=voices_dir)
    with (
        chromium() as browser,
        live(create_app(settings, synthesizer)) as port,
        visit(browser, port) as visited,
    ):

        def run(body: str, given: object = None) -> Any:
            return visited.page.evaluate(f"async (given) => {{ {body} }}", given)

        yield run


def test_spectra(run: Run) -> None:
    samples = np.random.default_rng(0).standard_normal(256)
    power = run(
        """const { Fft } = await import("/web/fft.js");
        const power = new Float32Array(129);
        new Fft(256).power(Float32Array.from(given), power);
        return [...power];""",
        samples.tolist(),
    )
    want = np.abs(np.fft.rfft(samples)) ** 2
    assert np.allclose(power, want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sizes", [[8000], [1, 159, 7000, 840], [160] * 50])
def test_a_spectrogram_shows_a_tone_at_its_frequency_however_it_is_cut(
    run: Run, sizes: list[int]
) -> None:
    found = run(
        """const { Spectrogram, height, ROWS } = await import("/web/spectrogram.js");
        const columns = [];
        const take = (levels, low, high) => columns.push([[...levels], low, high]);
        const spectrogram = new Spectrogram(16000, take);
        let at = 0;
        for (const size of given) {
            const tone = (_, i) => (at + i < 4000 ? 0 : 0.5 * Math.sin(Math.PI * (at + i) / 8));
            spectrogram.push(Float32Array.from({ length: size }, tone));
            at += size;
        }
        spectrogram.finish();
        return { columns, row: height(1000, 16000) * ROWS };""",
        sizes,
    )
    levels = np.array([column[0] for column in found["columns"]])
    assert len(levels) == 8000 / 80
    assert not levels[:46].any()
    assert np.abs(levels[60:90].argmax(axis=1) + 0.5 - found["row"]).max() <= 1.5
    assert levels[60:90].max() > 200
    extents = np.array([column[1:] for column in found["columns"]])
    assert not extents[:50].any()
    assert np.allclose(extents[50:, 1], 0.5, atol=0.01)
    assert np.allclose(extents[50:, 0], -0.5, atol=0.01)


def test_samples_come_from_bytes_cut_anywhere(run: Run) -> None:
    samples = np.array([0, 1, -1, 32767, -32768, 256, -257], "<i2")
    found = run(
        """const { PcmReader } = await import("/web/pcm.js");
        const reader = new PcmReader();
        const found = [];
        for (const piece of given) found.push(...reader.read(Uint8Array.from(piece)));
        return found;""",
        [list(samples.tobytes()[first:end]) for first, end in ((0, 1), (1, 1), (1, 6), (6, 14))],
    )
    assert np.array_equal(np.array(found) * 32768, samples)


def test_a_wav_file_has_its_correct_length(run: Run) -> None:
    made = run(
        """const { wavFile } = await import("/web/pcm.js");
        const file = wavFile(Float32Array.from(given), 8000);
        return [...new Uint8Array(await file.arrayBuffer())];""",
        [0, 0.5, -1, 2],
    )
    content = bytes(made)
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    assert rate == 8000
    assert np.array_equal(samples, [0, 16384, -32768, 32767])


QUEUE = """const { SampleQueue } = await import("/web/sample-queue.js");
    const pull = (queue, count) => {
        const output = new Float32Array(count).fill(NaN);
        const sounding = queue.pull(output);
        return [[...output], sounding];
    };
    const ramp = (first, count) => Float32Array.from({ length: count }, (_, i) => first + i);
"""


def test_the_queue_buffers_first_and_counts_gaps(run: Run) -> None:
    steps = run(
        QUEUE
        + """const queue = new SampleQueue(1, 4);
        const found = [];
        queue.push(ramp(1, 3));
        found.push(pull(queue, 2), queue.report);
        queue.push(ramp(4, 2));
        found.push(pull(queue, 4), pull(queue, 3), queue.report);
        queue.push(ramp(6, 2));
        found.push(pull(queue, 1), queue.report);
        queue.push(ramp(8, 3));
        found.push(pull(queue, 1), queue.report);
        queue.end();
        found.push(pull(queue, 6), queue.report);
        return found;"""
    )
    assert steps[0] == [[0, 0], 0]
    assert steps[1] == {"played": 0, "gaps": 0, "running": False, "done": False}
    assert steps[2] == [[1, 2, 3, 4], 4]
    assert steps[3] == [[5, 0, 0], 1]
    assert steps[4]["gaps"] == 0
    assert steps[5] == [[0], 0]
    assert steps[6] == {"played": 5, "gaps": 1, "running": False, "done": False}
    assert steps[7] == [[0], 0]  # Enough to start with, but not after a gap.
    assert steps[9] == [[6, 7, 8, 9, 10, 0], 5]
    assert steps[10] == {"played": 10, "gaps": 1, "running": False, "done": True}


@pytest.mark.parametrize("ratio", [0.25, 16000 / 44100, 1.5])
def test_the_queue_plays_at_another_rate(run: Run, ratio: float) -> None:
    played, count = run(
        QUEUE
        + """const queue = new SampleQueue(given, 1);
        for (let i = 0; i < 10; i++) queue.push(ramp(10 * i, 10));
        queue.end();
        return pull(queue, 500);""",
        ratio,
    )
    assert count == math.ceil(100 / ratio)
    want = np.minimum(np.arange(count) * ratio, 99)
    assert np.allclose(played[:count], want, atol=1e-3)
    assert not any(played[count:])


def test_a_long_text_is_split_at_whole_characters(run: Run) -> None:
    sent = run(
        """const { speakOverSocket } = await import("/web/speech-socket.js");
        const sent = [];
        const before = window.WebSocket;
        window.WebSocket = class {
            constructor() { setTimeout(() => this.onopen()); }
            send(data) {
                sent.push(JSON.parse(data));
                if (sent.at(-1).type === "Close") this.onclose({ code: 1000 });
            }
        };
        const { signal } = new AbortController();
        await speakOverSocket(given, { query: {}, signal });
        window.WebSocket = before;
        return sent;""",
        "a" * 1999 + "😀" + "b" * 3000,
    )
    assert [message["type"] for message in sent] == ["Speak"] * 3 + ["Flush", "Close"]
    assert "".join(m["text"] for m in sent[:3]) == "a" * 1999 + "😀" + "b" * 3000
    assert sent[0]["text"].endswith("😀")


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/web/page.js"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    for file in FOLDER.iterdir():
        text = file.read_text()
        addresses = re.findall(r"\w+://[^\s\"'`<>]+", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, file
        if file.suffix == ".html":
            assert not re.search(r"<script(?! type=\"module\" src=)|<style|\sstyle=|\son\w+=", text)


def test_files_have_their_types_and_are_cached(client: TestClient) -> None:
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for path in ("/", *(f"/web/{file.name}" for file in FOLDER.iterdir())):
        answer = client.get(path)
        assert answer.status_code == 200, path
        kind = kinds.get(path[path.rfind(".") :], "text/html")
        assert answer.headers["content-type"].split(";")[0] == kind
        assert answer.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "no-cache"
        assert client.head(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/web/../app.py", "/web/%2e%2e/app.py", "/web/..%2fapp.py", "/web/", "/web/x.js"]
)
def test_only_the_pages_files_are_served(client: TestClient, path: str) -> None:
    assert error_of(client.get(path), 404)["code"] == "not_found"
