"""The commands of ``vocoder`` that are the server's; what they need is imported when one runs."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer


def serve(
    settings: Annotated[Path | None, typer.Option(help="TOML file of the settings.")] = None,
    host: Annotated[str | None, typer.Option(help="Address; 127.0.0.1 if left out.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 8000 if left out.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; 1 if left out.")] = None,
    voices_dir: Annotated[Path | None, typer.Option(help="Folder of voices.")] = None,
    engine: Annotated[str | None, typer.Option(help="Engine by name, or auto.")] = None,
    weights: Annotated[str | None, typer.Option(help="fp32, bf16 or int8.")] = None,
    max_streams: Annotated[int | None, typer.Option(help="Live streams a worker.")] = None,
    api_keys_file: Annotated[Path | None, typer.Option(help="TOML file of API keys.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Folder of finished answers.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text.")] = None,
) -> None:
    """The HTTP server. Each setting may also be an environment variable, VOCODER_PORT=8000."""
    given = dict(locals())
    if os.getpid() == 1:
        # The first process of a container ignores what it does not handle, and until it serves
        # nothing else handles this.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from .settings import ServerSettings

    loaded = ServerSettings.load(settings_file=given.pop("settings"), **given)
    if loaded.workers > 1:
        from .workers.supervisor import supervise as run  # Which knows nothing of speech.
    else:
        from .app import serve as run
    run(loaded)


def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is.")],
    concurrent: Annotated[int | None, typer.Option(help="Requests at a time.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    characters_per_minute: Annotated[int | None, typer.Option(help="Of text, a minute.")] = None,
) -> None:
    """A new API key: shown here once, and its entry for the file of keys on standard output."""
    from .middleware import api_keys as keys

    secret, entry = keys.new(
        name,
        concurrent=concurrent,
        requests_per_minute=requests_per_minute,
        characters_per_minute=characters_per_minute,
    )
    print(f"key of {name}, shown only now: {secret}", file=sys.stderr)
    print(entry.to_toml(), end="")
