"""The configurations of proxies, in the proxies themselves; skipped where there are none."""

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import SPEECH_URL, live, save_voice
from websockets.asyncio.client import connect

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings

FOLDER = Path(__file__).parents[2] / "deploy" / "proxies"
PATIENCE_S = 15.0
TEXT = "Hello there. It works. " * 30

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("voices")
    save_voice(folder, "arctic")
    with live(create_app(ServerSettings(voices_dir=folder, max_streams=8))) as port:
        yield port


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[str]:
    """A proxy; yields its URL."""
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < deadline
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


def nginx(server: int, port: int, folder: Path, version: str) -> list[str]:
    text = (FOLDER / "nginx.conf").read_text()
    assert "proxy_http_version 1.1;" in text
    for old, new in (
        ("127.0.0.1:8000", f"127.0.0.1:{server}"),
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("proxy_http_version 1.1;", f"proxy_http_version {version};"),
    ):
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(server: int, port: int, folder: Path, version: str) -> list[str]:
    text = (FOLDER / "Caddyfile").read_text()
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{server}").replace(":8080", f":{port}")
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + text)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.fixture(scope="module", params=["nginx", "nginx with HTTP/1.0", "caddy"])
def proxy(
    request: pytest.FixtureRequest, server: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    name = request.param.split()[0]
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    port, folder = free_port(), tmp_path_factory.mktemp(name)
    version = "1.0" if "1.0" in request.param else "1.1"
    command = {"nginx": nginx, "caddy": caddy}[name](server, port, folder, version)
    with running(command, port) as url:
        yield url


below = pytest.mark.parametrize("path", ["", "/voice"])


@below
def test_the_page_and_the_reference(proxy: str, path: str) -> None:
    with httpx2.Client(base_url=proxy + path, follow_redirects=True) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert 'href="web/style.css"' in page.text
        assert client.get("/web/style.css").headers["content-type"].startswith("text/css")
        assert f"'{path}/openapi.json'" in client.get("/docs").text
        servers = client.get("/openapi.json").json().get("servers")
        assert servers == ([{"url": path}] if path else None)
        if path:
            assert client.get(proxy + path).url.path == "/voice/"


@below
def test_a_streamed_answer_begins_at_once(proxy: str, server: int, path: str) -> None:
    body = {"input": TEXT, "seed": 1, "response_format": "pcm"}
    direct = httpx2.post(f"http://127.0.0.1:{server}{SPEECH_URL}", json=body, timeout=60).content
    found, first_s, begun = b"", 0.0, time.monotonic()
    with httpx2.stream("POST", f"{proxy}{path}{SPEECH_URL}", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        for part in answer.iter_raw():
            first_s = first_s or time.monotonic() - begun
            found += part
    assert found == direct
    assert first_s < (time.monotonic() - begun) / 2


@below
def test_a_websocket(proxy: str, path: str, request: pytest.FixtureRequest) -> None:
    if "1.0" in request.node.callspec.params["proxy"]:
        pytest.skip("WebSockets need HTTP/1.1")
    url = f"ws{proxy.removeprefix('http')}{path}/v1/audio/stream?seed=1"

    async def talk() -> list[Any]:
        async with connect(url, proxy=None) as client:
            for message in ({"type": "Speak", "text": "Hello."}, {"type": "Flush"}):
                await client.send(json.dumps(message))
            await client.send('{"type":"Close"}')
            return [message async for message in client]

    found = asyncio.run(talk())
    kinds = [json.loads(message)["type"] for message in found if isinstance(message, str)]
    assert kinds == ["Metadata", "Flushed"]
    assert any(isinstance(message, bytes) for message in found)
