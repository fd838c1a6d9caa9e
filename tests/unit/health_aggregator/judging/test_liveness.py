"""Who is alive, judged on a clock of our own."""

from typing import Any

import pytest
from atlas_health_aggregator.judging.admission import Limits, OddHeartbeat, admitted
from atlas_health_aggregator.judging.liveness import Change, Mesh, State

INTERVAL_S = 2.0
WINDOW_S = 7.0
EPOCH_MS = 1_700_000_000_000
LIMITS = Limits(frozenset({"aggregator", "relay", "slow"}), others=3, instances=4, forget_after_s=600)


class World:
    """A mesh, a clock that starts at 100 s, and the aggregator's own heartbeat every interval while `flowing`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.mesh = Mesh(
            interval_s=INTERVAL_S, down_after_intervals=3.5, now=self.now, epoch_ms=EPOCH_MS, limits=LIMITS
        )
        self.flowing = True
        self.beating: dict[str, str] = {}
        self.changes: list[Change] = []
        self._next = self.now

    def heartbeat(self, service: str, instance: str = "1", state: str = "READY", **fields: Any) -> None:
        value = {
            "service": service,
            "instance": f"{service}-{instance}",
            "state": state,
            "reasons": {} if state == "READY" else {"database": "away"},
            "started_at": EPOCH_MS,
            "sent_at": EPOCH_MS + round(self.now * 1000),
            "interval_ms": int(INTERVAL_S * 1000),
            "version": "1",
            **fields,
        }
        self.mesh.observe(admitted(value, EPOCH_MS + round(self.now * 1000)), self.now)

    def run(self, seconds: float) -> list[Change]:
        """Let time pass in steps of 0.25 s, with the heartbeats of the aggregator and of `beating`; what changed."""
        new: list[Change] = []
        end = self.now + seconds
        while self.now < end:
            if self.now >= self._next and self.flowing:
                self._next = self.now + INTERVAL_S
                self.heartbeat("aggregator")
                for service, state in self.beating.items():
                    self.heartbeat(service, state=state)
            new += self.mesh.judge(self.now)
            self.now += 0.25
        self.changes += new
        return [change for change in new if change.service != "aggregator"]

    def state(self, service: str) -> str:
        return str(self.view(service)["state"])

    def view(self, service: str) -> dict[str, Any]:
        (found,) = [each for each in self.mesh.view(self.now)["services"] if each["service"] == service]
        return dict(found)

    def services(self) -> set[str]:
        return {each["service"] for each in self.mesh.view(self.now)["services"]}


@pytest.fixture
def world() -> World:
    return World()


def _moves(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.previous.value, change.current.value) for change in changes]


def test_a_first_beat_makes_a_service_up(world: World) -> None:
    world.beating["relay"] = "READY"
    (change,) = world.run(10)
    assert (change.service, change.previous, change.current, change.instances) == ("relay", "UNKNOWN", "UP", 1)
    assert change.changed_at == EPOCH_MS


def test_a_silent_service_is_down_after_the_window_and_not_before(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(10)
    last_beat = world.now
    world.heartbeat("relay")
    del world.beating["relay"]
    assert world.run(WINDOW_S - 0.5) == []
    (change,) = world.run(1.5)
    assert (change.previous, change.current, change.instances) == (State.UP, State.DOWN, 0)
    assert change.reason.startswith("no heartbeat from relay-1 for 7.")
    assert WINDOW_S <= (change.changed_at - EPOCH_MS) / 1000 + 100 - last_beat < 8
    assert world.run(60) == []


def test_its_return_is_told(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(4)
    del world.beating["relay"]
    world.run(12)
    world.beating["relay"] = "READY"
    assert _moves(world.run(4)) == [("DOWN", "UP")]


def test_readiness_of_its_own_makes_it_degraded(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(4)
    world.beating["relay"] = "NOT_READY"
    (change,) = world.run(4)
    assert (change.previous, change.current) == (State.UP, State.DEGRADED)
    assert change.reason == "relay-1: database: away"
    world.beating["relay"] = "READY"
    assert _moves(world.run(4)) == [("DEGRADED", "UP")]


def test_a_goodbye_is_down_at_once(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(4)
    del world.beating["relay"]
    world.heartbeat("relay", state="STOPPING")
    (change,) = world.run(0.5)
    assert (change.current, change.reason) == (State.DOWN, "stopped: relay-1 said goodbye")


def test_a_beat_overtaken_by_the_goodbye_revives_nobody(world: World) -> None:
    world.heartbeat("relay", state="STOPPING", sent_at=EPOCH_MS + 5000)
    world.heartbeat("relay", state="READY", sent_at=EPOCH_MS + 4999)
    world.run(1)
    assert world.state("relay") == "DOWN"


def test_a_beat_or_a_goodbye_of_tomorrow_silences_nobody(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(4)
    tomorrow = EPOCH_MS + 80_000_000
    world.heartbeat("relay", sent_at=tomorrow)
    assert world.run(20) == []
    world.heartbeat("relay", state="STOPPING", sent_at=tomorrow)
    assert _moves(world.run(10)) == [("UP", "DOWN"), ("DOWN", "UP")]


def test_a_clock_set_back_silences_nobody(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(4)
    del world.beating["relay"]
    for _ in range(6):
        world.heartbeat("relay", sent_at=EPOCH_MS - 3_600_000)
        assert world.run(INTERVAL_S) == []


def test_one_of_two_instances_may_go(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(1)
    world.heartbeat("relay", instance="2")
    world.run(1)
    world.heartbeat("relay", instance="2")
    assert len(world.view("relay")["instances"]) == 2
    assert world.run(12) == []
    (view,) = [each for each in world.mesh.view(world.now)["services"] if each["service"] == "relay"]
    assert [(each["instance"], each["alive"]) for each in view["instances"]] == [("relay-1", True), ("relay-2", False)]


def test_one_of_two_instances_unready_degrades(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(1)
    world.heartbeat("relay", instance="2", state="NOT_READY")
    assert world.run(1) == [], "heard once: nobody's word yet"
    world.heartbeat("relay", instance="2", state="NOT_READY")
    assert _moves(world.run(1)) == [("UP", "DEGRADED")]


def test_an_instance_s_own_interval_counts(world: World) -> None:
    world.heartbeat("slow", interval_ms=10_000)
    world.run(10)
    world.heartbeat("slow", interval_ms=10_000)
    world.run(34)
    assert world.state("slow") == "UP"
    world.run(2)
    assert world.state("slow") == "DOWN"


def test_nobody_is_judged_while_no_beat_arrives_at_all(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(6)
    world.flowing = False
    assert world.run(30) == []
    assert world.state("relay") == "UP"
    assert "no heartbeat arrives" in (world.mesh.silence(world.now) or "")
    world.flowing = True
    assert world.run(10) == []
    assert world.mesh.silence(world.now) is None


def test_who_died_during_the_gap_is_found_after_it(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(6)
    world.flowing = False
    world.run(30)
    del world.beating["relay"]
    world.flowing = True
    assert world.run(WINDOW_S - 0.5) == []
    assert _moves(world.run(1.5)) == [("UP", "DOWN")]


def test_a_gap_revives_nobody(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(4)
    del world.beating["relay"]
    world.run(12)
    world.flowing = False
    world.run(30)
    world.flowing = True
    assert world.run(20) == []
    assert world.state("relay") == "DOWN"


def _restored(service: str, state: State) -> Change:
    return Change(service, State.UNKNOWN, state, "before", 1, EPOCH_MS - 60_000)


def test_after_a_restart_services_are_unknown_until_heard(world: World) -> None:
    world.mesh.restore([_restored("relay", State.UP)])
    world.run(3)
    assert world.state("relay") == "UNKNOWN"
    world.beating["relay"] = "READY"
    assert world.run(4) == []
    (view,) = [each for each in world.mesh.view(world.now)["services"] if each["service"] == "relay"]
    assert (view["state"], view["since"]) == ("UP", "2023-11-14T22:12:20.000Z")


def test_a_service_that_died_while_the_aggregator_was_away_is_told(world: World) -> None:
    world.mesh.restore([_restored("relay", State.UP)])
    assert world.run(WINDOW_S - 0.5) == []
    (change,) = world.run(1.5)
    assert (change.previous, change.current) == (State.UP, State.DOWN)
    assert change.reason == "no heartbeat since the aggregator started"


def test_a_service_that_was_down_and_still_is_is_not_told_again(world: World) -> None:
    world.mesh.restore([_restored("relay", State.DOWN)])
    assert world.run(20) == []
    assert world.state("relay") == "DOWN"
    world.beating["relay"] = "READY"
    assert _moves(world.run(4)) == [("DOWN", "UP")]


def test_without_any_beat_after_a_restart_nobody_is_judged(world: World) -> None:
    world.mesh.restore([_restored("relay", State.UP)])
    world.flowing = False
    assert world.run(60) == []
    assert world.state("relay") == "UNKNOWN"


def test_an_instance_long_gone_is_forgotten_its_service_is_not(world: World) -> None:
    world.heartbeat("relay")
    world.run(400)
    (view,) = [each for each in world.mesh.view(world.now)["services"] if each["service"] == "relay"]
    assert (view["state"], view["instances"]) == ("DOWN", [])
    assert "no heartbeat from relay-1" in view["reason"]


def test_a_made_up_instance_keeps_no_dead_service_up(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(6)
    del world.beating["relay"]
    for number in range(40):  # as many names as one likes, none of them twice
        world.heartbeat("relay", instance=f"made-up-{number}", interval_ms=30_000)
        world.heartbeat("relay", instance=f"made-up-{number}", interval_ms=30_000)
        world.run(0.25)
    assert world.state("relay") == "DOWN"
    assert [each["instance"] for each in world.view("relay")["instances"]] == ["relay-1"]


def test_a_made_up_instance_does_not_degrade_a_service_that_is_well(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(6)
    world.heartbeat("relay", instance="made-up", state="NOT_READY")
    assert world.run(6) == []


def test_one_beat_alone_is_proof_for_no_longer_than_the_window(world: World) -> None:
    world.heartbeat("slow", interval_ms=30_000)
    world.run(45)
    assert world.state("slow") == "UP"
    world.run(1)
    assert world.state("slow") == "DOWN", "its own window would be 105 s"


def test_a_burst_of_made_up_services_is_not_shown(world: World) -> None:
    world.run(2)
    for _ in range(2):
        for number in range(2000):
            world.heartbeat(f"made-up-{number}")
    world.run(2)
    assert world.services() == {"aggregator"}


def test_another_service_is_shown_when_heard_again_and_forgotten_when_gone(world: World) -> None:
    world.beating["mine"] = "READY"
    world.run(2)
    assert world.services() == {"aggregator"}
    assert _moves(world.run(4)) == [("UNKNOWN", "UP")]
    del world.beating["mine"]
    assert _moves(world.run(20)) == [("UP", "DOWN")]
    assert world.run(570) == []
    assert "mine" in world.services()
    world.run(30)
    assert "mine" not in world.services()


def test_of_other_services_no_more_than_the_limit_are_shown(world: World) -> None:
    for number in range(5):
        world.heartbeat(f"other-{number}")
    world.run(INTERVAL_S)
    for number in range(3):
        world.heartbeat(f"other-{number}")
    with pytest.raises(OddHeartbeat, match=r"other-3 is not known, and 3 others.*ATLAS_HEALTH_SERVICES"):
        world.heartbeat("other-3")
    world.run(1)
    assert world.services() == {"aggregator", "other-0", "other-1", "other-2"}
    world.heartbeat("relay")
    world.run(0.25)
    assert world.state("relay") == "UP"


def test_instances_of_a_service_are_bounded_and_dead_ones_make_room(world: World) -> None:
    def confirmed(name: str) -> None:
        world.heartbeat("relay", instance=name)
        world.run(1)
        world.heartbeat("relay", instance=name)

    for number in range(4):
        confirmed(str(number))
    with pytest.raises(OddHeartbeat, match="relay has 4 already"):
        confirmed("4")
    world.run(WINDOW_S + 1)
    confirmed("5")
    world.run(0.25)
    names = {each["instance"] for each in world.view("relay")["instances"]}
    assert "relay-5" in names
    assert len(names) == 4


def test_nobody_is_forgotten_or_down_while_no_beat_arrives(world: World) -> None:
    world.beating |= {"relay": "READY", "mine": "READY"}
    world.run(6)
    world.flowing = False
    assert world.run(1000) == []
    assert (world.state("relay"), world.state("mine")) == ("UP", "UP")


def test_what_is_restored_is_bounded_too(world: World) -> None:
    hour_ago = EPOCH_MS - 3_600_000
    odd = Change("relay", State.UP, State.DOWN, "x", 1, -(2**63))
    gone = Change("gone", State.UP, State.DOWN, "x", 0, hour_ago)
    alive = [Change(f"alive-{n}", State.UNKNOWN, State.UP, "x", 1, hour_ago - n) for n in range(9)]
    tomorrow = Change("tomorrow", State.UNKNOWN, State.UP, "x", 1, 2**62)
    world.mesh.restore([odd, gone, *alive, tomorrow])
    world.run(20)
    assert world.services() == {"aggregator", "relay", "alive-0", "alive-1", "alive-2"}
    assert world.state("relay") == "DOWN"
    assert world.view("relay")["since"].startswith("2023-11-14")


def test_a_flood_that_holds_up_the_real_beats_declares_nobody_dead(world: World) -> None:
    world.beating["relay"] = "READY"
    world.run(6)
    world.flowing = False
    for number in range(40):
        world.heartbeat("relay", instance=f"made-up-{number}")
        world.heartbeat(f"made-up-{number}")
        assert world.run(0.25) == []
    world.flowing = True
    assert world.run(10) == []
