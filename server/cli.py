"""The server's commands of ``vocoder``; each imports what it needs when it runs."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def serve(
    settings: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    host: Annotated[str | None, typer.Option(help="Address; default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default 8000.")] = None,
    uds: Annotated[Path | None, typer.Option(help="Unix socket instead of an address.")] = None,
    root_path: Annotated[str | None, typer.Option(help="Path below which a proxy serves.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; default 1.")] = None,
    voices_dir: Annotated[Path | None, typer.Option(help="Folder of voices.")] = None,
    engine: Annotated[str | None, typer.Option(help="Name of an engine, or auto.")] = None,
    weights: Annotated[str | None, typer.Option(help="fp32, bf16 or int8.")] = None,
    max_streams: Annotated[int | None, typer.Option(help="Live streams per worker.")] = None,
    api_keys_file: Annotated[Path | None, typer.Option(help="TOML file of API keys.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Folder of the response cache.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning, error.")] = None,
) -> None:
    """Start the HTTP server. Each setting can be an environment variable too: VOCODER_PORT=8000."""
    given = dict(locals())
    # It means "look for changed voices", also before there is anything that could.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.getpid() == 1:
        # As a container's first process it ignores signals that it does not handle, and no handler
        # is installed until it serves.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from .settings import ServerSettings

    loaded = ServerSettings.load(settings_file=given.pop("settings"), **given)
    if loaded.workers > 1:
        from .workers.supervisor import supervise as run  # Imports no synthesizer.
    else:
        from .app import serve as run
    run(loaded)


def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Owner of the key.")],
    concurrent: Annotated[int | None, typer.Option(help="Concurrent requests.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="Requests per minute.")] = None,
    characters_per_minute: Annotated[
        int | None, typer.Option(help="Characters of text per minute.")
    ] = None,
) -> None:
    """Create an API key: it is shown once, and its entry for the key file goes to stdout."""
    from .middleware import api_keys

    secret, entry = api_keys.new(
        name,
        concurrent=concurrent,
        requests_per_minute=requests_per_minute,
        characters_per_minute=characters_per_minute,
    )
    print(f"API key of {name}, shown only once: {secret}", file=sys.stderr)
    print(entry.to_toml(), end="")
