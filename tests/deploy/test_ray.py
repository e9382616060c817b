"""The service on a Ray cluster of two nodes, one replica of which is killed under load."""

import asyncio
import json
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

ray = pytest.importorskip("ray", reason="ray is not installed: pip install vocoder[ray]")
from ray import serve  # noqa: E402 # only where it is installed
from ray.cluster_utils import Cluster  # noqa: E402
from ray.util.state import list_actors  # noqa: E402

from vocoder.errors import ConfigError  # noqa: E402
from vocoder.server.ray_serve import application  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
FEATURES = ROOT / "tests/assets/speech/slt_arctic_a0090.safetensors"
REQUESTS, STREAMS = 200, 20
AT_A_TIME = 6
SHORT = ("Hello there.", "Is it so?", "Good evening.", "Thank you very much.")


TWO = {"streams": 24, "cpus": 1, "min_replicas": 2, "max_replicas": 2}


class Placed(NamedTuple):
    """A replica: its process and the node that it runs on."""

    pid: int
    node: str


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The address of the service, two replicas on two nodes of one processor each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    variables = {"VOCODER_VOICES_DIR": str(ROOT / "checkpoints"), "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": port})
            serve.run(application(TWO))
            yield port
        finally:
            serve.shutdown()
            ray.shutdown()
            cluster.shutdown()


def replicas() -> list[Placed]:
    """Those that run now."""
    found = list_actors(
        filters=[("class_name", "=", "ServeReplica:default:speech"), ("state", "=", "ALIVE")]
    )
    return [Placed(actor.pid, actor.node_id) for actor in found]


async def ask(client: httpx2.AsyncClient, number: int) -> str:
    """One request of several kinds; returns what became of it."""
    try:
        if number % 4 == 0:
            answer = await client.post(
                "/v1/audio/vocode?speaker=slt", content=FEATURES.read_bytes()
            )
        elif number % 4 == 1:
            answer = await client.get("/v1/audio/voices")
        else:
            body = {"input": SHORT[number % len(SHORT)], "voice": "slt", "response_format": "wav"}
            answer = await client.post("/v1/audio/speech", json=body)
    except httpx2.HTTPError as error:
        return type(error).__name__
    return str(answer.status_code)


async def listen(url: str, text: str) -> str:
    """One WebSocket stream to its end; returns what became of it."""
    audio = 0
    try:
        async with connect(f"{url}/v1/audio/stream?voice=slt") as client:
            await client.send(json.dumps({"type": "Speak", "text": text}))
            await client.send(json.dumps({"type": "Close"}))
            async for message in client:
                audio += len(message) if isinstance(message, bytes) else 0
    except (WebSocketException, OSError) as error:
        return type(error).__name__
    return "whole" if client.close_code == 1000 and audio > 16_000 else f"{client.close_code}"


class Load(NamedTuple):
    """What became of the requests, in the order of their ends, and of the streams."""

    requests: list[str]
    streams: list[str]
    at_the_killing: int


async def load(port: int, sentences: int, victim: Placed | None = None) -> Load:
    """All requests, and streams of so many sentences; the victim dies at half of the requests."""
    waiting = iter(range(REQUESTS))
    ended: list[str] = []
    half = asyncio.Event()

    async def one_after_the_other(client: httpx2.AsyncClient) -> None:
        for number in waiting:
            ended.append(await ask(client, number))
            if len(ended) == REQUESTS // 2:
                half.set()

    async def kill() -> int:
        await half.wait()
        if victim:
            os.kill(victim.pid, signal.SIGKILL)
        return len(ended)

    url = f"127.0.0.1:{port}"
    text = "This one is spoken while others ask. " * sentences
    async with httpx2.AsyncClient(base_url=f"http://{url}", timeout=120) as client:
        asking = (one_after_the_other(client) for _ in range(AT_A_TIME))
        streams, _, at_the_killing = await asyncio.gather(
            asyncio.gather(*(listen(f"ws://{url}", text) for _ in range(STREAMS))),
            asyncio.gather(*asking),
            kill(),
        )
    return Load(ended, streams, at_the_killing)


def served() -> list[int]:
    """How many requests and streams each replica has served, by the log of each."""
    logs = Path(ray.nodes()[0]["ObjectStoreSocketName"]).parent.parent / "logs/serve"
    return [
        len(re.findall(r"(?:GET|POST|WS|WEBSOCKET) /v1", path.read_text()))
        for path in logs.glob("replica_default_speech_*.log")
    ]


def test_requests_and_streams_are_spread(port: int) -> None:
    placed = replicas()
    assert len({replica.node for replica in placed}) == 2
    load_ = asyncio.run(load(port, 2))
    assert Counter(load_.requests) == {"200": REQUESTS}
    assert Counter(load_.streams) == {"whole": STREAMS}
    counts = served()
    print(f"served by each replica: {counts}")
    assert len(counts) == 2
    assert min(counts) > (REQUESTS + STREAMS) / 4


def test_a_replica_dies_and_new_requests_go_on(port: int) -> None:
    victim = replicas()[0]
    load_ = asyncio.run(load(port, 12, victim))
    later = Counter(load_.requests[load_.at_the_killing + AT_A_TIME :])
    print(f"requests: {Counter(load_.requests)}, streams: {Counter(load_.streams)}")
    print(f"requests begun after the killing: {later}")
    assert len(load_.requests) == REQUESTS
    assert later == {"200": later.total()}
    assert later.total() > REQUESTS / 4
    assert Counter(load_.requests)["200"] >= REQUESTS - AT_A_TIME
    assert Counter(load_.streams)["whole"] >= STREAMS // 4  # Those of the other replica.
    end = time.monotonic() + 120
    while len(replicas()) < 2 and time.monotonic() < end:
        time.sleep(1.0)
    assert victim.pid not in {replica.pid for replica in replicas()}
    assert len(replicas()) == 2  # Another took its place.


def test_a_replica_that_is_taken_away_finishes_its_streams(port: int) -> None:
    text = "This one is spoken while others ask. " * 4

    async def listen_to_all() -> list[str]:
        listening = [asyncio.create_task(listen(f"ws://127.0.0.1:{port}", text)) for _ in range(6)]
        await asyncio.sleep(1.0)
        one = application(TWO | {"min_replicas": 1, "max_replicas": 1})
        await asyncio.to_thread(serve.run, one)
        return await asyncio.gather(*listening)

    before = replicas()
    assert len(before) == 2
    assert Counter(asyncio.run(listen_to_all())) == {"whole": 6}
    end = time.monotonic() + 60
    while len(replicas()) > 1 and time.monotonic() < end:
        time.sleep(0.5)
    assert len(replicas()) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"streams": 0}, "option streams"),
        ({"replicas": 2}, "known are streams, cpus"),
        ({"min_replicas": 3, "max_replicas": 2}, "less than min_replicas"),
    ],
)
def test_options_that_are_not_right(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        application(given)
