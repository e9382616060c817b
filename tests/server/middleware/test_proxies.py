"""Behind a proxy: a prefix that it strips or not, and the client's address."""

import logging

import pytest
from fastapi.testclient import TestClient

from vocoder.server.app import create_app
from vocoder.server.settings import ServerSettings
from vocoder.synthesis.synthesizer import Synthesizer

PREFIX = {"x-forwarded-prefix": "/voice"}
PROXY = ("127.0.0.1", 5000)


def client_of(
    settings: ServerSettings, synthesizer: Synthesizer, peer: tuple[str, int], **given: object
) -> TestClient:
    app = create_app(settings.model_copy(update=given), synthesizer)
    return TestClient(app, client=peer)


@pytest.mark.parametrize("path", ["", "/voice"])
def test_a_proxy_with_a_prefix_may_strip_it_or_not(
    settings: ServerSettings, synthesizer: Synthesizer, path: str
) -> None:
    client = client_of(settings, synthesizer, PROXY)
    page = client.get(f"{path}/docs", headers=PREFIX)
    assert "'/voice/openapi.json'" in page.text
    assert "/voice/docs/assets/swagger-ui.css" in page.text
    document = client.get(f"{path}/openapi.json", headers=PREFIX).json()
    assert document["servers"][0]["url"] == "/voice"
    assert client.get(f"{path}/web/style.css", headers=PREFIX).status_code == 200
    assert client.get(f"{path}/docs/assets/swagger-ui.css", headers=PREFIX).status_code == 200
    assert "servers" not in client.get("/openapi.json").json()


def test_the_setting_does_the_same_without_a_header(
    settings: ServerSettings, synthesizer: Synthesizer
) -> None:
    client = client_of(settings, synthesizer, ("192.0.2.1", 5000), root_path="/voice")
    for path in ("", "/voice"):
        assert "'/voice/openapi.json'" in client.get(f"{path}/docs").text
    body = client.post("/voice/v1/audio/speech", content=b"a" * 1_300_000)
    assert body.status_code == 413


@pytest.mark.parametrize(
    "prefix", ["//evil.example", "/a'><script>", "voice", "/voice?x", "/" + "a" * 300, "/a/../b c"]
)
def test_no_other_prefix_is_taken(
    settings: ServerSettings, synthesizer: Synthesizer, prefix: str
) -> None:
    client = client_of(settings, synthesizer, PROXY)
    page = client.get("/docs", headers={"x-forwarded-prefix": prefix})
    assert "'/openapi.json'" in page.text


def test_a_client_is_not_believed(
    settings: ServerSettings, synthesizer: Synthesizer, caplog: pytest.LogCaptureFixture
) -> None:
    forwarded = {**PREFIX, "x-forwarded-for": "198.51.100.7"}
    with caplog.at_level(logging.INFO):
        for peer, shown in ((("192.0.2.1", 5000), "192.0.2.1"), (PROXY, "198.51.100.7")):
            client = client_of(settings, synthesizer, peer)
            page = client.get("/docs", headers=forwarded)
            assert ("'/voice/" in page.text) == (peer == PROXY)
            assert caplog.records[-1].fields["client"] == shown  # type: ignore[attr-defined]
            caplog.clear()
