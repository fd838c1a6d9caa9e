"""What is worth a word and no fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atlas_contracts.checks import add, check
from atlas_contracts.evolution.cautions import cautions

V1, V2, V3 = (f"shop/order_placed.v{version}.avsc" for version in (1, 2, 3))
MONEY = "shop/types/Money.v1.avsc"
Write = Callable[..., dict[str, Any]]


def put_money(folder: Path, version: int) -> str:
    path = MONEY.replace("v1", f"v{version}")
    (folder / path).parent.mkdir(exist_ok=True)
    fields = [{"name": f"f{number}", "type": "int", "default": 0} for number in range(version)]
    (folder / path).write_text(json.dumps({"type": "record", "name": "shop.Money", "fields": fields}))
    return path


def test_a_sound_folder_has_none(folder: Path, new_version: Write) -> None:
    new_version()
    assert cautions(folder) == []


def test_another_form_of_json_is_told_of_the_newest_version_or_of_all_that_are_new(
    folder: Path, new_version: Write
) -> None:
    new_version(2, note={"type": ["null", "string", "bytes"], "default": None})
    add(folder, V2)
    (told,) = cautions(folder)
    assert told.startswith(f"{V2}: /note: its values were given out plain, and are now with their type's name")
    new_version(3, more={"type": "int", "default": 0})
    assert cautions(folder) == []
    assert cautions(folder, {V1}) == [told]
    assert cautions(folder, {V1, V2}) == []


def test_a_shared_type_that_changes_it_is_told_by_the_event(folder: Path, new_version: Write) -> None:
    put_money(folder, 1)
    new_version(2, price={"type": "Money", "default": {}})
    add(folder, V2)
    path = put_money(folder, 2)
    definition = json.loads((folder / path).read_text())
    definition["fields"][0]["type"] = ["int", "long"]
    (folder / path).write_text(json.dumps(definition))
    new_version(3)
    (told,) = cautions(folder)
    assert told.startswith(f"{V3}: /price/f0: its values were given out plain")


def test_a_shared_type_that_no_event_names_is_told_with_those_that_could(folder: Path, new_version: Write) -> None:
    put_money(folder, 1)
    assert cautions(folder) == [f"{MONEY}: no event names it"]
    new_version(2, price={"type": "Money", "default": {}})
    add(folder, V2)
    assert cautions(folder) == []
    later = put_money(folder, 2)
    assert cautions(folder) == [f"{later}: no event names it; a new version of {V2} takes it"]
    assert check(folder) == []


def test_what_has_faults_is_left_to_the_check(folder: Path) -> None:
    (folder / "shop/bad.v1.avsc").write_text("{")
    assert cautions(folder) == []
    (folder / "ids.lock").write_text("{")
    assert cautions(folder) == []
