"""Google Cloud Storage for `object_folder`: gcsfs with every wait bounded, fewer requests, and refusals told from faults.

Never reads the environment for a key or another address, and never asks for more rights than to read and write objects.
"""

import asyncio
import functools
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError, validate_response
from google.oauth2 import service_account

from connectors.object_folder import BusyStoreError, NoBucketError, StoreTimes

ADDRESS = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_BUSY = {408, 429, *range(500, 505)}
_PAUSE = 1.0  # seconds before the second and last try


def account(key: Mapping[str, Any]) -> object:
    """Return the service account of a key file. Raises ValueError when its private key cannot be read."""
    return service_account.Credentials.from_service_account_info(key, scopes=[_SCOPE])  # type: ignore[no-untyped-call]  # some of the library has no types


class GoogleObjects(GCSFileSystem):  # type: ignore[misc]  # fsspec and gcsfs have no types
    """The file system. An object's time is that of its content: `updated` also moves when Google changes its storage class."""

    def __init__(self, *, times: StoreTimes, ca_file: str | None, endpoint_url: str | None = None, **others: Any) -> None:
        seconds = aiohttp.ClientTimeout(total=None, connect=times.connect, sock_connect=times.connect, sock_read=times.idle)
        super().__init__(requests_timeout=seconds, endpoint_url=endpoint_url or ADDRESS, **others)
        self._ca_file = ca_file
        if self.credentials.credentials is not None:
            _bind(self.credentials.credentials, times.idle, ca_file)

    async def _set_session(self) -> Any:
        if self._session is None and self._ca_file is not None:
            tls = ssl.create_default_context(cafile=self._ca_file)
            self.session_kwargs = {"connector": aiohttp.TCPConnector(ssl=tls)}
        return await super()._set_session()

    async def _request(self, method: str, path: str, *args: str, **rest: Any) -> tuple[int, Any, Any, bytes]:
        """Return what `GCSFileSystem._request` does, after two tries at most; a server that is silent is not asked again."""
        await self._token()
        try:
            return await self._once(method, path, *args, **rest)
        except TimeoutError:
            raise
        except BusyStoreError as error:
            if error.retry_after is not None:
                raise
        except aiohttp.ClientError as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                raise
        await asyncio.sleep(_PAUSE)
        return await self._once(method, path, *args, **rest)

    async def _once(self, method: str, path: str, *args: str, **rest: Any) -> tuple[int, Any, Any, bytes]:
        sent = {name: rest.pop(name, None) for name in ("json", "data", "headers", "cache_type", "cache_source")}
        session = await self._set_session()
        async with session.request(
            method,
            self._format_path(path, args),
            params=self._get_params(rest),
            json=sent["json"],
            data=sent["data"],
            headers=self._get_headers(sent["headers"]),
            timeout=self.requests_timeout,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
        _refuse(answer, content, path, args)
        return answer.status, answer.headers, answer.request_info, content

    async def _token(self) -> None:
        """Fetch a token if there is none or it is nearly over, beside the loop that all stores of this process share."""
        try:
            await asyncio.to_thread(self.credentials.maybe_refresh)
        except HttpError as error:
            if getattr(error.__cause__, "retryable", False):
                raise BusyStoreError("the token server cannot answer now") from None
            raise PermissionError("the token server refused the key") from None

    async def _ls(self, path: str, detail: bool = True, **_others: Any) -> list[dict[str, Any]]:  # noqa: FBT001, FBT002, ARG002  # as fsspec says
        try:
            items, _prefixes = await self._do_list_objects(path)
        except FileNotFoundError as error:
            raise NoBucketError(path.partition("/")[0]) from error
        return [_entry(item) for item in items]

    async def _info(self, path: str, **_others: Any) -> dict[str, Any]:
        return _entry(await self._get_object(path))


def _entry(item: dict[str, Any]) -> dict[str, Any]:
    told = {name: item[name] for name in ("name", "size", "type")}
    return {**told, "LastModified": item["timeCreated"], "version": item["generation"], "hash": item.get("md5Hash")}


def _refuse(answer: aiohttp.ClientResponse, content: bytes, path: str, args: tuple[str, ...]) -> None:
    if answer.status in {401, 403}:
        raise PermissionError(answer.status, "refused")
    if answer.status in _BUSY:
        raise BusyStoreError(f"HTTP {answer.status}", answer.headers.get("Retry-After"))
    if answer.status == 404:  # noqa: PLR2004  # HTTP
        validate_response(answer.status, content, path, args)
    if answer.status >= 300:  # noqa: PLR2004  # HTTP
        raise HttpError({"code": answer.status, "message": content[:200].decode("utf-8", "replace")})


def _bind(credentials: Any, seconds: float, ca_file: str | None) -> None:
    """Let the credentials ask for tokens with our time-out and our authority; their own time-out is two minutes."""
    bounds = {"timeout": seconds} | ({"verify": ca_file} if ca_file else {})
    refresh = credentials.refresh
    credentials.refresh = lambda request: refresh(functools.partial(request, **bounds))
