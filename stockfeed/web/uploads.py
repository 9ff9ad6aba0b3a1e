"""The HTTP door that files are pushed through: PUT /v1/feeds/FEED/deliveries/NAME with a bearer token, answered in JSON.

Never keeps a file in memory, never uses a name as a path, never tells whether a feed exists to somebody without its token.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import anyio
import anyio.from_thread
import structlog
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from connectors.spool import Limits, Spooled, spool_stream
from connectors.upload import UploadOptions, is_allowed
from schemas.errors import DeliveryError, StockfeedError, TransientError
from schemas.transfer import Fetched
from stockfeed.bootstrap import App
from stockfeed.pipeline.receive import Received, check_name, identity_of, known_push, receive
from stockfeed.redaction import KNOWN
from stockfeed.web.digest import expected_sha256

IDLE_SECONDS, DEADLINE_SECONDS = 30.0, 900.0
LONGEST_KEY = 200
MOST_AT_ONCE = 4  # pushes of one feed: a supplier whose line is slow does not fill the threads that the others need
_TURN, _RECORDING = threading.Lock(), set[str]()  # identities of pushes with a key that are being recorded
log = structlog.get_logger()


class RefusalError(Exception):
    """An answer that is no success: status, code, what is wrong, what to do."""

    def __init__(self, status: int, code: str, message: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.remedy, self.headers = status, code, message, remedy, headers


@dataclass(frozen=True, slots=True)
class _Push:
    """What a request says of its file."""

    feed: str
    name: str
    key: str | None
    at: datetime | None
    sha256: str | None
    options: UploadOptions


def make_web(app: App) -> Starlette:
    """Return the web application for the feeds of `app` whose source is `upload`."""
    running = Counter[str]()

    async def push(request: Request) -> JSONResponse:
        wanted = _checked(app, request)
        with _place(running, wanted.feed):
            return await _take(app, request, wanted)

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    routes = [
        Route("/v1/feeds/{feed}/deliveries/{name}", push, methods=["PUT", "POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    handlers: dict[Any, Any] = {RefusalError: _refused, StockfeedError: _failed, HTTPException: _no_route, Exception: _fault}
    return Starlette(routes=routes, exception_handlers=handlers)


@contextmanager
def _place(running: Counter[str], feed: str) -> Iterator[None]:
    """Count a push while it runs. Raises RefusalError (429) when as many of its feed run as may."""
    if running[feed] >= MOST_AT_ONCE:
        words = f"{MOST_AT_ONCE} files of this feed are being sent already"
        raise RefusalError(429, "busy", words, "Send one file after the other.", {"Retry-After": "5"})
    running[feed] += 1
    try:
        yield
    finally:
        running[feed] -= 1


def _checked(app: App, request: Request) -> _Push:
    """Return what is pushed. Raises RefusalError: the token is looked at before anything else, the body after everything."""
    feed, name, headers = request.path_params["feed"], request.path_params["name"], request.headers
    options = _options(app, feed)
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if not is_allowed(token.strip(), options.tokens if options else ()) or scheme.lower() != "bearer" or options is None:
        remedy = "Send `Authorization: Bearer TOKEN` with a token of this feed."
        raise RefusalError(401, "unauthorized", "no such feed, or not its token", remedy, {"WWW-Authenticate": "Bearer"})
    check_name(name)
    if not any(fnmatchcase(name.lower(), pattern.lower()) for pattern in options.pattern):
        raise RefusalError(422, "name", f"the name {name!r} does not match {', '.join(options.pattern)}", "Rename the file.")
    _check_form(headers, options)
    key = headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise RefusalError(
            400, "key", "Idempotency-Key is too long or not plain text", f"Send at most {LONGEST_KEY} plain characters."
        )
    return _Push(feed, name, key, _time(headers.get("stock-time")), _digest(headers.get("content-digest")), options)


def _options(app: App, feed: str) -> UploadOptions | None:
    config = app.config.feeds.get(feed)
    if config is None or config.source.type != "upload":
        return None
    return UploadOptions.model_validate(config.source.options)


def _check_form(headers: Mapping[str, str], options: UploadOptions) -> None:
    if headers.get("content-type", "").lower().startswith("multipart/"):
        raise RefusalError(
            415, "form", "this is a form, not the file itself", "Send the file as the body: curl -T stock.csv ADDRESS"
        )
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusalError(
            415, "encoding", "Content-Encoding is not read", "Send the file as it is; a .gz file needs no such header."
        )
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > options.max_size:
        raise _too_large(options)


def _too_large(options: UploadOptions) -> RefusalError:
    return RefusalError(413, "size", f"the file is larger than {options.max_size} bytes", "Split it, or ask us to raise the limit.")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    with suppress(ValueError):
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at
    raise RefusalError(400, "time", "Stock-Time is no time with its zone", "Send for example 2026-11-02T08:00:00+01:00.")


def _digest(text: str | None) -> str | None:
    try:
        return expected_sha256(text)
    except ValueError:
        remedy = "Send sha-256=:…: with the 32 bytes in base64 (not hexadecimal) between the colons, or leave it out."
        raise RefusalError(400, "digest", "Content-Digest has a sha-256 that cannot be read", remedy) from None


async def _take(app: App, request: Request, wanted: _Push) -> JSONResponse:
    try:
        spooled = await _spool(app, request, wanted)
    except DeliveryError:
        raise _too_large(wanted.options) from None
    except ClientDisconnect:
        log.warning("upload_cut", feed=wanted.feed, name=wanted.name)
        raise RefusalError(400, "cut", "the connection ended before the file did", "Send it again.") from None
    try:
        if wanted.sha256 not in {None, spooled.sha256}:
            raise RefusalError(422, "digest", "the file is not what Content-Digest says", "Send it again; nothing was recorded.")
        received = await run_in_threadpool(_record, app, wanted, spooled)
    finally:
        spooled.path.unlink(missing_ok=True)
    answer = {
        "delivery": received.delivery_id,
        "feed": wanted.feed,
        "name": wanted.name,
        "sha256": spooled.sha256,
        "size": spooled.size,
    }
    return JSONResponse({**answer, "state": "received" if received.is_new else "known"}, 201 if received.is_new else 200)


async def _spool(app: App, request: Request, wanted: _Push) -> Spooled:
    """Return the body as a spooled file. A thread writes, and asks for the next piece when it has written the last."""
    pieces = request.stream().__aiter__()

    async def next_piece() -> bytes:
        with anyio.fail_after(IDLE_SECONDS):
            async for piece in pieces:
                if piece:
                    return piece
        return b""

    limits = Limits(wanted.options.max_size, IDLE_SECONDS, DEADLINE_SECONDS)
    folder = app.settings.spool_dir

    def write() -> Spooled:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return spool_stream(lambda _size: anyio.from_thread.run(next_piece), folder, wanted.name, limits=limits)

    return await run_in_threadpool(write)


def _record(app: App, wanted: _Push, spooled: Spooled) -> Received:
    """Return the recorded push. One with a key of its own is recorded once, and a key stands for one content."""
    identity = identity_of(wanted.name, spooled.sha256, key=wanted.key, at=app.clock())
    if wanted.key is None:
        return _received(app, wanted, spooled, identity)
    with _alone(f"{wanted.feed}|{identity}"):
        known = known_push(app, wanted.feed, identity)
        if known is None:
            return _received(app, wanted, spooled, identity)
        if known[1] != spooled.sha256:
            words = f"Idempotency-Key was used for another content of {wanted.name!r} (delivery {known[0]})"
            raise RefusalError(422, "key", words, "Send a new key with each new file, and the same one only to repeat a push.")
        return Received(known[0], is_new=False)


@contextmanager
def _alone(identity: str) -> Iterator[None]:
    """Let one push of an identity be recorded at a time. Raises RefusalError (409) for another one meanwhile."""
    with _TURN:
        if identity in _RECORDING:
            raise RefusalError(409, "key", "a push with this key is being recorded", "Send it again later.", {"Retry-After": "5"})
        _RECORDING.add(identity)
    try:
        yield
    finally:
        with _TURN:
            _RECORDING.discard(identity)


def _received(app: App, wanted: _Push, spooled: Spooled, identity: str) -> Received:
    return receive(app, wanted.feed, Fetched(spooled.path, spooled.sha256, spooled.size, wanted.name, identity, wanted.at))


def _answer(status: int, code: str, message: str, remedy: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    error = {"code": code, "message": KNOWN.text(message), "remedy": KNOWN.text(remedy)}
    # what is left of the body is not read: the connection cannot be used again
    return JSONResponse({"error": error}, status, {**(headers or {}), "Connection": "close"})


async def _refused(_request: Request, error: RefusalError) -> JSONResponse:
    return _answer(error.status, error.code, error.message, error.remedy, error.headers)


async def _failed(_request: Request, error: StockfeedError) -> JSONResponse:
    if isinstance(error, TransientError):
        wait = str(int(error.retry_after or 30))
        return _answer(503, "later", error.message, "Send it again later; nothing was recorded.", {"Retry-After": wait})
    return _answer(422, "refused", error.message, error.hint)


async def _no_route(_request: Request, error: HTTPException) -> JSONResponse:
    return _answer(error.status_code, "address", error.detail, "PUT /v1/feeds/FEED/deliveries/NAME", error.headers)


async def _fault(_request: Request, error: Exception) -> JSONResponse:
    log.error("upload_fault", error=type(error).__name__, text=str(error)[:300])
    return _answer(500, "fault", "something went wrong here", "Send it again; we have been told.")
