"""No secret and no value of a user's comes through the log, whatever it is part of."""

import io
import json
import time
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
import structlog
from atlas_contracts.errors import FieldError, InvalidEvent
from atlas_contracts.values.scalars import describe as shown
from atlas_errors.policy import Poison, describe
from atlas_runtime.observing import logs
from atlas_runtime.observing.safe_text import TEXT_MAX, mask, of_error, safe, told, without_secrets
from atlas_runtime.settings import ServiceSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Long enough that our own words do not hold it by chance.
VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=8, max_size=30
).map(lambda text: "§" + text + "§")
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-._~+/", min_size=12, max_size=40).map("Q9z".__add__)


def refusals(value: str) -> list[BaseException]:
    """Errors that our own code and PostgreSQL raise over a value."""
    unique = asyncpg.UniqueViolationError("duplicate key value violates unique constraint")
    unique.detail = f"Key (email)=({value}) already exists."
    row = asyncpg.NotNullViolationError("null value in column violates not-null constraint")
    row.detail = f"Failing row contains (1, {value}, null)."
    return [
        InvalidEvent("yards.YardAdded", [FieldError("/email", shown(value), "a string"), FieldError("", "null", "x")]),
        Poison(f"email: expected a short one, found {value!r}"),
        ValueError(f"column email: too long, found {value!a}"),
        ValueError(f"invalid literal for int() with base 10: {value!r}"),
        KeyError(value),
        unique,
        row,
        asyncpg.DataError(f"invalid input for query argument $1: {value!r} (expected an integer)"),
        asyncpg.InvalidTextRepresentationError(f'invalid input syntax for type uuid: "{value}"'),
    ]


@pytest.fixture
def stream() -> Any:
    class Settings(ServiceSettings):
        service: str = "unit"
        http_port: int = 0

    written = io.StringIO()
    logs.configure(Settings(log_format="json"), written)
    yield written
    logs.shutdown()
    structlog.reset_defaults()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(VALUES)
def test_no_value_of_an_event_comes_through(stream: io.StringIO, value: str) -> None:
    log = structlog.get_logger(value.encode().hex())
    for error in refusals(value):
        log.warning("refused", error=describe(error), reason=str(error), errors=[describe(error)])
        try:
            try:
                raise error
            except BaseException as first:
                raise RuntimeError("not applied") from first
        except RuntimeError:
            log.exception("crashed")
        log.error(
            "in a group", exc_info=ExceptionGroup("several", [error if isinstance(error, Exception) else OSError()])
        )
    log.info(
        "kept",
        value=value,
        payload={"a": value},
        row=[value],
        body=value.encode(),
        blob=value.encode(),
        headers=[value],
    )
    out = "".join(json.dumps(json.loads(line), ensure_ascii=False) for line in stream.getvalue().splitlines())
    stream.truncate(0)
    stream.seek(0)
    assert out
    for form in (
        value,
        ascii(value)[1:-1],
        json.dumps(value)[1:-1],
        repr(value)[1:-1],
        value.encode().decode("latin-1"),
    ):
        assert form not in out
        assert form[2:-1] not in out, "a part of it"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(TOKENS)
def test_no_secret_comes_through(stream: io.StringIO, token: str) -> None:
    password = quote(token, safe="")
    texts = [
        f"postgresql://atlas:{password}@127.0.0.1:5432/atlas",
        f"can't reach redis://:{password}@h:6379/0 nor kafka://u:{password}@h",
        f"Authorization: Bearer {token}",
        f"headers {{'authorization': 'Basic {token}', 'accept': '*/*'}}",
        f"Cookie: session={token}; theme=dark",
        f"host=db user=atlas password={password} dbname=atlas",
        f"https://h/path?access_token={password}&x=1",
        json.dumps({"api_key": token, "secret": token}),
    ]
    log = structlog.get_logger()
    for number, text in enumerate(texts):
        log.error(text, text=text, nested={"list": [text], "password": token, "x-api-key": token}, number=number)
        log.error("raised", exc_info=OSError(text), number=number)
    out = stream.getvalue()
    stream.truncate(0)
    stream.seek(0)
    assert token not in out
    assert password not in out


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@q@h/d", "postgresql://u:***@h/d"),
        ("redis://:p@h:6379/0", "redis://:***@h:6379/0"),
        ("http://h:80/a@b", "http://h:80/a@b"),
        ("a postgresql://u:p@h and redis://:q@i", "a postgresql://u:***@h and redis://:***@i"),
        ("no url: x@y", "no url: x@y"),
    ],
)
def test_mask(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "KafkaConnectionError: no broker of 127.0.0.1:9092 answers",
        "FileNotFoundError: [Errno 2] No such file or directory: 'schemas/topics.yaml'",
        'UndefinedTableError: relation "readmodel.yards" does not exist',
        "AttributeError: 'NoneType' object has no attribute 'row'",
        "topic bookings.events was found again",
        "TimeoutError",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert of_error(text) == text
    assert without_secrets(text) == text


def test_the_field_is_named_though_its_value_is_not() -> None:
    error = InvalidEvent("yards.YardAdded", [FieldError("/email", '"a@b" (string)', "a number")])
    assert of_error(describe(error)) == "InvalidEvent: yards.YardAdded: /email: found …"


def test_a_long_text_is_cut_between_words_and_takes_no_time() -> None:
    begun = time.process_time()
    for part in ("a", "found ", ": '", "://a:", "input_value=", "token=", "bearer  ", "cookie", "\u00e9", "a:b@", " "):
        assert len(of_error(part * 1_000_000)) <= 2 * TEXT_MAX
    assert time.process_time() - begun < 5, "some pattern goes back and forth"
    assert of_error("x " * 1999 + "postgresql://u:hunter2@h") == "x " * 1998 + "x…"
    assert of_error(f"bad: '{'v' * 5000}'") == "bad:…"


def test_a_field_by_its_name() -> None:
    assert safe("password", 5) == "***"
    assert safe("rows", 5) == 5
    assert safe("payload", "x") == "…"
    assert safe("duration_s", 0.5) == 0.5
    assert safe("deep", [[[[[[[[[[[[1]]]]]]]]]]]]) == [[[[[[[[[["…"]]]]]]]]]]


def test_an_error_that_is_its_own_cause_ends() -> None:
    error = ValueError("a")
    error.__context__ = other = KeyError("b")
    other.__context__ = error
    assert told(error).splitlines() == [
        "KeyError: '…'",
        "During handling of the above exception, another exception occurred:",
        "ValueError: a",
    ]


def test_an_error_that_cannot_say_what_it_is() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert told(OddError()).endswith("OddError: <RuntimeError>")
