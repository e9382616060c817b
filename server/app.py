"""The application: :func:`create_app` builds it, :func:`serve` runs it."""

import asyncio
import contextlib
import functools
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
from vocoder import machine
from vocoder.errors import ConfigError, VoiceError
from vocoder.generation import dispatch
from vocoder.synthesis.streaming import StreamingSynthesizer
from vocoder.synthesis.synthesizer import Synthesizer
from vocoder.voices.registry import VoiceRegistry
from vocoder.voices.voice import Voice

from . import errors, logs, memory, openapi
from .draining import Draining, DrainingServer
from .metrics import Metrics
from .middleware import authentication
from .middleware.api_keys import Keyring
from .middleware.authentication import Authentication
from .middleware.body_limit import BodyLimit
from .middleware.draining_gate import DrainingGate
from .middleware.head import HeadAsGet
from .middleware.origins import SocketOrigins, cross_origin
from .middleware.proxies import Proxies
from .middleware.rate_limits import shared_folder
from .middleware.request_context import RequestContext
from .protocols.http import HttpProtocol
from .protocols.limits import ConnectionLimits
from .protocols.websocket import SocketProtocol
from .routes import analyze, deepgram, docs, health, page, speech, stream, vocode, voices
from .routes import metrics as metrics_route
from .service.admission import Admission
from .service.jobs import JobQueue
from .service.readiness import Readiness
from .service.response_cache import ResponseCache
from .service.service import Service
from .service.voice_reload import VoiceReload
from .settings import ServerSettings
from .sockets import listening, url_of

LOAD_EVERY_S = 0.5
"""How often the load gauges are updated."""

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may keep the interpreter while another one waits for it."""

LARGEST_MESSAGE_BYTES = 2**20
"""Minimum for the largest message that a WebSocket accepts."""

ServerFactory = Callable[[uvicorn.Config, Service], uvicorn.Server]
"""Makes the server that runs an application."""

logger = logging.getLogger(__name__)


def create_app(
    settings: ServerSettings,
    synthesizer: Synthesizer | None = None,
    registry: VoiceRegistry | None = None,
) -> FastAPI:
    """An application with its own state; any number can live in one process.

    Args:
        settings: of the server.
        synthesizer: created from the settings if None; several applications can share one.
        registry: of the voices; created from the settings if None.

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
            asyncio.create_task(VoiceReload(service, settings.reload_voices_s).run()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.to_thread(service.streaming.close)

    metrics, keyring = service.metrics, None
    if settings.api_keys_file is not None:
        limited = functools.partial(metrics.rejected, "key_limit")
        keyring = Keyring(settings.api_keys_file, shared_folder(), limited)
    app = FastAPI(
        title="WaveNet speech",
        version=vocoder.__version__,
        description="Turns text or acoustic features into speech. Every error is an "
        "`ErrorResponse`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            Middleware(Proxies, settings.root_path or "", settings.trusted_proxies),
            *cross_origin(settings.cors_origins),
            Middleware(RequestContext, metrics),
            Middleware(HeadAsGet),
            Middleware(DrainingGate, service.draining, metrics, settings.retry_after_s),
            Middleware(SocketOrigins, settings.cors_origins),
            Middleware(Authentication, keyring, metrics, metrics_open=settings.metrics_open),
            Middleware(
                BodyLimit,
                settings.max_text_body_bytes,
                dict.fromkeys((vocode.PATH, analyze.PATH), settings.max_body_bytes),
                metrics,
            ),
        ],
    )
    app.state.service = service
    errors.install(app, service.metrics.limited)
    docs.install(app)
    page.install(app)
    for routes in (speech, vocode, analyze, voices, health, stream, deepgram):
        app.include_router(routes.router)
    if settings.metrics:
        app.include_router(metrics_route.router)
    app.include_router(stream.elsewhere)
    openapi.install(app)
    if keyring is not None:
        authentication.document(app, metrics_open=settings.metrics_open)
    return app


def build_app() -> FastAPI:
    """An application from the settings, for ``uvicorn --factory vocoder.server.app:build_app``.

    Raises:
        UserError: a setting or a voice is invalid.
    """
    return create_app(ServerSettings.load())


def tune_process() -> None:
    """Tune a serving process; needed however it is run."""
    # Many sentences are prepared at once: one core each is faster than all cores for each.
    torch.set_num_threads(1)
    # The generating thread needs the interpreter many times per step and must get it quickly.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    memory.tune_allocator()


def serve(settings: ServerSettings) -> None:
    """Serve until a signal stops it; running streams then get ``shutdown_grace_s`` to finish.

    Raises:
        UserError: the voices are unusable, or the address is not available.
    """
    with listening(settings) as listener:
        logging.config.dictConfig(logs.config(settings.log_format, settings.log_level))

        def announce() -> None:
            url = url_of(settings, listener)
            logger.info("serving on %s, documentation at %s/docs", url, url)

        def make_server(config: uvicorn.Config, service: Service) -> DrainingServer:
            grace_s = settings.shutdown_grace_s
            return DrainingServer(config, service.draining, grace_s=grace_s, on_started=announce)

        run(settings, listener, make_server)


def run(settings: ServerSettings, listener: socket.socket, make_server: ServerFactory) -> None:
    """Serve on a listening socket.

    Args:
        settings: of the server.
        listener: the socket.
        make_server: makes the server that accepts its connections.

    Raises:
        UserError: the voices are unusable.
    """
    tune_process()
    app = create_app(settings)
    logger.info("voices: %s", ", ".join(app.state.service.registry.ids()) or "none")
    config = uvicorn_config(app)
    make_server(config, app.state.service).run(sockets=[listener])


def uvicorn_config(app: FastAPI) -> uvicorn.Config:
    """How uvicorn serves an application: with the limits in its settings."""
    service: Service = app.state.service
    settings = service.settings
    limits = ConnectionLimits.of(settings, service.metrics)
    return uvicorn.Config(
        app,
        http=functools.partial(HttpProtocol, limits),  # type: ignore[arg-type]
        ws=functools.partial(SocketProtocol, limits),  # type: ignore[arg-type]
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # See middleware.proxies.
        ws_max_size=max(LARGEST_MESSAGE_BYTES, settings.max_text_chars * 4),
        ws_per_message_deflate=False,
    )


def _registry(settings: ServerSettings) -> VoiceRegistry:
    device = machine.resolve(settings.device)
    refused: list[VoiceError] = []
    registry = VoiceRegistry(
        settings.voices_dir, device, more=settings.more_voices_dir, refused=refused.append
    )
    if refused and not registry.ids():
        raise refused[0]
    for error in refused:
        logger.error("voice refused: %s", error)
    return registry


def _synthesizer(settings: ServerSettings) -> Synthesizer:
    for key, names in (
        ("engine", (settings.engine,)),
        ("client_engines", settings.client_engines),
    ):
        for name in names:
            if name not in dispatch.names():
                known = ", ".join(dispatch.names())
                message = f"setting {key}: engine {name!r} is unknown: choose one of {known}"
                raise ConfigError(message, param=key)
    # One thread per call: the running batch already uses every core.
    return Synthesizer(engine=settings.engine, weights=settings.weights, threads=1)


def _service(
    settings: ServerSettings, synthesizer: Synthesizer, registry: VoiceRegistry
) -> Service:
    metrics = Metrics()
    threads = settings.threads or machine.processors()
    released = metrics.row_release.observe
    streaming = StreamingSynthesizer(synthesizer, threads=threads, released=released)

    def capacity(voice: Voice, engine: str) -> float:
        return settings.max_streams or streaming.known_capacity(voice, engine)

    return Service(
        settings=settings,
        metrics=metrics,
        registry=registry,
        synthesizer=synthesizer,
        streaming=streaming,
        admission=Admission(
            capacity,
            metrics,
            waiting=settings.waiting_requests,
            retry_after_s=settings.retry_after_s,
        ),
        jobs=JobQueue(settings.concurrent_jobs, settings.waiting_jobs, settings.retry_after_s),
        readiness=Readiness(streaming, registry, measure=settings.max_streams is None),
        draining=Draining(),
        cache=ResponseCache(settings.cache_dir, settings.cache_max_bytes)
        if settings.cache_dir
        else None,
    )


async def _watch_load(service: Service) -> None:
    """Keep the load gauges up to date."""
    metrics = service.metrics
    while True:
        metrics.rows.set(service.streaming.load().rows)
        if service.settings.max_streams is not None:
            metrics.capacity.set(service.settings.max_streams)
        # Neither a voice is loaded nor an engine created for this: it runs on the event loop.
        elif (voice := service.registry.loaded()) and (
            engine := service.synthesizer.made_engine(voice)
        ):
            metrics.capacity.set(service.streaming.known_capacity(voice, engine.name))
        await asyncio.sleep(LOAD_EVERY_S)
