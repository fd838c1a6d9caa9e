"""`atlas transactions abort` of an id does not say that it ended what it can't."""

import pytest
import typer
from aiokafka import TopicPartition
from atlas_cli.commands.operate import transactions
from atlas_cli.terminal.output import CommandError
from atlas_kafka.cluster.transactions import OpenTransaction
from typer.testing import CliRunner

app = typer.Typer()
transactions.register(app)


def test_a_hanging_one_is_freed_partition_by_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its coordinator knows of no transaction: to shut its producer out leaves the records where they are."""
    hanging = OpenTransaction(49, 10, 0, 2079, 0, "relay-1", hanging=True)

    async def held() -> dict[TopicPartition, tuple[int, OpenTransaction | None]]:
        return {TopicPartition("orders", 0): (3, hanging), TopicPartition("orders", 1): (1, hanging)}

    monkeypatch.setattr(transactions, "_held", held)
    with pytest.raises(CommandError) as refused:
        CliRunner().invoke(app, ["transactions", "abort", "relay-1", "--yes"], catch_exceptions=False)
    each = "atlas transactions abort --hanging orders"
    assert f"{each}/0; {each}/1" in str(refused.value)
