"""Azure Blob Storage for `object_folder`: adlfs with every wait bounded, lists of one prefix only, and copies waited for.

Never reads the environment for a key of a connection that has none, and takes any name of a blob as it is.
"""

import asyncio
from typing import Any

from adlfs import AzureBlobFileSystem
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import BlobServiceClient
from fsspec.asyn import sync_wrapper

from connectors.object_folder import BusyStoreError, NoBucketError, StoreTimes

#: One more try after a second for what the store itself says is passing; a silent server is not asked again.
_RETRIES = {"retry_total": 1, "retry_read": 0, "retry_connect": 0}
_PAUSE = {"initial_backoff": 1, "increment_base": 0, "random_jitter_range": 0}
_LOOK = 0.25  # seconds between two looks at a copy


class AzureBlobs(AzureBlobFileSystem):  # type: ignore[misc]  # fsspec and adlfs have no types
    """The file system of one storage account: with its key, a SAS, the machine's identity, or nothing where all are None."""

    def __init__(
        self,
        *,
        times: StoreTimes,
        ca_file: str | None,
        key: str | None = None,
        sas: str | None = None,
        machine: bool = False,
        **others: Any,
    ) -> None:
        waits = {"connection_timeout": times.connect, "read_timeout": times.idle}
        self._client: dict[str, Any] = {**_RETRIES, **_PAUSE, **waits, "connection_verify": ca_file or True}
        self._sas = sas
        self._login = _identity() if machine else AzureNamedKeyCredential(others["account_name"], key) if key else None
        super().__init__(credential=self._login, anon=True, **waits, **others)

    def do_connect(self) -> None:
        """Make the client; nothing is sent yet."""
        host = getattr(self, "account_host", None) or f"{self.account_name}.blob.core.windows.net"
        self.account_url = f"https://{host}"
        address = f"{self.account_url}?{self._sas.lstrip('?')}" if self._sas else self.account_url
        self.service_client = BlobServiceClient(address, credential=self._login, **self._client)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.strip("/")  # it is no address: "?" and "#" are letters of a name

    def split_path(self, path: str, *_delimiter: str, **_others: Any) -> tuple[str, str, None]:
        """Return container, name and no version."""
        container, _, name = path.strip("/").partition("/")
        return container, name, None

    async def _ls(self, path: str, detail: bool = True, **_others: Any) -> list[dict[str, Any]]:  # noqa: FBT001, FBT002, ARG002  # as fsspec says
        container, prefix, _ = self.split_path(path)
        async with self.service_client.get_container_client(container) as client:
            blobs = client.walk_blobs(name_starts_with=f"{prefix}/" if prefix else None, include=["metadata"])
            try:
                found = [blob async for blob in blobs if isinstance(blob, BlobProperties)]
            except ResourceNotFoundError as error:
                raise NoBucketError(container) from error
        return [await self._entry(blob) for blob in found]

    async def _info(self, path: str, **_others: Any) -> dict[str, Any]:
        container, name, _ = self.split_path(path)
        async with self.service_client.get_blob_client(container, name) as client:
            try:
                return await self._entry(await client.get_blob_properties())
            except ResourceNotFoundError as error:
                raise FileNotFoundError(path) from error

    async def _entry(self, blob: BlobProperties) -> dict[str, Any]:
        [told] = await self._details([blob])  # knows the folders of accounts with a hierarchical namespace
        settings = told.get("content_settings") or {}
        return {**told, "version": told["etag"], "hash": settings.get("content_md5")}

    async def _cp_file(self, path1: str, path2: str, **_others: Any) -> None:
        """Copy, and return when the copy is whole: the store may go on copying after it has answered."""
        (container, source, _), (_, target, _) = self.split_path(path1), self.split_path(path2)
        async with self.service_client.get_container_client(container) as client:
            copied = client.get_blob_client(target)
            try:
                state: object = (await copied.start_copy_from_url(client.get_blob_client(source).url))["copy_status"]
                while state == "pending":
                    await asyncio.sleep(_LOOK)
                    state = (await copied.get_blob_properties()).copy.status
            except ResourceNotFoundError as error:
                raise FileNotFoundError(path1) from error
        if state != "success":
            raise BusyStoreError(f"the copy ended as {state}")

    cp_file = sync_wrapper(_cp_file)


def _identity() -> Any:
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()
