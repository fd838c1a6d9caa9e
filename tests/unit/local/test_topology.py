import pytest
from atlas_local.home import ROOT
from atlas_local.topology import MESH, Kind, Part, UnknownPart, select


def names(parts: tuple[Part, ...]) -> list[str]:
    return [part.name for part in parts]


def test_nothing_named_is_everything():
    assert select(()) == MESH


def test_a_part_brings_what_it_needs_and_no_more():
    assert names(select(("archiver",))) == ["kafka", "s3", "topics", "bucket", "archiver"]
    assert names(select(("valkey",))) == ["valkey"]


def test_servers_are_servers_and_the_steps_in_them():
    assert {part.kind for part in select(("servers",))} == {Kind.SERVER, Kind.STEP}


def test_services_bring_their_servers():
    assert {"gateway", "relay", "projector", "archiver", "health-aggregator", "kafka", "postgres", "s3"} <= set(
        names(select(("services",)))
    )


def test_an_unknown_part_is_refused_with_the_known_ones():
    with pytest.raises(UnknownPart, match=r"kafak; there are servers, services, kafka"):
        select(("kafak",))


def test_needs_are_parts_that_come_before():
    seen: set[str] = set()
    for part in MESH:
        assert set(part.needs) <= seen, part.name
        seen.add(part.name)


def test_every_service_is_a_package_of_the_tree():
    for part in MESH:
        if part.kind is Kind.SERVICE:
            assert (ROOT / "services" / part.name / part.module / "__init__.py").exists(), part.name
