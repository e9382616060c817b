"""The application: :func:`create_app` puts it together, :func:`serve` runs it."""

import asyncio
import contextlib
import logging
import logging.config
import socket
import sys
from collections.abc import AsyncIterator, Callable

import torch
import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware

import vocoder
from vocoder import machine as device
from vocoder.machine import processors
from vocoder.synthesis.streaming import StreamingSynthesizer
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

from . import errors, logs, metrics, openapi
from .draining import Draining, DrainingServer
from .middleware import authentication
from .middleware.api_keys import Keyring
from .middleware.authentication import Authentication
from .middleware.body_limit import BodyLimit
from .middleware.draining_gate import DrainingGate
from .middleware.origins import SocketOrigins, cross_origin
from .middleware.rate_limits import shared_folder
from .middleware.request_context import RequestContext
from .routes import analyze, deepgram, docs, health, page, speech, stream, vocode, voices
from .routes import metrics as metrics_route
from .service.admission import Admission
from .service.jobs import JobQueue
from .service.response_cache import AudioCache
from .service.service import Readiness, Service
from .service.voice_reload import Reloading
from .settings import ServerSettings
from .sockets import listen, url_of
from .workers.connection_sharing import ConnectionSharing, SharingServer

LOAD_EVERY_S = 0.5
"""How often the gauges of the load are set."""

SWITCH_INTERVAL_S = 0.0005
"""After so long a thread gives the interpreter to another that asks for it."""

LARGEST_MESSAGE_BYTES = 2**20
"""Of a WebSocket."""

logger = logging.getLogger(__name__)


def create_app(
    settings: ServerSettings,
    synthesizer: Synthesizer | None = None,
    registry: VoiceRegistry | None = None,
) -> FastAPI:
    """An application with its own state; any number can live in one process.

    Args:
        settings: of the server.
        synthesizer: made from the settings where None; several applications may share one.
        registry: of the voices; made from the settings where None.

    Raises:
        UserError: the settings or voices are unusable.
    """
    service = _service(
        settings, synthesizer or _synthesizer(settings), registry or _registry(settings)
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.readiness.start()
        tasks = [
            asyncio.create_task(_watch_load(service)),
            asyncio.create_task(Reloading(service, settings.reload_voices_s).run()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.to_thread(service.live.close)

    keyring = Keyring(settings.api_keys_file, shared_folder()) if settings.api_keys_file else None
    app = FastAPI(
        title="WaveNet speech",
        version=vocoder.__version__,
        description="Text or acoustic features in, speech out. Every error is an `ErrorResponse`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            *cross_origin(settings.cors_origins),
            Middleware(RequestContext),
            Middleware(DrainingGate, service.draining, settings.retry_after_s),
            Middleware(SocketOrigins, settings.cors_origins),
            Middleware(Authentication, keyring, metrics_open=settings.metrics_open),
            Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
        ],
    )
    app.state.service = service
    errors.install(app)
    docs.install(app)
    page.install(app)
    for routes in (speech, vocode, analyze, voices, health, stream, deepgram):
        app.include_router(routes.router)
    if settings.metrics:
        app.include_router(metrics_route.router)
    openapi.install(app)
    if keyring is not None:
        authentication.document(app, metrics_open=settings.metrics_open)
    return app


def build_app() -> FastAPI:
    """The application of the settings: ``uvicorn --factory vocoder.server.app:build_app``.

    Raises:
        UserError: a setting or a voice is not as it should be.
    """
    return create_app(ServerSettings.load())


def tune_process() -> None:
    """Set what a process that serves is better off with, whoever runs it."""
    # Many sentences are prepared at a time: each is better off on one core than all on every one.
    torch.set_num_threads(1)
    # The thread that generates asks for the interpreter many times a step: it must not wait long.
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def serve(settings: ServerSettings) -> None:
    """Serve until a signal stops it; what is spoken then gets ``shutdown_grace_s`` to end.

    Raises:
        UserError: the voices are unusable, or the address cannot be listened on.
    """
    with listen(settings.host, settings.port) as listener:
        logging.config.dictConfig(logs.config(settings.log_format))

        def announce() -> None:
            url = url_of(settings.host, listener)
            logger.info("serving on %s, documentation at %s/docs", url, url)

        run(settings, listener, announce)


def run(
    settings: ServerSettings,
    listener: socket.socket,
    on_started: Callable[[], None],
    turns: ConnectionSharing | None = None,
) -> None:
    """Serve on a socket that listens.

    Args:
        settings: of the server.
        listener: the socket.
        on_started: called when connections are accepted.
        turns: with other workers at the socket, if it has any.

    Raises:
        UserError: the voices are unusable.
    """
    tune_process()
    app = create_app(settings)
    logger.info("voices: %s", ", ".join(app.state.service.registry.ids()) or "none")
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        ws_max_size=max(LARGEST_MESSAGE_BYTES, settings.max_text_chars * 4),
        ws_per_message_deflate=False,
    )
    service, grace_s = app.state.service, settings.shutdown_grace_s
    server = (
        DrainingServer(config, service.draining, grace_s=grace_s, on_started=on_started)
        if turns is None
        else SharingServer(
            config,
            service.draining,
            turns,
            grace_s=grace_s,
            on_started=on_started,
            ready=service.readiness.settled,
            unhealthy=service.unhealthy,
        )
    )
    server.run(sockets=[listener])


def _registry(settings: ServerSettings) -> VoiceRegistry:
    chosen = device.resolve(settings.device)
    return VoiceRegistry(settings.voices_dir, chosen, more=settings.more_voices_dir)


def _synthesizer(settings: ServerSettings) -> Synthesizer:
    # One thread a call: the running batch has as many as there are cores.
    return Synthesizer(engine=settings.engine, weights=settings.weights, threads=1)


def _service(
    settings: ServerSettings, synthesizer: Synthesizer, registry: VoiceRegistry
) -> Service:
    threads = settings.threads or processors()
    live = StreamingSynthesizer(synthesizer, threads=threads, released=metrics.ROW_RELEASE.observe)

    def capacity(voice: Voice, engine: str | None) -> float:
        if settings.max_streams is not None:
            return settings.max_streams
        return live.known_capacity(voice, engine)

    return Service(
        settings=settings,
        registry=registry,
        synthesizer=synthesizer,
        live=live,
        admission=Admission(
            capacity, waiting=settings.waiting_requests, retry_after_s=settings.retry_after_s
        ),
        generations=JobQueue(
            settings.concurrent_generations, settings.waiting_generations, settings.retry_after_s
        ),
        readiness=Readiness(live, registry, measure=settings.max_streams is None),
        draining=Draining(),
        cache=AudioCache(settings.cache_dir, settings.cache_max_bytes)
        if settings.cache_dir
        else None,
    )


async def _watch_load(service: Service) -> None:
    """Keep the gauges of the load up to date."""
    while True:
        metrics.ROWS.set(service.live.load().rows)
        ids = service.registry.ids()
        if service.settings.max_streams is not None:
            metrics.CAPACITY.set(service.settings.max_streams)
        elif ids and service.readiness.loaded:
            voice = service.registry.get()
            metrics.CAPACITY.set(service.live.known_capacity(voice, None))
        await asyncio.sleep(LOAD_EVERY_S)
