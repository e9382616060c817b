"""The application: :func:`create_app` puts it together, :func:`serve` runs it."""

import contextlib
import logging
import logging.config
import socket
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from starlette.middleware import Middleware

import vocoder
from server import docs, errors, logs
from server.generations import Generations
from server.middleware import BodyLimit, RequestContext
from server.routes import health, speech, vocode, voices
from server.service import Readiness, Service
from server.settings import ServerSettings
from vocoder.errors import ConfigError
from vocoder.synthesizer import Synthesizer
from vocoder.voice import VoiceRegistry

logger = logging.getLogger(__name__)


def create_app(settings: ServerSettings, synthesizer: Synthesizer) -> FastAPI:
    """An application with its own state; any number can live in one process."""
    service = Service(
        settings=settings,
        synthesizer=synthesizer,
        generations=Generations(
            settings.concurrent_generations, settings.waiting_generations, settings.retry_after_s
        ),
        readiness=Readiness(synthesizer),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.readiness.start()
        yield

    app = FastAPI(
        title="WaveNet speech",
        version=vocoder.__version__,
        description="Text or acoustic features in, speech out. Every error is an `ErrorResponse`.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestContext),
            Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
        ],
    )
    app.state.service = service
    errors.install(app)
    docs.install(app)
    for routes in (speech, vocode, voices, health):
        app.include_router(routes.router)
    return app


def build_app() -> FastAPI:
    """The application that the environment describes: ``uvicorn --factory server.app:build_app``.

    Raises:
        UserError: a setting or a voice is not as it should be.
    """
    settings = ServerSettings.load()
    return create_app(settings, _synthesizer(settings))


def serve(settings: ServerSettings) -> None:
    """Serve until a signal stops it; requests in progress get ``shutdown_grace_s`` to end.

    Raises:
        UserError: the voices are unusable, or the address cannot be listened on.
    """
    app = create_app(settings, _synthesizer(settings))
    listener = _listen(settings.host, settings.port)
    logging.config.dictConfig(logs.config(settings.log_format))
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
    )
    with listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{listener.getsockname()[1]}"
        ids = app.state.service.synthesizer.registry.ids()
        logger.info("serving on %s, documentation at %s/docs, voices: %s", url, url, ", ".join(ids))
        # Uvicorn raises an interrupt again after it has shut down in order.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _synthesizer(settings: ServerSettings) -> Synthesizer:
    registry = VoiceRegistry(settings.voices_dir)
    return Synthesizer(registry, engine=settings.engine, weights=settings.weights)


def _listen(host: str, port: int) -> socket.socket:
    # Bound here and not by uvicorn, which would exit with a status of its own.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --host and --port",
            param="port",
        ) from None
