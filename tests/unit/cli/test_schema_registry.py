"""`atlas schemas import`: from files and from a registry, all or nothing, with the ids that there are."""

import json
import re
import shlex
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from atlas_cli.commands.operate.schemas import register
from atlas_cli.terminal.output import CommandError
from atlas_contracts.codec import Codec
from atlas_contracts.keys import GIVEN
from atlas_contracts.registry import Registry
from atlas_local.home import ROOT
from typer.testing import CliRunner

from tests.contexts import SCHEMAS
from tests.unit.cli.commands.serving import serving, serving_raw

RUNBOOK = ROOT / "docs/runbooks/bring-your-schemas.md"
ADDRESS = {"type": "record", "name": "Address", "namespace": "com.acme", "fields": [{"name": "city", "type": "string"}]}
ORDER = {
    "type": "record", "name": "OrderPlaced", "namespace": "com.acme.orders", "connect.name": "order",
    "fields": [
        {"name": "order_id", "type": {"type": "string", "avro.java.string": "String"}},
        {"name": "to", "type": "com.acme.Address"},
        {"name": "bill_to", "type": ["null", "com.acme.Address"], "default": None, "order": "ignore"},
        {"name": "amount", "type": ["null", "long", "double"], "default": None},
    ],
}  # fmt: skip
SAME = {
    "schema": json.dumps(ORDER),
    "references": [{"name": "com.acme.Address", "subject": "address", "version": 1}],
}
ORDER_2 = {**ORDER, "fields": [*ORDER["fields"], {"name": "note", "type": "string", "default": ""}]}

app = typer.Typer()
register(app)


def atlas(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["schemas", "import", *arguments])
    if isinstance(result.exception, CommandError):
        assert code == 1, result.exception
        return str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def registry(**changed: Any) -> Callable[[str, str, bytes], tuple[int, Any]]:
    """A registry with two versions of an order, which refer to an address; `changed`: other answers, by path."""
    answers: dict[str, Any] = {
        "/subjects": ["address", "orders-value", "orders-key"],
        "/subjects/orders-value/versions": [1, 2],
        "/subjects/address/versions/1": {"subject": "address", "version": 1, "id": 71, "schema": json.dumps(ADDRESS)},
    }
    for version, order in enumerate((ORDER, ORDER_2), start=1):
        answers[f"/subjects/orders-value/versions/{version}"] = {
            "subject": "orders-value", "version": version, "id": 500 + version, "schema": json.dumps(order),
            "references": [{"name": "com.acme.Address", "subject": "address", "version": 1}],
        }  # fmt: skip
    answers |= changed
    return lambda _method, path, _body: (200, answers[unquote(path)]) if unquote(path) in answers else (404, "no such")


def before(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_a_registrys_schemas_keep_their_ids(schemas: Path) -> None:
    with serving(registry()) as url:
        said = atlas(url, "--key", "order_id")
        assert "501" in said
        assert "com.acme.orders/order_placed.v2.avsc" in said
        assert "passed over: address" in said
        assert atlas(url, "--key", "order_id").startswith("nothing new")
    codec = Codec(Registry.load(schemas))
    value = {"order_id": "1", "to": {"city": "Ulm"}, "amount": {"double": 1.0}}
    framed = codec.encode_json("com.acme.orders.OrderPlaced", value)
    assert framed[:5] == b"\x00" + (502).to_bytes(4, "big")
    shown = codec.to_json(codec.decode(framed))
    assert shown == value | {"bill_to": None, "note": ""}
    assert codec.decode(b"\x00" + (501).to_bytes(4, "big") + framed[5:-1]).value["note"] == ""


def test_files_that_refer_to_each_other(schemas: Path, tmp_path: Path) -> None:
    wild = tmp_path / "wild"
    wild.mkdir()
    (wild / "a_order.avsc").write_text(json.dumps(ORDER))
    (wild / "z_address.avsc").write_text(json.dumps(ADDRESS))
    (wild / "plain.avsc").write_text(
        '{"type": "record", "name": "Plain", "fields": [{"name": "order_id", "type": "int"}]}'
    )
    found = json.loads(atlas(str(wild), "--topic", "shop.orders", "--key", "shop.orders=order_id", "--json"))
    assert sorted(found["ids"]) == ["com.acme.orders/order_placed.v1.avsc", "shop/plain.v1.avsc"]
    assert found["topics"] == ["shop.orders"]
    loaded = Registry.load(schemas)
    assert loaded.topic_of("shop.Plain").name == "shop.orders"
    assert "connect.name" in loaded.latest("com.acme.orders.OrderPlaced").text


def test_a_dry_run_writes_nothing(schemas: Path) -> None:
    as_it_was = before(schemas)
    with serving(registry()) as url:
        assert "nothing was written" in atlas(url, "--key", "order_id", "--dry-run")
    assert before(schemas) == as_it_was


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"/subjects/orders-value/versions": [1, 3], "/subjects/orders-value/versions/3": {"id": 502, **SAME}},
            "its id is 502, and",
        ),
        ({"/subjects/orders-value/versions/1": {"id": 1, "schema": json.dumps(ADDRESS)}}, "its id, 1, is that of"),
        ({"/subjects/orders-value/versions/1": {"id": 9, "schema": '"string"'}}, "an event is a record; this is 'str'"),
        ({"/subjects/orders-value/versions/1": {"id": 9, "schema": "{"}}, "orders-value v1: "),
        ({"/subjects/orders-value/versions/1": {"id": 9, "schema": json.dumps(ORDER)}}, "no type is named"),
        ({"/subjects/orders-value/versions/1": {"id": 0, "schema": "{}"}}, "expected a positive number of 32 bits"),
        ({"/subjects/orders-value/versions/1": {"id": 1, "schemaType": "JSON", "schema": "{}"}}, "JSON, not AVRO"),
        ({"/subjects/orders-value/versions/1": [1]}, "expected an object with `schema`"),
        ({"/subjects/orders-value/versions": {"a": 1}}, "expected a list of int"),
        ({"/subjects": list(range(3))}, "expected a list of str"),
        ({"/subjects": ["x" * 100] * 2_001}, "more than 2,000"),
        ({"/subjects": "x" * 5_000_000}, "more than 4,194,304 bytes"),
        (
            {"/subjects/address/versions/1": {"id": 71, "schema": json.dumps(ADDRESS), "references": [
                {"name": "com.acme.orders.OrderPlaced", "subject": "orders-value", "version": 1}]}},
            "refers to itself",
        ),
        ({"/subjects/address/versions/1": {"id": 71, "schema": json.dumps({**ADDRESS, "fields": 7})}}, "orders-value"),
        (
            {"/subjects/orders-value/versions/1": {"id": 501, "references": SAME["references"], "schema": json.dumps(
                {**ORDER, "namespace": "com.acme", "fields": [
                    {"name": "order_id", "type": "string"},
                    {"name": "to", "type": ["Address", "com.acme.Address"]}]})}},
            "/to: com.acme.Address is twice in the union, which may have each type once",
        ),
        (
            {"/subjects/address/versions/1": {"id": 71, "schema": json.dumps(
                {**ADDRESS, "fields": [{"name": "city", "type": "string", "order": "sideways"}]})}},
            "/city: the order 'sideways' is none of ascending, descending, ignore",
        ),
        (
            {"/subjects/orders-value/versions/2": {"id": 502, "schema": json.dumps(
                {**ORDER, "fields": [{"name": "order_id", "type": "string"}, {"name": "n", "type": "int"}]})}},
            "can't read what v1 wrote",
        ),
    ],
)  # fmt: skip
def test_what_can_not_come_in_is_named_and_nothing_is_written(schemas: Path, changed: Any, said: str) -> None:
    as_it_was = before(schemas)
    with serving(registry(**changed)) as url:
        assert said in atlas(url, "--key", "order_id", code=1)
    assert before(schemas) == as_it_was


def test_a_key_has_to_be_said_and_to_be_there(schemas: Path) -> None:
    with serving(registry()) as url:
        assert "orders: which field is the records' key? Say --key orders=FIELD" in atlas(url, code=1)
        assert "has no field nope" in atlas(url, "--key", "nope", code=1)


def test_a_key_may_be_a_path_or_in_no_field(schemas: Path, tmp_path: Path) -> None:
    wild = tmp_path / "changed.avsc"
    row = {"type": "record", "name": "Value", "fields": [{"name": "id", "type": "long"}]}
    sides = [{"name": name, "type": ["null", kind]} for name, kind in (("before", row), ("after", "Value"))]
    wild.write_text(json.dumps({"type": "record", "name": "shop.Changed", "fields": sides}))
    atlas(str(wild), "--topic", "shop.rows", "--key", "after.id | before.id")
    atlas(str(wild), "--topic", "shop.kept", "--key", "shop.kept=")
    topics = Registry.load(schemas).topics
    assert topics["shop.rows"].key_field("shop.Changed") == "after.id | before.id"
    assert topics["shop.kept"].key_field("shop.Changed") == GIVEN


def test_what_does_not_answer_or_is_no_address(schemas: Path) -> None:
    with serving(lambda *_: (401, "who are you")) as url:
        assert "answered 401" in atlas(url, "--key", "x", code=1)
    assert "/subjects: " in atlas(url, "--key", "x", code=1)  # nobody is there any more
    assert "credentials apart" in atlas("http://me:secret@127.0.0.1:1", code=1)
    assert "secret" not in atlas("http://me:secret@127.0.0.1:1", code=1)
    assert "Say --topic" in atlas("nowhere", code=1)
    assert "can't be read" in atlas("nowhere", "--topic", "t", code=1)


def test_versions_with_holes_keep_their_ids_and_are_said(schemas: Path) -> None:
    third = registry()("GET", "/subjects/orders-value/versions/2", b"")[1]
    holes = {"/subjects/orders-value/versions": [1, 7], "/subjects/orders-value/versions/7": third | {"version": 7}}
    with serving(registry(**holes)) as url:
        said = atlas(url, "--key", "order_id")
    assert "com/acme/orders/order_placed.v2.avsc is version 7 of the registry" in said.replace(
        "com.acme.orders", "com/acme/orders"
    )
    assert Registry.load(schemas).schema(502).version == 2


def test_every_fault_of_a_registry_is_said(schemas: Path) -> None:
    wrong = {
        "/subjects/orders-value/versions/1": {"schema": "{}", "schemaType": "PROTOBUF", "id": 1},
        "/subjects/orders-value/versions/2": {"schema": "{}", "id": -1},
    }
    with serving(registry(**wrong)) as url:
        said = atlas(url, "--key", "order_id", code=1)
    assert "orders-value v1: its type is PROTOBUF, not AVRO" in said
    assert "versions/2: id: found -1" in said
    assert before(schemas) == before(SCHEMAS)


def test_files_in_a_circle_are_named(schemas: Path, tmp_path: Path) -> None:
    wild = tmp_path / "wild"
    wild.mkdir()
    for one, others in (("A", ["B", "Dead"]), ("B", ["x.A"]), ("Dead", ["x.Nobody"])):
        fields = [{"name": f"f{number}", "type": other} for number, other in enumerate(others)]
        record = {"type": "record", "name": one, "namespace": "x", "fields": fields}
        (wild / f"{one.lower()}.avsc").write_text(json.dumps(record))
    said = atlas(str(wild), "--topic", "x.events", "--key", "it", code=1)
    assert "a.avsc → b.avsc → a.avsc: these files refer to each other in a circle" in " ".join(said.split())


def test_an_import_that_was_cut_off_is_repaired_by_the_next(schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are there, the lock is the old one: what a crash between the two leaves."""
    lock = (schemas / "ids.lock").read_text()
    with serving(registry()) as url:
        atlas(url, "--key", "order_id")
        whole = before(schemas)
        for left in ("ids.lock", "topics.yaml"):
            (schemas / "ids.lock").write_text(lock)
            if left == "topics.yaml":
                shutil.copyfile(SCHEMAS / "topics.yaml", schemas / "topics.yaml")
            atlas(url, "--key", "order_id")
            assert before(schemas) == whole


def test_credentials_go_to_nobody_in_the_clear(schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_REGISTRY_AUTH", "user:secret-word")
    said = atlas("http://registry.example.org", code=1)
    assert said == "http://registry.example.org: credentials go over https only, or to this machine"
    monkeypatch.setenv("ATLAS_REGISTRY_AUTH", "user:gehe:im-日本")
    logins: list[str | None] = []
    with serving(registry(), logins) as url:
        atlas(url, "--key", "order_id")
    assert set(logins) == {"Basic " + b64encode("user:gehe:im-日本".encode()).decode()}


@pytest.mark.parametrize(("status", "body", "says"), [(302, b"{}", "answered 302"), (200, b"<html>", "is not JSON")])
def test_an_answer_of_something_else_is_said(schemas: Path, status: int, body: bytes, says: str) -> None:
    with serving_raw(body, status) as url:
        assert says in atlas(url, "--key", "order_id", code=1)
    assert before(schemas) == before(SCHEMAS)


def test_a_registry_that_never_answers_ends_in_time(schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from atlas_cli import schema_registry

    monkeypatch.setattr(schema_registry, "TIMEOUT_S", 0.2)
    with serving_raw(b"", silent=True) as url:
        assert "/subjects" in atlas(url, "--key", "order_id", code=1)


@pytest.mark.parametrize("url", ["http://[bad:secret-word@x", "http://h/?apikey=secret-word", "http://h/#secret-word"])
def test_an_address_that_is_none_is_refused_without_its_secret(schemas: Path, url: str) -> None:
    said = atlas(url, "--key", "order_id", code=1)
    assert "expected http(s)://HOST" in said
    assert "secret-word" not in said


def test_what_a_registry_refuses_is_said_of_each_version(schemas: Path) -> None:
    """In the words of its own API; who may not ask is told once."""
    gone = {"error_code": 40402, "message": "Version not found"}

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        return (404, gone) if "/orders-value/versions/" in path else registry()(method, path, body)

    with serving(answer) as url:
        said = atlas(url, "--key", "order_id", code=1)
    assert said.count("answered 404 40402: Version not found") == 2
    with serving(lambda *_: (403, {"error_code": 403, "message": "no"})) as url:
        assert atlas(url, "--subject", "orders-value", "--key", "x", code=1).count("answered 403") == 1


def test_a_subject_that_is_asked_for_needs_no_list_of_all(schemas: Path) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        return (500, "too many") if path == "/subjects" else registry()(method, path, body)

    with serving(answer) as url:
        assert "501" in atlas(url, "--subject", "orders-value", "--key", "order_id")
        assert "nobody-value/versions: answered 404" in atlas(url, "--subject", "nobody-value", "--key", "x", code=1)


def test_references_of_several_levels(schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order refers to an address, which refers to a country: each with its own version."""
    country = {
        "type": "record",
        "name": "Country",
        "namespace": "com.acme",
        "fields": [{"name": "code", "type": "string"}],
    }
    address = {**ADDRESS, "fields": [*ADDRESS["fields"], {"name": "country", "type": "com.acme.Country"}]}
    order = {**ORDER, "fields": [*ORDER["fields"], {"name": "sold_in", "type": "com.acme.Country"}]}
    to_country = {"name": "com.acme.Country", "subject": "country", "version": 4}
    to_address = {"name": "com.acme.Address", "subject": "address", "version": 1}
    changed = {
        "/subjects/orders-value/versions": [1],
        "/subjects/country/versions/4": {"id": 9, "schema": json.dumps(country)},
        "/subjects/address/versions/1": {"id": 71, "schema": json.dumps(address), "references": [to_country]},
        "/subjects/orders-value/versions/1": {
            "id": 501, "schema": json.dumps(order), "references": [to_country, to_address],
        },
    }  # fmt: skip
    with serving(registry(**changed)) as url:
        with monkeypatch.context() as patch:
            patch.setenv("ATLAS_REGISTRY_REFERENCES_MAX", "1")
            wanted = "more than 1 references behind orders-value v1; raise ATLAS_REGISTRY_REFERENCES_MAX"
            assert atlas(url, "--key", "order_id", code=1) == f"{url.rstrip('/')}: {wanted}"
        monkeypatch.setenv("ATLAS_REGISTRY_REFERENCES_MAX", "2")
        atlas(url, "--key", "order_id")
    codec = Codec(Registry.load(schemas))
    to = {"city": "Bern", "country": {"code": "CH"}}
    value = {"order_id": "o1", "to": to, "bill_to": None, "amount": None, "sold_in": {"code": "CH"}}
    event = codec.decode(codec.encode("com.acme.orders.OrderPlaced", value))
    assert event.value["to"]["country"] == {"code": "CH"}


TO_ADDRESS = {"name": "com.acme.Address", "subject": "address", "version": 1}


@pytest.mark.parametrize(
    ("references", "found"),
    [
        ([TO_ADDRESS | {"name": "com.acme.Adress"}], "'com.acme.Adress'"),
        ([TO_ADDRESS | {"name": "com.acme.orders.Address"}], "'com.acme.orders.Address'"),
        ([{"subject": "address", "version": 1}], "nothing"),
        ([TO_ADDRESS | {"name": None}], "nothing"),
        ([TO_ADDRESS | {"name": ["com.acme.Address"]}], "\"['com.acme.Address']\""),
        ([TO_ADDRESS, TO_ADDRESS | {"name": "other"}], "'other'"),
    ],
)
def test_a_reference_to_another_type_than_it_names_is_refused(schemas: Path, references: Any, found: str) -> None:
    """The line says who refers."""
    as_it_was = before(schemas)
    one = {"id": 501, "schema": json.dumps(ORDER), "references": references}
    with serving(registry(**{"/subjects/orders-value/versions/1": one})) as url:
        told = atlas(url, "--key", "order_id", code=1)
    wanted = f"orders-value v1: a reference's name: found {found}, expected com.acme.Address, as address v1 has"
    assert told == f"{url.rstrip('/')}: {wanted}"
    assert before(schemas) == as_it_was


def test_the_reference_of_a_type_that_is_referred_to_is_named_with_that_type(schemas: Path) -> None:
    country = {"type": "enum", "name": "com.acme.Country", "symbols": ["CH"]}
    to_country = {"name": "com.acme.Land", "subject": "country", "version": 4}
    changed = {
        "/subjects/country/versions/4": {"id": 9, "schema": json.dumps(country)},
        "/subjects/address/versions/1": {"id": 71, "schema": json.dumps(ADDRESS), "references": [to_country]},
    }
    with serving(registry(**changed)) as url:
        told = atlas(url, "--key", "order_id", code=1)
    assert "address v1: a reference's name: found 'com.acme.Land', expected com.acme.Country, as country v4" in told


def test_a_reference_may_name_its_type_without_the_namespace(schemas: Path) -> None:
    """Registries take what stands in the schema that refers."""
    changed = {
        f"/subjects/orders-value/versions/{version}": {
            "id": 500 + version, "schema": json.dumps(order), "references": [TO_ADDRESS | {"name": "Address"}],
        }
        for version, order in enumerate((ORDER, ORDER_2), start=1)
    }  # fmt: skip
    with serving(registry(**changed)) as url:
        assert "501" in atlas(url, "--key", "order_id")


@pytest.mark.parametrize(
    ("setting", "most", "said"),
    [
        ("SUBJECTS_MAX", "2", "/subjects: 3 entries, more than 2; raise ATLAS_REGISTRY_SUBJECTS_MAX, or say --subject"),
        (
            "VERSIONS_MAX", "1",
            "/subjects/orders-value/versions: 2 entries, more than 1; raise ATLAS_REGISTRY_VERSIONS_MAX",
        ),
        (
            "ANSWERS_MAX_BYTES", "1000",
            ": answers of more than 1,000 bytes; raise ATLAS_REGISTRY_ANSWERS_MAX_BYTES, or say --subject",
        ),
        ("OVERALL_S", "1e-9", ": not done within 1e-09 s; raise ATLAS_REGISTRY_OVERALL_S, or say --subject"),
    ],
)  # fmt: skip
def test_an_error_of_a_limit_says_the_limit_and_how_to_raise_it(
    schemas: Path, monkeypatch: pytest.MonkeyPatch, setting: str, most: str, said: str
) -> None:
    as_it_was = before(schemas)
    with serving(registry()) as url:
        with monkeypatch.context() as patch:
            patch.setenv(f"ATLAS_REGISTRY_{setting}", most)
            assert atlas(url, "--key", "order_id", code=1) == url.rstrip("/") + said
        assert before(schemas) == as_it_was
        monkeypatch.setenv(f"ATLAS_REGISTRY_{setting}", "1000000")
        assert "501" in atlas(url, "--key", "order_id")


def test_an_answer_that_is_too_large_is_refused(schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atlas_cli.schema_registry.ANSWER_MAX_BYTES", 100)
    with serving(registry()) as url:
        assert atlas(url, "--key", "order_id", code=1).endswith(": an answer of more than 100 bytes")


def test_more_subjects_than_ordinary_come_in_when_that_is_said(schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = ["orders-value", *(f"team-{number}" for number in range(4_999))]
    with serving(registry(**{"/subjects": subjects})) as url:
        assert "5,000 entries, more than 2,000" in atlas(url, "--key", "order_id", code=1)
        monkeypatch.setenv("ATLAS_REGISTRY_SUBJECTS_MAX", "5000")
        assert len(json.loads(atlas(url, "--key", "order_id", "--json"))["passed_over"]) == 4_999


def test_references_without_end_are_refused_before_the_stack_ends(
    schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_REGISTRY_REFERENCES_MAX", "1000000")
    ordinary = registry()

    def answer(method: str, path: str, body: bytes) -> tuple[int, Any]:
        subject, _, version = path.removeprefix("/subjects/").partition("/versions/")
        if subject != "address" or not version:
            return ordinary(method, path, body)
        reference = TO_ADDRESS | {"version": int(version) + 1}
        return 200, {"id": int(version), "schema": json.dumps(ADDRESS), "references": [reference]}

    with serving(answer) as url:
        assert "orders-value v1: references nested deeper than 104" in atlas(url, "--key", "order_id", code=1)


def test_schemas_that_nobody_refers_to_do_not_count_as_references(
    schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATLAS_REGISTRY_SUBJECTS_MAX", "3")
    monkeypatch.setenv("ATLAS_REGISTRY_REFERENCES_MAX", "1")
    place = "/subjects/orders-value/versions"
    changed: dict[str, Any] = {place: list(range(1, 9))}
    for version in changed[place]:
        order = {**ORDER, "doc": f"Number {version}."}
        entry = {"id": 500 + version, "schema": json.dumps(order), "references": [TO_ADDRESS]}
        changed[f"{place}/{version}"] = entry
    with serving(registry(**changed)) as url:
        assert len(json.loads(atlas(url, "--key", "order_id", "--json"))["ids"]) == 8


def test_what_was_deleted_at_the_registry_is_not_asked_for(schemas: Path) -> None:
    """A version that was deleted softly is not in the list; one that another schema refers to is still answered."""
    listed = {"/subjects": ["orders-value"], "/subjects/orders-value/versions": [2]}
    with serving(registry(**listed)) as url:
        told = atlas(url, "--key", "order_id")
    assert "version 2 of the registry" in told
    assert [schema.id for schema in Registry.load(schemas).versions("com.acme.orders.OrderPlaced")] == [502]


def test_files_may_name_shared_types_that_are_there(schemas: Path, tmp_path: Path) -> None:
    money = {"type": "record", "name": "Money", "namespace": "shop", "fields": [{"name": "cents", "type": "long"}]}
    (schemas / "shop/types").mkdir(parents=True)
    (schemas / "shop/types/Money.v1.avsc").write_text(json.dumps(money))
    wild = tmp_path / "sold.avsc"
    fields = [{"name": "sale_id", "type": "string"}, {"name": "price", "type": "shop.Money"}]
    wild.write_text(json.dumps({"type": "record", "name": "shop.Sold", "fields": fields}))
    atlas(str(wild), "--topic", "shop.sales", "--key", "sale_id")
    codec = Codec(Registry.load(schemas))
    assert codec.decode(codec.encode("shop.Sold", {"sale_id": "s1", "price": {"cents": 5}})).value["price"] == {
        "cents": 5
    }
    wild.write_text(json.dumps({"type": "record", "name": "shop.Odd", "fields": [{"name": "a", "type": "shop.Nope"}]}))
    assert "no type is named shop.Nope" in atlas(str(wild), "--topic", "shop.odd", "--key", "a", code=1)


def of_one(subject: str, number: int, definition: dict[str, Any]) -> Callable[[str, str, bytes], tuple[int, Any]]:
    """A registry with one subject."""
    place = f"/subjects/{subject}/versions"
    entry = {"id": number, "schema": json.dumps(definition)}
    return registry(**{"/subjects": [subject], place: [1], f"{place}/1": entry})


def test_the_runbook_works_as_written(schemas: Path, tmp_path: Path) -> None:
    text = RUNBOOK.read_text()
    row = {"type": "record", "name": "Value", "fields": [{"name": "id", "type": "long"}]}
    sides = [
        {"name": name, "type": ["null", kind], "default": None} for name, kind in (("before", row), ("after", "Value"))
    ]
    envelope = {"type": "record", "namespace": "dbserver.inventory.orders", "name": "Envelope", "fields": sides}
    table = "io.confluent.ksql.avro_schemas.KsqlDataSourceSchema"
    views = {"type": "record", "name": table, "fields": [{"name": "N", "type": ["null", "long"]}]}
    registries = {
        "orders=order_id --dry-run": registry(),
        "before.id'": of_one("dbserver.inventory.orders-value", 900, envelope),
        "PAGEVIEWS=": of_one("PAGEVIEWS-value", 901, views),
    }
    (tmp_path / "path/to/avro").mkdir(parents=True)
    placed = {"type": "record", "name": "Placed", "fields": [{"name": "order_id", "type": "string"}]}
    (tmp_path / "path/to/avro/placed.avsc").write_text(json.dumps(placed))
    commands = [line.strip() for line in text.splitlines() if line.startswith("    atlas schemas import ")]
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)[3:]
        if not words[0].startswith("https://"):
            atlas(*words)
            continue
        (answers,) = (answers for end, answers in registries.items() if command.endswith(end))
        with serving(answers) as url:
            atlas(url, *words[1:])
    (money,) = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (schemas / "shop/types").mkdir()
    (schemas / "shop/types/Money.v1.avsc").write_text(money)
    fields = [{"name": "order_id", "type": "string"}, {"name": "price", "type": "Money"}]
    priced = {"type": "record", "namespace": "shop", "name": "Priced", "fields": fields}
    (schemas / "shop/priced.v1.avsc").write_text(json.dumps(priced))
    declared = schemas / "topics.yaml"
    declared.write_text(declared.read_text().replace('["shop.Placed"]', '["shop.Placed", "shop.Priced"]'))
    result = CliRunner().invoke(app, ["schemas", "add", "schemas/shop/priced.v1.avsc"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    topics = Registry.load(schemas).topics
    assert topics["dbserver.inventory.orders"].events == ("dbserver.inventory.orders.Envelope",)
    assert topics["PAGEVIEWS"].events == (table,), "the only one of this name"
    assert "orders" not in topics, "that was a dry run"
    listed = CliRunner().invoke(app, ["schemas", "list", "--json"], catch_exceptions=False).stdout
    (row_of,) = (each for each in json.loads(listed) if each["type"] == "shop.Priced")
    assert row_of["types"] == "shop/types/Money.v1.avsc"


def test_how_far_it_is_is_said(schemas: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atlas_cli.terminal.output._LINE_EVERY_S", 0.0)
    with serving(registry()) as url:
        assert "subject 2 of 3: orders-key" in atlas(url, "--key", "order_id")
