"""What the projector answers about records that wait, from the databases themselves: for when none runs."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from atlas_cli.settings import CliSettings
from atlas_cli.terminal.faults import START_IT
from atlas_cli.terminal.output import CommandError


async def answer(settings: CliSettings, method: str, path: str, body: Any) -> Any:
    """As the projector answers; what is asked for is noted, and done by the projector at its next start.

    Raises CommandError when a database is away too.
    """
    from asyncpg import PostgresError
    from atlas_readmodel.stores import open_stores
    from atlas_readmodel.waiting import waiting_list
    from redis.exceptions import RedisError

    dsn = settings.readmodel_dsn.get_secret_value()
    try:
        async with open_stores(dsn, settings.redis_url, settings.redis_namespace, max_size=2) as stores:
            by_name = await waiting_list.stores_by_name(stores)
            url = urlsplit(path)
            match method, url.path:
                case "GET", "/dead-letters":
                    query = parse_qs(url.query)
                    only = query.get("projection", [None])[0]
                    return await waiting_list.listed(by_name, only, "all" in query)
                case "GET", _:
                    decode = _decoder(settings)
                    return await waiting_list.shown(by_name, unquote(url.path.removeprefix("/dead-letters/")), decode)
                case "POST", "/dead-letters/skip":
                    return await waiting_list.skip(by_name, body["ids"], body["reason"])
            what = url.path.rpartition("/")[2]
            return await waiting_list.ask(by_name, what, body.get("ids", ()), body.get("projection"))
    except (waiting_list.NotThere, ValueError) as error:
        raise CommandError(str(error)) from None
    except (OSError, TimeoutError, PostgresError, RedisError) as error:
        raise CommandError(
            f"neither the projector nor its databases answer: {str(error) or type(error).__name__}; {START_IT}"
        ) from None


def _decoder(settings: CliSettings) -> Any:
    from atlas_contracts.codec import Codec
    from atlas_contracts.errors import Undecodable

    from atlas_cli.connect import load_registry

    codec = Codec(load_registry(settings))

    def decode(value: bytes | None) -> Any:
        try:
            event = codec.decode(value)
            return {"type": event.type, "value": codec.to_json(event)}
        except (Undecodable, RecursionError):
            return None if value is None else {"hex": value.hex()}

    return decode
