"""Schemas of a registry that speaks Confluent's HTTP API: subjects, versions, ids, references.

Whatever answers is held to limits: sizes, numbers, time. No redirect is followed, so credentials go nowhere else.
"""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp import hdrs
from atlas_avro.names import definitions
from atlas_contracts.forms import NESTING_MAX
from atlas_contracts.imports.importing import Offer

from atlas_cli.terminal.output import CommandError

ANSWER_MAX_BYTES = 4 * 1024 * 1024
TIMEOUT_S = 10.0
FAULTS_MAX = 20

_VALUE = "-value"
_SHOWN = 200
_RAISE = "raise ATLAS_REGISTRY_"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one import may take. `subjects`: of the registry's list; `versions`: of a subject; `references`: types
    behind one schema, which it refers to, and these to others; `answers_bytes` and `overall_s`: of all of it together.
    """

    subjects: int
    versions: int
    references: int
    answers_bytes: int
    overall_s: float


async def offers(
    url: str,
    subjects: Collection[str] = (),
    *,
    limits: Limits,
    topic: str | None = None,
    auth: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[list[Offer], list[str]]:
    """What the registry has of these subjects, or of all; and the subjects that were passed over.

    A subject `<topic>-value` is of that topic; of others only those asked for, which go to `topic`. `auth` is
    USER:PASSWORD. `tell` hears before each subject how far this is. Raises CommandError; that of a limit names its
    setting.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise CommandError(f"the registry's address: {error}; expected http(s)://HOST[:PORT]") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise CommandError(
            f"{parts.scheme}://{parts.hostname or ''}: expected http(s)://HOST[:PORT][/PATH], credentials apart"
        )
    if auth and parts.scheme == "http" and not _is_here(parts.hostname):
        raise CommandError(f"http://{parts.hostname}: credentials go over https only, or to this machine")
    url = url.rstrip("/")
    user, _, password = (auth or "").partition(":")
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    login = {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth(user, password, encoding="utf-8")} if auth else {}
    async with aiohttp.ClientSession(timeout=timeout, headers=login) as session:
        try:
            async with asyncio.timeout(limits.overall_s):
                return await _Registry(session, url, tell, limits).offers(subjects, topic)
        except TimeoutError:
            told = f"{url}: not done within {limits.overall_s:g} s; {_RAISE}OVERALL_S, or say --subject"
            raise CommandError(told) from None


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _said(data: bytes) -> str:
    """What an answer that is no success says, the way these registries do where it can be read."""
    try:
        told = json.loads(data)
        return f"{told['error_code']}: {told['message']}"[:_SHOWN]
    except (ValueError, RecursionError, KeyError, TypeError):
        return data[:_SHOWN].decode(errors="replace")


class _Odd(CommandError):
    """What the registry says of one schema can't be taken; others may be right."""


class _Registry:
    def __init__(self, session: aiohttp.ClientSession, url: str, tell: Callable[[str], None], limits: Limits) -> None:
        self._session = session
        self._url = url
        self._tell = tell
        self._limits = limits
        self._bytes = 0
        self._fetched: dict[tuple[str, str], Mapping[str, Any]] = {}

    async def offers(self, subjects: Collection[str], topic: str | None) -> tuple[list[Offer], list[str]]:
        most = (self._limits.subjects, f"{_RAISE}SUBJECTS_MAX, or say --subject")
        names = subjects or await self._list("/subjects", str, *most)
        found: list[Offer] = []
        passed: list[str] = []
        faults: list[str] = []
        for number, subject in enumerate(sorted(names), 1):
            self._tell(f"subject {number:,} of {len(names):,}: {subject}")
            if not subject.endswith(_VALUE) and not (subjects and topic):
                passed.append(subject)
                continue
            of_topic = topic or subject.removesuffix(_VALUE)
            try:
                place = f"/subjects/{quote(subject, safe='')}/versions"
                versions = await self._list(place, int, self._limits.versions, f"{_RAISE}VERSIONS_MAX")
            except _Odd as odd:
                faults.append(str(odd))
                continue
            for version in sorted(versions):
                try:
                    found.append(await self._offer(subject, version, of_topic))
                except _Odd as odd:
                    faults.append(str(odd))
        if faults:
            more = f"; and {len(faults) - FAULTS_MAX} more" if len(faults) > FAULTS_MAX else ""
            raise CommandError("; ".join(faults[:FAULTS_MAX]) + more)
        return found, passed

    async def _offer(self, subject: str, version: int, topic: str) -> Offer:
        entry = await self._version(subject, str(version))
        texts: dict[tuple[str, str], str] = {}
        await self._refer(entry, texts, ((subject, str(version)),))
        return Offer(f"{subject} v{version}", entry["schema"], topic, entry["id"], tuple(texts.values()), version)

    async def _refer(
        self, entry: Mapping[str, Any], texts: dict[tuple[str, str], str], within: tuple[tuple[str, str], ...]
    ) -> None:
        """Add what a schema refers to, each after what it refers to itself; `within` ends with that schema."""
        who = " v".join(within[-1])
        references = entry.get("references") or []
        if not isinstance(references, list):
            raise self._odd(f"{who}: references", references, "a list")
        for reference in references:
            if not isinstance(reference, dict) or not isinstance(reference.get("subject"), str):
                raise self._odd(f"{who}: a reference", reference, "an object with `name`, `subject` and `version`")
            place = (reference["subject"], str(reference.get("version")))
            if place in within:
                raise _Odd(f"{self._url}: {place[0]} v{place[1]} refers to itself")
            if len(within) > NESTING_MAX:
                raise _Odd(f"{self._url}: {' v'.join(within[0])}: references nested deeper than {NESTING_MAX}")
            known = place in texts
            # Of `within` the first is the schema itself; each other one becomes a text when it is through.
            if not known and len(within) - 1 + len(texts) >= self._limits.references:
                told = f"more than {self._limits.references:,} references behind {' v'.join(within[0])}"
                raise CommandError(f"{self._url}: {told}; {_RAISE}REFERENCES_MAX")
            other = await self._version(*place)
            self._check_name(who, reference, other["schema"])
            if not known:
                await self._refer(other, texts, (*within, place))
                texts[place] = other["schema"]

    def _check_name(self, who: str, reference: Mapping[str, Any], text: str) -> None:
        """A reference names the type that it is for: another one would be written in unseen, or found missing later.

        In full, or without its namespace: registries take what stands in the schema that refers.
        """
        name = reference.get("name")
        try:
            found = definitions(json.loads(text))
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return  # no schema, which is said where it is read
        if not isinstance(name, str) or name not in {*found, *(full.rpartition(".")[2] for full in found)}:
            what = ", ".join(found)[:_SHOWN] or "no named type"
            place = f"{reference['subject']} v{reference.get('version')}"
            shown = "nothing" if name is None else repr(str(name)[:_SHOWN])
            raise self._odd(f"{who}: a reference's name", shown, f"{what}, as {place} has")

    async def _version(self, subject: str, version: str) -> Mapping[str, Any]:
        place = (subject, version)
        if place not in self._fetched:
            path = f"/subjects/{quote(subject, safe='')}/versions/{quote(version, safe='')}"
            entry = await self._get(path)
            if not isinstance(entry, dict) or not isinstance(entry.get("schema"), str):
                raise self._odd(path, entry, "an object with `schema`")
            if entry.get("schemaType", "AVRO") != "AVRO":
                raise _Odd(f"{subject} v{version}: its type is {str(entry['schemaType'])[:_SHOWN]}, not AVRO")
            if type(entry.get("id")) is not int or not 0 < entry["id"] < 2**31:
                raise self._odd(f"{path}: id", entry.get("id"), "a positive number of 32 bits")
            self._fetched[place] = entry
        return self._fetched[place]

    async def _list(self, path: str, kind: type, most: int, remedy: str) -> list[Any]:
        found = await self._get(path)
        if not isinstance(found, list) or not all(type(each) is kind for each in found):
            raise self._odd(path, found, f"a list of {kind.__name__}")
        if len(found) > most:
            raise CommandError(f"{self._url}{path}: {len(found):,} entries, more than {most:,}; {remedy}")
        return found

    async def _get(self, path: str) -> Any:
        try:
            async with self._session.get(self._url + path, allow_redirects=False) as response:
                data = b""
                async for chunk in response.content.iter_chunked(64 * 1024):
                    data += chunk
                    if len(data) > ANSWER_MAX_BYTES:
                        raise CommandError(f"{self._url}{path}: an answer of more than {ANSWER_MAX_BYTES:,} bytes")
                self._bytes += len(data)
                if self._bytes > self._limits.answers_bytes:
                    told = f"{self._url}: answers of more than {self._limits.answers_bytes:,} bytes"
                    raise CommandError(f"{told}; {_RAISE}ANSWERS_MAX_BYTES, or say --subject")
                if response.status != 200:
                    refused = f"{self._url}{path}: answered {response.status} {_said(data)}".rstrip()
                    # One schema may be broken or gone; who may not ask, or asks at no registry, is told at once.
                    if path.startswith("/subjects/") and response.status not in (401, 403):
                        raise _Odd(refused)
                    raise CommandError(refused)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise CommandError(f"{self._url}{path}: {str(error) or type(error).__name__}"[: 2 * _SHOWN]) from None
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise CommandError(f"{self._url}{path}: the answer is not JSON") from None

    def _odd(self, what: str, found: Any, expected: str) -> _Odd:
        return _Odd(f"{self._url}: {what}: found {str(found)[:_SHOWN]}, expected {expected}")
