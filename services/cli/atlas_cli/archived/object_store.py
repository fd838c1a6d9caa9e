"""The archive's bucket, as the settings name it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from atlas_archive.store import S3Address, S3Store, open_store
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from atlas_cli.settings import CliSettings
from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.output import CommandError


@asynccontextmanager
async def open_archive(settings: CliSettings) -> AsyncIterator[S3Store]:
    """The bucket; CommandError when it is out of reach."""
    address = S3Address(**settings.s3_address())
    try:
        async with open_store(address) as store:
            yield store
    except (BotoCoreError, ClientError, OSError) as error:
        away = isinstance(error, HTTPClientError | NoConnection | OSError)
        what = f"object store {settings.s3_endpoint}, bucket {settings.s3_bucket}: {error}"
        raise CommandError(f"{what}; {START_IT}" if away else what) from None
