"""The two forms an event may be posted in: Atlas's own and CloudEvents 1.0 (see `binary_mode` for its other mode)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from atlas_contracts.values.scalars import describe
from atlas_contracts.values.timestamps import parse_rfc3339
from atlas_http.commands import SOURCE
from atlas_http.problems import Kind, field_error

MAX_TIME_MS = 253_402_300_799_999  # the end of the year 9999, the last that RFC 3339 can say
TEXT_MAX = 255

PLAIN_FIELDS = ("type", "value", "key", "id", "time", "headers")
_CLOUD_REQUIRED = ("specversion", "id", "source", "type", "data")
_CLOUD_FIELDS = frozenset({*_CLOUD_REQUIRED, "subject", "time", "datacontenttype", "dataschema", "data_base64"})
# `ce_sequence` is the entity's version, which its owner alone gives: on a posted event it could only be a claim.
_OWNERS_ALONE = "sequence"
_ATTRIBUTE = f"text of 1 to {TEXT_MAX} characters without control characters"
_EXTENSION = re.compile(r"[a-z0-9]{1,255}")
_JSON_TYPE = re.compile(r"(application|text)/json|[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+\+json")
# What no attribute may hold, by CloudEvents' own type system.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef\\ufffe\\uffff]")
_RESERVED_HEADERS = ("ce_", "atlas_", "content-type", "traceparent", "tracestate", "baggage")

INVALID_RECORD = Kind("invalid-record", 422, "The record does not fit its schema")

Errors = list[dict[str, str]]


class Refused(Exception):
    """The record can't be sent; `error` is what stands in its place in the answer."""

    def __init__(self, kind: Kind, detail: str, errors: Errors | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.error: dict[str, Any] = {"type": kind.uri, "title": kind.title, "detail": detail, **members}
        if errors:
            self.error["errors"] = errors


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is said around an event's value; None where nothing is said. `value_path` is where the value was.

    `partition_key`: a CloudEvent's extension of that name; it counts where the key is in no field of the value.
    """

    value: Any
    value_path: str
    type: Any = None
    key: Any = None
    id: str | None = None
    source: str = SOURCE
    subject: str | None = None
    time_ms: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition_key: str | None = None


def plain(item: Any) -> Envelope:
    """{"value", and maybe "type", "key", "id", "time", "headers"}; Refused with everything that is wrong."""
    if not isinstance(item, dict):
        expected = f"an object of {', '.join(PLAIN_FIELDS)}"
        raise Refused(INVALID_RECORD, "The record is not an object.", [field_error("", describe(item), expected)])
    errors = [
        field_error(f"/{name}", describe(value), f"no field of this name; there are {', '.join(PLAIN_FIELDS)}")
        for name, value in item.items()
        if name not in PLAIN_FIELDS
    ]
    if "value" not in item:
        errors.append(field_error("/value", "nothing", "the event's value, an object"))
    errors += _text_errors(item, "id", "key")
    time_ms = _time(item, errors)
    headers = _headers(item.get("headers", {}), errors)
    if errors:
        raise Refused(INVALID_RECORD, "The record is not valid.", errors)
    return Envelope(
        item["value"], "/value", item.get("type"), item.get("key"), item.get("id"), time_ms=time_ms, headers=headers
    )


def cloud_event(item: Any, faults: Iterable[Mapping[str, str]] = ()) -> Envelope:
    """A CloudEvent with JSON data; extensions become headers ce_<name>, as in the Kafka binding.

    An attribute that is null is as if it were not there. Refused with everything that is wrong, `faults` first: what
    whoever read the item has found already.
    """
    if not isinstance(item, dict):
        raise Refused(INVALID_RECORD, "Not a CloudEvent.", [field_error("", describe(item), "an object")])
    item = {name: value for name, value in item.items() if value is not None or name == "data"}
    errors = [dict(fault) for fault in faults]
    known = {error["path"] for error in errors}
    errors += [
        field_error(f"/{name}", "nothing", "a value")
        for name in _CLOUD_REQUIRED
        if name not in item and f"/{name}" not in known
    ]
    errors += [
        field_error(f"/{name}", describe(item[name]), _ATTRIBUTE)
        for name in ("id", "source", "type", "subject", "dataschema")
        if name in item and not _is_attribute(item[name])
    ]
    if item.get("specversion", "1.0") != "1.0":
        errors.append(field_error("/specversion", describe(item["specversion"]), '"1.0"'))
    if "data_base64" in item:
        errors.append(field_error("/data_base64", "data in base64", "JSON in `data`"))
    if not is_json_type(item.get("datacontenttype", "application/json")):
        errors.append(field_error("/datacontenttype", describe(item["datacontenttype"]), '"application/json"'))
    if _OWNERS_ALONE in item:
        expected = "nothing: a version is given by the entity's owner, and posted events have none"
        errors.append(field_error(f"/{_OWNERS_ALONE}", describe(item[_OWNERS_ALONE]), expected))
    extensions = {name: value for name, value in item.items() if name not in _CLOUD_FIELDS and name != _OWNERS_ALONE}
    errors += [
        field_error(f"/{_bounded(name)}", describe(value), f"an extension: {_ATTRIBUTE}, under a name of a-z and 0-9")
        for name, value in extensions.items()
        if not (_is_attribute(value) and _EXTENSION.fullmatch(name))
    ]
    time_ms = _time(item, errors)
    if errors:
        raise Refused(INVALID_RECORD, "Not a CloudEvent that can be taken.", errors)
    headers = tuple((f"ce_{name}", value.encode()) for name, value in extensions.items())
    if "dataschema" in item:
        headers += (("ce_dataschema", item["dataschema"].encode()),)
    return Envelope(
        item["data"], "/data", item["type"], None, item["id"], item["source"], item.get("subject"), time_ms, headers,
        extensions.get("partitionkey"),
    )  # fmt: skip


def is_json_type(value: Any) -> bool:
    """Whether this media type, with or without parameters, is one of JSON."""
    return isinstance(value, str) and _JSON_TYPE.fullmatch(value.partition(";")[0].strip().lower()) is not None


def is_text(value: Any) -> bool:
    """Whether the value may be an id, a key or an attribute: 1 to 255 characters."""
    return isinstance(value, str) and 0 < len(value) <= TEXT_MAX


def _is_attribute(value: Any) -> bool:
    return is_text(value) and _CONTROL.search(value) is None


def _bounded(name: str) -> str:
    return name if len(name) <= TEXT_MAX else f"{name[:TEXT_MAX]}…"


def _text_errors(item: dict[str, Any], *names: str) -> Errors:
    return [
        field_error(f"/{name}", describe(item[name]), f"text of 1 to {TEXT_MAX} characters")
        for name in names
        if name in item and not is_text(item[name])
    ]


def _time(item: dict[str, Any], errors: Errors) -> int | None:
    if "time" not in item:
        return None
    value = item["time"]
    try:
        time_ms = parse_rfc3339(value) if isinstance(value, str) else value
    except ValueError:
        time_ms = None
    if type(time_ms) is int and 0 <= time_ms <= MAX_TIME_MS:
        return time_ms
    errors.append(field_error("/time", describe(value), "RFC 3339 with an offset, or epoch milliseconds, from 1970 on"))
    return None


def _headers(value: Any, errors: Errors) -> tuple[tuple[str, bytes], ...]:
    if not isinstance(value, dict):
        errors.append(field_error("/headers", describe(value), "an object of text by name"))
        return ()
    for name, text in value.items():
        if name.lower().startswith(_RESERVED_HEADERS):
            expected = f"a name that does not begin with any of {', '.join(_RESERVED_HEADERS)}"
            errors.append(field_error(f"/headers/{name}", describe(text), expected))
        elif not isinstance(text, str):
            errors.append(field_error(f"/headers/{name}", describe(text), "text"))
    return tuple((name, text.encode()) for name, text in value.items() if isinstance(text, str))
