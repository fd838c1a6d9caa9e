"""The collector's configuration: pipelines name what exists, all of it is used, and traces are chosen by their end."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from atlas_archiver.settings import ArchiverSettings

FILE = Path(__file__).resolve().parents[2] / "infra" / "observability" / "collector.yml"
CONFIG: dict[str, Any] = yaml.safe_load(FILE.read_text())
PIPELINES: dict[str, dict[str, list[str]]] = CONFIG["service"]["pipelines"]
KINDS = ("receivers", "processors", "exporters")
# What each kind of component of the contrib build that is named here can do.
TYPES = {
    "receivers": {"otlp"},
    "processors": {"memory_limiter", "tail_sampling", "batch"},
    "exporters": {"otlp", "otlphttp"},
    "extensions": {"health_check"},
}


def seconds(duration: str) -> float:
    match = re.fullmatch(r"(\d+)(ms|s|m)", duration)
    assert match is not None, duration
    return int(match[1]) * {"ms": 0.001, "s": 1, "m": 60}[match[2]]


@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_name_what_exists_and_all_that_exists_is_named(kind: str) -> None:
    named = {name for pipeline in PIPELINES.values() for name in pipeline[kind]}
    assert named == set(CONFIG[kind])
    assert {name.partition("/")[0] for name in named} <= TYPES[kind]
    assert all(pipeline[kind] for pipeline in PIPELINES.values())


def test_extensions_are_there() -> None:
    assert set(CONFIG["service"]["extensions"]) == set(CONFIG["extensions"]) <= TYPES["extensions"]


def test_traces_go_to_tempo_and_lines_to_loki() -> None:
    assert {kind.partition("/")[0] for kind in PIPELINES} == {"traces", "logs"}
    assert PIPELINES["traces"]["exporters"] == ["otlp/tempo"]
    assert CONFIG["exporters"]["otlp/tempo"]["endpoint"] == "tempo:4317"
    assert PIPELINES["logs"]["exporters"] == ["otlphttp/loki"]
    assert CONFIG["exporters"]["otlphttp/loki"]["endpoint"] == "http://loki:3100/otlp"


def test_the_port_is_the_one_that_is_told() -> None:
    listens = CONFIG["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    told = re.findall(r"ATLAS_OTLP_ENDPOINT=http://\w+:(\d+)", FILE.read_text())
    assert told == [listens.rpartition(":")[2]]


def test_memory_is_bounded_first_and_batches_are_made_last() -> None:
    for pipeline in PIPELINES.values():
        assert pipeline["processors"][0] == "memory_limiter"
        assert pipeline["processors"][-1] == "batch"
    assert PIPELINES["traces"]["processors"][1:-1] == ["tail_sampling"]


def test_failed_and_slow_traces_are_kept_and_some_of_the_rest() -> None:
    policies = {policy["name"]: policy for policy in CONFIG["processors"]["tail_sampling"]["policies"]}
    assert len(policies) == len(CONFIG["processors"]["tail_sampling"]["policies"])
    for policy in policies.values():
        assert policy.keys() == {"name", "type", policy["type"]}
    assert policies["failed"]["status_code"] == {"status_codes": ["ERROR"]}
    assert 0 < policies["some-of-the-rest"]["probabilistic"]["sampling_percentage"] <= 100
    assert 'attributes["http.route"]' in policies["slow-request"]["ottl_condition"]["span"][0]


def test_it_waits_until_a_record_can_be_archived() -> None:
    sampling = CONFIG["processors"]["tail_sampling"]
    age_s = ArchiverSettings.model_fields["archiver_segment_max_age_s"].default
    assert seconds(sampling["decision_wait"]) >= 2 * age_s
    (slow,) = [policy for policy in sampling["policies"] if policy["type"] == "latency"]
    assert slow["latency"]["threshold_ms"] > 1000 * age_s, "every trace that is archived would be slow"
    cached = sampling["decision_cache"]
    assert min(cached["sampled_cache_size"], cached["non_sampled_cache_size"]) > sampling["num_traces"]
