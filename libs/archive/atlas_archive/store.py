"""Object storage: the few operations the archive needs, over S3, and the same in memory for tests."""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

# Of a multi-part upload, and the largest object that goes up in one request: the least that S3 takes, for a part is in
# memory twice while it goes up, for each partition that has one on its way.
PART_BYTES = 5 * 1024 * 1024
# Past this S3 takes no request: it would be signed at another time than it is.
SKEW_MAX_S = 900.0


class MissingObject(Exception):
    """There is no object at the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no object {key}")
        self.key = key


class Listed(NamedTuple):
    """An object as a listing shows it; `size` in bytes."""

    key: str
    size: int


class ObjectStore(Protocol):
    """One bucket. Any method may raise what botocore and the network raise."""

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """Write the object made of `chunks`, all or nothing, replacing one that is there."""

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Write the object made of what comes, all or nothing; some parts of PART_BYTES are held at a time."""

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write the object unless the key is taken; False when it is. Of two at once, exactly one gets True."""

    async def get(self, key: str) -> bytes:
        """The whole object. Raises MissingObject."""

    def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        """Objects whose key begins with `prefix` and is greater than `start_after`, by key, at most `limit`."""

    async def delete(self, key: str) -> None:
        """Remove the object; one that is not there is no error."""


class ClockOff(OSError):
    """The store refuses requests of this machine for the time that they were signed at."""


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where a bucket is and who asks; `endpoint` None means AWS itself."""

    bucket: str
    endpoint: str | None
    access_key: str
    secret_key: str
    region: str = "us-east-1"


@asynccontextmanager
async def open_store(address: S3Address, *, create_bucket: bool = False) -> AsyncIterator["S3Store"]:
    """The bucket on S3 or what speaks like it; with `create_bucket` it is made when it is missing."""
    # One retry only: the caller's loop backs off and says so, which a retry inside botocore would hide.
    config = AioConfig(
        connect_timeout=5,
        read_timeout=30,
        retries={"total_max_attempts": 2, "mode": "standard"},
        max_pool_connections=32,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with get_session().create_client(
        "s3",
        endpoint_url=address.endpoint,
        aws_access_key_id=address.access_key,
        aws_secret_access_key=address.secret_key,
        region_name=address.region,
        config=config,
    ) as client:
        client.meta.events.register_last("before-call.s3", _in_one_piece)
        store = S3Store(client, address.bucket)
        if create_bucket:
            await store.create()
        yield store


class S3Store:
    """ObjectStore over an aiobotocore client; from `open_store`."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def create(self) -> None:
        """Make the bucket unless it is there."""
        try:
            await self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _status(error) == 403:
                _refuse_skew(error.response)  # the answer to a HEAD has no words for it
            if _status(error) != 404:
                raise
        else:
            return
        try:
            await self._client.create_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _status(error) != 409:  # another instance made it meanwhile
                raise

    async def now(self) -> float:
        """The store's own time, in seconds since the epoch."""
        try:
            answer = await self._client.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            answer = error.response  # a refusal tells the time as well
        return _date(answer)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        if sum(map(len, chunks)) <= PART_BYTES:
            await self._client.put_object(Bucket=self._bucket, Key=key, Body=b"".join(chunks))
        else:
            await self._upload(key, _each(_parts(chunks)))

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        await self._upload(key, _streamed_parts(chunks))

    async def _upload(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        upload = await self._client.create_multipart_upload(Bucket=self._bucket, Key=key)
        target = {"Bucket": self._bucket, "Key": key, "UploadId": upload["UploadId"]}
        try:
            parts: list[dict[str, Any]] = []
            async for part in pieces:
                number = len(parts) + 1
                answer = await self._client.upload_part(**target, PartNumber=number, Body=part)
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            await self._client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
        except BaseException:
            await self._abandon(target)
            raise

    async def _abandon(self, target: dict[str, str]) -> None:
        try:
            await self._client.abort_multipart_upload(**target)
        except (ClientError, OSError):
            return  # the parts stay until the bucket's rule for unfinished uploads; the first error matters more

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        try:
            await self._client.put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if _status(error) != 412:
                raise
            return False
        return True

    async def get(self, key: str) -> bytes:
        try:
            answer = await self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _status(error) == 404:
                raise MissingObject(key) from None
            raise
        async with answer["Body"] as body:
            return bytes(await body.read())

    async def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        left = limit if limit is not None else -1
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        if start_after:
            request["StartAfter"] = start_after
        while left != 0:
            if left > 0:
                request["MaxKeys"] = min(left, 1000)
            page = await self._client.list_objects_v2(**request)
            for item in page.get("Contents", ()):
                yield Listed(item["Key"], item["Size"])
                left -= 1
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    async def delete(self, key: str) -> None:
        await self._client.delete_object(Bucket=self._bucket, Key=key)


def _in_one_piece(params: dict[str, Any], **_: object) -> None:
    """Send a body right behind its headers instead of after a "100 Continue".

    Not every store leaves alone what breaks off in between: SeaweedFS 4.48 makes an empty object when the connection is
    closed behind the headers, and an empty manifest would hold its place for good.
    """
    params["headers"].pop("Expect", None)


def _parts(chunks: Sequence[bytes]) -> Iterator[bytes]:
    """Pieces of PART_BYTES each, the last one shorter; one piece at a time is held beside `chunks`."""
    waiting: list[memoryview] = []
    size = 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while size + len(rest) >= PART_BYTES:
            missing = PART_BYTES - size
            yield b"".join((*waiting, rest[:missing]))
            waiting, size, rest = [], 0, rest[missing:]
        waiting.append(rest)
        size += len(rest)
    if size:
        yield b"".join(waiting)


async def _each(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _streamed_parts(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same of what comes; one part, of no bytes, where nothing does."""
    part = bytearray()
    number = 0
    async for chunk in chunks:
        part += chunk
        while len(part) > PART_BYTES:
            yield bytes(part[:PART_BYTES])
            number += 1
            del part[:PART_BYTES]
    if part or not number:
        yield bytes(part)


def _date(answer: Mapping[str, Any]) -> float:
    """Raises KeyError, ValueError for an answer without one."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()


def _refuse_skew(answer: Mapping[str, Any]) -> None:
    """Raise ClockOff if this machine's clock is why the store refused."""
    with suppress(KeyError, ValueError):
        off_s = time.time() - _date(answer)
        if abs(off_s) > SKEW_MAX_S:
            way = "ahead of" if off_s > 0 else "behind"
            raise ClockOff(f"this machine's clock is {abs(off_s):.0f} s {way} the object store's, which refuses it")


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@dataclass(slots=True)
class MemoryStore:
    """ObjectStore in a dictionary, for tests; `objects` may be looked at and changed."""

    objects: dict[str, bytes] = field(default_factory=dict)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        self.objects[key] = b"".join(chunks)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        await self.put(key, [chunk async for chunk in chunks])

    async def put_if_absent(self, key: str, data: bytes) -> bool:
        if key in self.objects:
            return False
        self.objects[key] = data
        return True

    async def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise MissingObject(key)
        return self.objects[key]

    async def list(self, prefix: str, *, start_after: str = "", limit: int | None = None) -> AsyncIterator[Listed]:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > start_after)
        for key in keys[:limit]:
            yield Listed(key, len(self.objects[key]))

    async def delete(self, key: str) -> None:
        self.objects.pop(key, None)
