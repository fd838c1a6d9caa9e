"""Random pairs of schema versions, judged by us and by Apache Avro's own library, and old values read by both.

    python -m tests.conformance.pairs --pairs 10000 --seed 1      prints one JSON summary

What we accept, its SchemaCompatibility accepts, and its resolving reader reads every old value to the same. Where the
two differ, the difference has one of the reasons below, and is counted; any other is an error.
"""

import copy
import dataclasses
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from atlas_avro.names import parse
from atlas_contracts.evolution.compatibility import Incompatibility, incompatibilities
from atlas_contracts.evolution.resolution import aliases, kind_of, named_types
from atlas_contracts.forms import form_faults
from atlas_contracts.reading.binary_reader import Reader, compile_reader
from atlas_contracts.reading.branch_reader import compile_branch_reader
from atlas_contracts.reading.resolving_reader import compile_resolving_reader

from tests.conformance.avro_java import AvroJava, Refused, java_or_exit
from tests.conformance.evolution import evolved
from tests.conformance.schemas import Maker, spelled
from tests.conformance.values import Endless, Values, comparable
from tests.options import options

VALUES_A_PAIR = 3
UNEXPLAINED_SHOWN = 5
# What we refuse though SchemaCompatibility accepts it, and why.
STRICTER = {
    "bytes are not read as text": r"bytes was written, and (string can't read it|no branch of \[.*string.*\] reads it)",
    "another logical type, or a decimal of other digits": r"logical type was|decimal was",
}
TWINS = "two types of a union have one name in two namespaces, and its reader takes one for the other"
UNREADABLE = "SchemaCompatibility accepts what its reader can't read"
# Why its reader reads another value than what the specification's rules say, or none.
FULL_NAMES = "it joins types by their full names alone"
LIVING_ALIAS = "an alias is the name of a type that is still there, and it takes one for the other"
FIELD_ALIAS = "an alias is the name of another field, and it takes one for the other"
RECURSION = "it fails on some types that hold themselves, where its other reader does not"
WRITERS_DEFAULT = "it checks defaults of the writer under the reader's names"
# What SchemaCompatibility refuses and we accept, and why.
OWN_ALIAS = "a field has its own name as an alias, and it finds that field twice"
OTHER_BRANCH = "it stumbles over a branch that is not the value's"


@dataclass
class Tally:
    """What was seen."""

    pairs: int = 0
    not_schemas: Counter[str] = dataclasses.field(default_factory=Counter)
    accepted: int = 0
    endless: int = 0
    refused: int = 0
    values: int = 0
    differences: Counter[str] = dataclasses.field(default_factory=Counter)
    unexplained: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """As JSON has it."""
        return vars(self) | {
            "unexplained": len(self.unexplained),
            "examples": self.unexplained[:UNEXPLAINED_SHOWN],
        }


def make_pair(random: Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """An older and a newer schema: the newer a change of the older nine times of ten."""
    maker = Maker(random)
    older = maker.whole()
    newer = evolved(random, older) if random.randint(1, 10) > 1 else Maker(random).whole()
    return spelled(random, older), spelled(random, newer)


class Judge:
    """Holds pairs against the library and counts."""

    def __init__(self, java: AvroJava) -> None:
        self._java = java
        self.tally = Tally()

    def judge(self, random: Random, writer: dict[str, Any], reader: dict[str, Any]) -> bool:
        """One pair: both verdicts, and where it is accepted some old values. False for a pair that is none."""
        if any(form_faults(schema) for schema in (writer, reader)):
            self.tally.not_schemas["by our form"] += 1
            return False
        texts = {"writer": json.dumps(writer), "reader": json.dumps(reader)}
        try:
            theirs = self._java.ask("pair", **texts)
        except Refused as error:
            self.tally.not_schemas[f"by Java's parser: {error}"[:100]] += 1
            return False
        self.tally.pairs += 1
        try:
            found = incompatibilities(reader, writer)
        except Exception as error:  # noqa: BLE001 - whatever it is, a schema that Java takes was not
            self._unexplained("we can't parse it", texts, reason=repr(error))
            return True
        if not found and theirs["compatible"]:
            self.tally.accepted += 1
            self._read(random, writer, reader, texts)
        elif found and theirs["compatible"]:
            self._stricter(reader, found, theirs, texts)
        elif not found:
            self._looser(reader, theirs, texts)
        else:
            self.tally.refused += 1
        return True

    def _stricter(
        self, reader: Any, found: list[Incompatibility], theirs: Mapping[str, Any], texts: Mapping[str, str]
    ) -> None:
        why = [next((name for name, rule in STRICTER.items() if re.search(rule, one.reason)), None) for one in found]
        if None not in why:
            self.tally.differences[f"we refuse: {why[0]}"] += 1
        elif theirs["unresolved"] is not None:
            self.tally.differences[f"we refuse: {UNREADABLE}"] += 1
        elif _has_twins(reader):
            self.tally.differences[f"we refuse: {TWINS}"] += 1
        else:
            self._unexplained("only we refuse", texts, reason="; ".join(map(str, found)))

    def _looser(self, reader: Any, theirs: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        if "matches multiple fields" in theirs["reason"]:  # we refuse those too, where a value can come to them
            self.tally.differences[f"we accept: {OWN_ALIAS if _has_own_alias(reader) else OTHER_BRANCH}"] += 1
        else:
            self._unexplained("only we accept", texts, reason=theirs["reason"])

    def _read(self, random: Random, writer: Any, reader: Any, texts: Mapping[str, str]) -> None:
        parsed, wanted = parse(writer), parse(reader)
        ours = _both(compile_resolving_reader(parsed, wanted), compile_branch_reader(parsed, wanted))
        plain = _both(compile_reader(wanted), compile_branch_reader(wanted, wanted))
        try:
            values = Values(random, named_types(parsed), sound=False)
            bodies = [values.written(parsed) for _ in range(VALUES_A_PAIR)]
        except Endless:
            self.tally.endless += 1
            return
        hexes = [body.hex() for body in bodies]
        plainly = self._java.ask("resolve", **texts, values=hexes)["values"]
        for body, answer in zip(bodies, plainly, strict=True):
            self.tally.values += 1
            try:
                got = comparable(ours(body, 0))
            except Exception as error:  # noqa: BLE001 - whatever a reader of ours does instead of reading is a fault
                got = repr(error)
            expected = _value(plain, answer)
            if got == expected:
                continue
            ways = [(told, fast) for fast in (False, True) for told in _told(parsed, wanted)]
            helped = [self._java.ask("resolve", **told, values=[body.hex()], fast=fast) for told, fast in ways]
            others = [_value(plain, each["values"][0]) for each in helped]
            if got in others:
                self.tally.differences[f"it reads: {_why(parsed, wanted, answer)}"] += 1
            elif all(isinstance(other, str) for other in others) and (_has_twins(reader) or _has_twins(writer)):
                self.tally.differences[f"it can't read: {FULL_NAMES}"] += 1
            else:
                self._unexplained("another value", texts, hex=body.hex(), ours=repr(got), theirs=repr(expected))

    def _unexplained(self, what: str, texts: Mapping[str, str], **more: str) -> None:
        self.tally.unexplained.append({"what": what, **texts, **more})


def _value(plain: Reader, answer: Mapping[str, str]) -> Any:
    return answer["error"] if "error" in answer else comparable(plain(bytes.fromhex(answer["hex"]), 0))


def _both(one: Reader, other: Reader) -> Reader:
    """What the reader of events reads, and the reader of exports, which tells the branches of unions too."""
    return lambda body, start: [one(body, start), other(body, start)]


def _why(writer: Any, reader: Any, answer: Mapping[str, str]) -> str:
    """Why Java's reader reads something else than what the specification says, or nothing."""
    if "Invalid default" in answer.get("error", ""):
        return WRITERS_DEFAULT
    if "NullPointerException" in answer.get("error", ""):
        return RECURSION
    if _living_field_aliases(reader):
        return FIELD_ALIAS
    return LIVING_ALIAS if _living_aliases(reader, writer) else FULL_NAMES


def _living_aliases(reader: Any, writer: Any) -> set[tuple[str, str]]:
    """Types, and aliases of theirs that are names of the reader's own types or of something else of the writer's."""
    names, old = named_types(reader), named_types(writer)
    return {
        (name, alias)
        for name, definition in names.items()
        for alias in aliases(definition)
        if alias in names or (alias in old and (name in old or kind_of(old[alias]) != kind_of(definition)))
    }


def _told(writer: Any, reader: Any) -> Iterator[dict[str, str]]:
    """The schemas said in ways that Java's reader understands: the writer's without defaults; then also the reader's
    told the names that types had in other namespaces, and without the aliases that are names of its own types, then of
    its fields, then without those of fields at all: they count for every record of that full name, wherever it was.
    """
    old = json.dumps(_without_defaults(writer))
    yield {"writer": old, "reader": json.dumps(reader)}
    told = copy.deepcopy(reader)
    names, living = named_types(told), _living_aliases(reader, writer)
    claimed = {alias for definition in names.values() for alias in aliases(definition)}
    old_names = {old: kind_of(of) for old, of in named_types(writer).items() if old not in names and old not in claimed}
    for name, definition in names.items():
        simple, kind = name.rpartition(".")[2], kind_of(definition)
        also = [old for old, was in old_names.items() if old.rpartition(".")[2] == simple and was == kind]
        definition["aliases"] = [*(alias for alias in aliases(definition) if (name, alias) not in living), *also]
    yield {"writer": old, "reader": json.dumps(told)}
    for record in _records(told):
        others = [field["name"] for field in record["fields"]]
        for field in record["fields"]:
            field["aliases"] = [alias for alias in field.get("aliases", ()) if alias not in others]
    yield {"writer": old, "reader": json.dumps(told)}
    for field in (field for record in _records(told) for field in record["fields"]):
        field["aliases"] = []
    yield {"writer": old, "reader": json.dumps(told)}


def _records(parsed: Any) -> list[dict[str, Any]]:
    return [named for named in named_types(parsed).values() if "fields" in named]


def _has_own_alias(definition: Any) -> bool:
    fields = [field for record in _records(parse(definition)) for field in record["fields"]]
    return any(field["name"] in field.get("aliases", ()) for field in fields)


def _living_field_aliases(parsed: Any) -> bool:
    return any(
        not {each["name"] for each in record["fields"]}.isdisjoint(field.get("aliases", ()))
        for record in _records(parsed)
        for field in record["fields"]
    )


def _has_twins(definition: Any) -> bool:
    simple = [name.rpartition(".")[2] for name in named_types(parse(definition))]
    return len(set(simple)) < len(simple)


def _without_defaults(definition: Any) -> Any:
    if isinstance(definition, list):
        return [_without_defaults(branch) for branch in definition]
    if not isinstance(definition, dict):
        return definition
    kept = {key: part for key, part in definition.items() if key != "default" or "symbols" in definition}
    return {key: _without_defaults(part) if key in ("fields", "type", "items", "values") else part
            for key, part in kept.items()}  # fmt: skip


def run(java: AvroJava, pairs: int, seed: int) -> Tally:
    """So many pairs; each has a seed of its own, so that one can be looked at alone."""
    judge = Judge(java)
    for number in range(pairs):
        random = Random(f"{seed}/{number}")
        while not judge.judge(random, *make_pair(random)):
            continue
    return judge.tally


def main() -> int:
    """The command; 1 where a difference has no reason."""
    asked = options(__doc__, pairs=10_000, seed=1)
    with java_or_exit() as java:
        tally = run(java, asked.pairs, asked.seed)
    sys.stdout.write(json.dumps(tally.summary(), indent=2) + "\n")
    return 1 if tally.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
