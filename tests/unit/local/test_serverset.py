"""Servers that the environment names."""

import pytest
from atlas_local.serverset import Servers

NAMED = {
    "T_KAFKA_BROKERS": "k:1", "T_POSTGRES_DSN": "p", "T_REDIS_URL": "r", "T_S3_ENDPOINT": "s",
    "T_S3_ACCESS_KEY": "a", "T_S3_SECRET_KEY": "b", "OTHER": "x",
}  # fmt: skip


def test_each_address_is_the_variable_of_its_name() -> None:
    assert Servers.of_env(NAMED, "T_") == Servers("k:1", "p", "r", "s", "a", "b")


def test_one_that_is_not_named_is_missed() -> None:
    with pytest.raises(KeyError, match="T_S3_SECRET_KEY"):
        Servers.of_env({name: value for name, value in NAMED.items() if name != "T_S3_SECRET_KEY"}, "T_")
