"""The real batches against a model of PostgreSQL and Kafka in which anything may crash at any step.

Writers append rows under the lock of their key and commit, out of id order, or roll back. Two owners relay. At each
step that touches a server a process may crash before it, or after it with the answer lost, or stand still while the
other owner takes its groups over and relays them, and then go on in the belief that it owns them.

After every run: each committed row was delivered exactly once, in order per key, and nothing is left behind. PostgreSQL
may crash as well, and then what was deleted without waiting for its disk is back.
"""

import pytest
from atlas_relay.batch_loop import UNSURE_MAX
from hypothesis import settings

from tests.unit.relay.outbox_machine import OutboxMachine
from tests.unit.relay.outbox_model import GROUPS

OutboxMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=20, deadline=None)
TestOutbox = OutboxMachine.TestCase


def begun() -> OutboxMachine:
    machine = OutboxMachine()
    machine.start()
    return machine


def taken_over_whole(machine: OutboxMachine) -> None:
    """The other owner relays what is left: nothing is twice, out of order or missing."""
    machine.relay("b", {}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


@pytest.mark.parametrize("kind", ["before", "after", "overtaken"])
@pytest.mark.parametrize("step", range(4))
def test_every_step_with_every_fault(step: int, kind: str) -> None:
    """Claim, send, delete, look: each is struck once whatever the machine above happens to try."""
    machine = begun()
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, None, 1)  # leaves marks that are not the next batch's
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good", b"good"]}, (step, kind), 1)
    machine.nothing_twice_and_in_order()
    machine.relay("b", {b"k0": [b"good"]}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


@pytest.mark.parametrize("kind", ["before", "after", "overtaken"])
@pytest.mark.parametrize("step", range(8))
def test_every_step_of_a_takeover_with_every_fault(step: int, kind: str) -> None:
    """Of a batch that is sent and not deleted: senders, fence, marks, delete, sender, tombstone, state, parked keys."""
    machine = begun()
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, (1, "after"), 1)
    machine.take_over("b", set(GROUPS), (step, kind))
    machine.nothing_twice_and_in_order()
    machine.relay("b", {b"k0": [b"good"]}, None, 2)
    machine.teardown()


@pytest.mark.parametrize("batches", [1, UNSURE_MAX - 1, UNSURE_MAX, UNSURE_MAX + 1, 2 * UNSURE_MAX])
def test_what_a_crash_of_postgres_brings_back_is_not_sent_again(batches: int) -> None:
    machine = begun()
    for _ in range(batches):
        machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, None, 1)
    machine.postgres_crashes()
    taken_over_whole(machine)


def test_who_leaves_takes_what_he_deleted_to_the_disk() -> None:
    """He lets his marks go, so nobody could tell any more what a crash of PostgreSQL brings back."""
    machine = begun()
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, None, 1)
    machine.leave("a", set(GROUPS), None)
    machine.postgres_crashes()
    taken_over_whole(machine)


@pytest.mark.parametrize("step", [0, 1])
def test_a_late_statement_of_a_connection_that_was_given_up_hides_no_sender(step: int) -> None:
    """The one of leave or adopt that writes a name. By then the owner is back with the same epochs, and what it sent
    since is known from its marks alone: who comes next must learn of them."""
    machine = begun()
    epochs = dict(machine.postgres.epochs)
    if step == 0:
        machine.leave("a", set(GROUPS), (step, "late"))
    else:
        machine.leave("a", set(GROUPS), None)
        machine._run("a", machine._adopt("a", epochs), (step, "late"))
    assert len(machine.faults["a"].late) == 1
    machine._run("a", machine._adopt("a", epochs), None)
    assert machine.pumps["a"] is not None
    machine.relay("a", {b"k0": [b"good"], b"k1": [b"good"]}, (1, "after"), 1)
    machine.faults["a"].late.pop()()
    taken_over_whole(machine)


def test_a_transaction_stays_open_while_claims_move_on() -> None:
    """Its rows have lower ids than all that was sent meanwhile; no floor may leave them out, however often we look."""
    machine = begun()
    machine.begin(b"k0", [b"good"])
    for _ in range(4):
        machine.relay("a", {b"k1": [b"good"], b"k2": [b"good"]}, None, 2)
    machine.end(True)
    machine.relay("a", {b"k0": [b"good"]}, None, 2)
    machine.nothing_twice_and_in_order()
    machine.teardown()


def test_the_model_notices_a_lost_row() -> None:
    """The model itself can fail: a row that never reaches the table the batches reads is missed at the end."""
    machine = begun()
    machine.committed.append((0, 1, 0, "t", b"k0", b"good", b"\x00"))
    with pytest.raises(AssertionError, match="left behind"):
        machine.teardown()
