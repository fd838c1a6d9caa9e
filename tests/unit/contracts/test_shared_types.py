"""Types in files of their own: found, held to their names, written into the events that name them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atlas_avro.names import NotASchema
from atlas_contracts.checks import add, check
from atlas_contracts.codec import Codec
from atlas_contracts.errors import BrokenSchemas
from atlas_contracts.folder import read_lock
from atlas_contracts.registry import Registry
from atlas_contracts.shared_types import SharedTypes, is_type_path, match_name, type_paths

V1, V2, V3 = (f"shop/order_placed.v{version}.avsc" for version in (1, 2, 3))
Write = Callable[..., dict[str, Any]]


def put(folder: Path, path: str, definition: Any) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(definition if isinstance(definition, str) else json.dumps(definition))


def record(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": field, "type": of} for field, of in fields.items()]}


def money(version: int = 1) -> dict[str, Any]:
    """Each version has a field more."""
    made = record("shop.Money", amount="long")
    made["fields"] += [{"name": f"since{number}", "type": "int", "default": 0} for number in range(2, version + 1)]
    return made


MONEY = "shop/types/Money.v1.avsc"


def test_places_and_names() -> None:
    assert match_name("a.b/types/Money.v12.avsc") == "a.b.Money"
    assert match_name("types/Money.v1.avsc") == "Money"
    assert match_name("shop/order_placed.v1.avsc") == ""
    assert is_type_path("shop/types/anything.avsc")
    assert not is_type_path("shop.types/order_placed.v1.avsc")


def test_an_event_that_names_a_shared_type_is_released_with_it(folder: Path, new_version: Write) -> None:
    put(folder, MONEY, money())
    new_version(price={"type": "shop.Money", "default": {"amount": 0}})
    assert type_paths(folder) == [MONEY]
    assert add(folder, V2) == 2
    assert check(folder) == []
    schema = Registry.load(folder).schema(2)
    assert json.loads(schema.text)["fields"][-1]["type"] == money()
    assert schema.parsed["fields"][-1]["type"] == money()
    locked = read_lock(folder)[V2]
    assert locked.types == {MONEY: SharedTypes.read(folder).files[MONEY].sha256}
    assert read_lock(folder)[V1].types == {}


def test_events_are_written_and_read_whatever_version_of_a_type_they_have(folder: Path, new_version: Write) -> None:
    put(folder, MONEY, money())
    new_version(2, price={"type": "Money", "default": {"amount": 7}})
    add(folder, V2)
    order = {"order_id": "a", "lines": [], "placed_at": 0, "price": {"amount": 1}}
    framed = Codec(Registry.load(folder)).encode_json("shop.OrderPlaced", order)
    put(folder, "shop/types/Money.v2.avsc", money(2))
    new_version(3)
    add(folder, V3)
    codec = Codec(Registry.load(folder))
    assert codec.decode(framed).value["price"] == {"amount": 1, "since2": 0}
    newest = codec.encode_json("shop.OrderPlaced", {**order, "price": {"amount": 1, "since2": 5}})
    assert codec.to_json(codec.decode(newest))["price"] == {"amount": 1, "since2": 5}


def test_a_later_version_of_a_type_is_nothing_to_what_is_released(folder: Path, new_version: Write) -> None:
    put(folder, MONEY, money())
    new_version(2, price={"type": "Money", "default": {"amount": 0}})
    add(folder, V2)
    before = Registry.load(folder).schema(2)
    put(folder, "shop/types/Money.v2.avsc", money(2))
    assert check(folder) == []
    assert Registry.load(folder).schema(2) == before
    new_version(3)
    add(folder, V3)
    assert check(folder) == []
    assert Registry.load(folder).schema(3).parsed["fields"][-1]["type"] == money(2)


def test_a_version_that_does_not_read_the_older_is_refused_with_its_file_and_every_event(
    folder: Path, new_version: Write
) -> None:
    put(folder, MONEY, money())
    new_version(2, price={"type": "Money", "default": {"amount": 0}})
    add(folder, V2)
    put(folder, "shop/types/Money.v2.avsc", record("shop.Money", amount="string"))
    assert check(folder) == [
        "shop/types/Money.v2.avsc: can't read what v1 wrote: /amount: long was written, and string can't read it"
        f" (it is part of {V2})"
    ]
    new_version(3)
    with pytest.raises(BrokenSchemas, match=rf"{V3}: can't read what v2 wrote: /price/amount: long was written"):
        add(folder, V3)


def test_an_edited_or_removed_type_is_told_with_every_event(folder: Path, new_version: Write) -> None:
    put(folder, MONEY, money())
    new_version(2, price={"type": "Money", "default": {"amount": 0}})
    add(folder, V2)
    new_version(3)
    add(folder, V3)
    for edited in (money(2), "{"):
        put(folder, MONEY, edited)
        told = f"{MONEY}: edited after it was released in {V2}, {V3}; put it back and add a new version of it instead"
        assert told in check(folder)
        with pytest.raises(BrokenSchemas, match="edited after it was released in"):
            Registry.load(folder)
    (folder / MONEY).unlink()
    told = f"{MONEY}: removed; old events need it, and these are made of it: {V2}, {V3}"
    assert check(folder) == [told]
    with pytest.raises(BrokenSchemas) as raised:
        Registry.load(folder)
    assert raised.value.faults == (told,)
    put(folder, MONEY, json.dumps(money(), indent=7))
    assert check(folder) == [], "its layout may change"


def test_a_type_without_a_namespace_may_be_named_in_all(folder: Path, new_version: Write) -> None:
    put(folder, "types/Hash.v1.avsc", {"type": "fixed", "name": "Hash", "size": 1})
    inner = record("other.In", hash="Hash")
    new_version(hash={"type": "Hash", "default": "x"}, inner={"type": inner, "default": {"hash": "y"}})
    add(folder, V2)
    parsed = Registry.load(folder).schema(2).parsed
    assert parsed["fields"][-2]["type"] == {"type": "fixed", "name": "Hash", "namespace": "", "size": 1}
    assert parsed["fields"][-1]["type"]["fields"][0]["type"] == "Hash"


def test_a_type_that_the_event_has_itself_goes_first(folder: Path, new_version: Write) -> None:
    put(folder, MONEY, money(3))
    new_version(price={"type": money(), "default": {"amount": 0}})
    add(folder, V2)
    assert read_lock(folder)[V2].types == {}


def hold(folder: Path, *names: str) -> None:
    """Types each of which holds the next."""
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        put(folder, f"shop/types/{name}.v1.avsc", record(f"shop.{name}", next=["null", other]))


def test_types_that_hold_each_other_belong_in_one_file(folder: Path, new_version: Write) -> None:
    hold(folder, "A", "B")
    new_version(a={"type": ["null", "A"], "default": None})
    ring = "shop.A (shop/types/A.v1.avsc) → shop.B (shop/types/B.v1.avsc) → shop.A (shop/types/A.v1.avsc)"
    faults = check(folder)
    assert f"{V2}: not an Avro schema: {ring}: types that hold each other belong in one file" in faults
    assert any(fault.startswith("shop/types/A.v1.avsc: ") for fault in faults)
    assert any(fault.startswith("shop/types/B.v1.avsc: ") for fault in faults)


def test_a_type_may_hold_itself(folder: Path, new_version: Write) -> None:
    hold(folder, "Tree")
    new_version(tree={"type": ["null", "Tree"], "default": None})
    add(folder, V2)
    assert check(folder) == []


@pytest.mark.parametrize(
    ("path", "definition", "fault"),
    [
        ("shop/types/money.avsc", money(), r"money\.avsc: not named \[<namespace>/\]types/<Name>\.v<N>\.avsc"),
        ("shop/types/deep/Money.v1.avsc", money(), "Money.v1.avsc: not named"),
        ("shop/types/Price.v1.avsc", money(), "holds shop.Money, and its path says shop.Price"),
        ("other/types/Money.v1.avsc", money(), "holds shop.Money, and its path says other.Money"),
        (MONEY, {**money(), "name": "Money"}, "holds Money, and its path says shop.Money"),
        (MONEY, "{", "can't be read"),
        (MONEY, ["null", "int"], "a shared type is a record, an enum or a fixed"),
        (MONEY, {"type": "array", "items": "int"}, "a shared type is a record, an enum or a fixed"),
        (MONEY, record("shop.Money", amount=[]), "/amount: a union without branches"),
        (MONEY, record("shop.Money", amount="Nope"),
         r"/amount: no type is named shop\.Nope in this file, and there is no shop/types/Nope\.v1\.avsc"),
        ("shop/types/Money.v2.avsc", money(), "the versions of shop.Money are not 1 to 2: one is missing"),
        ("shop/types/OrderPlaced.v1.avsc", record("shop.OrderPlaced"), f"shop.OrderPlaced is an event, of {V1}"),
        (MONEY, {**money(), "fields": [{"name": "a", "type": "int", "default": "x"}]}, "a default does not fit"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_type_is_told_with_its_file(folder: Path, path: str, definition: Any, fault: str) -> None:
    put(folder, path, definition)
    faults = check(folder)
    assert faults
    assert all(line.startswith(path) for line in faults), faults
    assert re.search(fault, faults[0])
    if "an event" not in fault and "default" not in fault:
        with pytest.raises(BrokenSchemas, match=fault):
            Registry.load(folder)


def test_an_event_that_names_what_is_not_there_says_where_it_is_looked_for(folder: Path, new_version: Write) -> None:
    new_version(price={"type": ["null", "Money"], "default": None})
    with pytest.raises(BrokenSchemas) as raised:
        add(folder, V2)
    assert raised.value.faults == (
        f"{V2}: not an Avro schema: /price: no type is named shop.Money in this file, and there is no {MONEY}",
    )
    put(folder, MONEY, "{")
    with pytest.raises(BrokenSchemas, match=f"/price: no type is named shop.Money: {MONEY} has faults"):
        add(folder, V2)


def test_a_union_may_not_have_a_type_twice_once_it_is_written_in(folder: Path, new_version: Write) -> None:
    put(folder, MONEY, money())
    new_version(price={"type": ["null", "Money", "shop.Money"], "default": None})
    with pytest.raises(BrokenSchemas, match=r"/price: shop\.Money is twice in the union"):
        add(folder, V2)


def test_a_shared_type_has_no_id(folder: Path) -> None:
    put(folder, MONEY, money())
    with pytest.raises(BrokenSchemas, match="a shared type has no id: it comes with the events that name it"):
        add(folder, MONEY)


def test_resolving_leaves_what_it_is_given_as_it_is(folder: Path) -> None:
    put(folder, MONEY, money())
    types = SharedTypes.read(folder)
    event = record("shop.R", price="Money")
    before = json.dumps(event)
    assert types.resolve(event).definition["fields"][0]["type"] == money()
    assert json.dumps(event) == before
    with pytest.raises(NotASchema, match=r"no type is named shop\.Money in this file, and there is no"):
        types.resolve(event, ["shop/types/Money.v7.avsc"])
