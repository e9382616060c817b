"""The page at ``/``: the files in ``server/web``."""

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parents[1] / "web"
ASSETS = "/web"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""Set here, because Python's guesses depend on the machine."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    # Revalidated every time, so that a page never mixes files of two versions.
    "cache-control": "no-cache",
}


class PageFiles(StaticFiles):
    """The folder's files, with their types, the page's headers, and ETags."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file, or 304 if the client has it."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        kind = TYPES.get(Path(path).suffix)
        if kind and "content-type" in response.headers:
            response.headers["content-type"] = kind
        return response


def install(app: FastAPI) -> None:
    """Serve the page and its files."""
    files = PageFiles(directory=FOLDER)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    app.mount(ASSETS, files, name="page-files")
