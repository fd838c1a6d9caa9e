"""The demo of users, against a gateway that keeps accounts in memory."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from atlas_contracts.registry import Registry
from atlas_runtime.demo import Answer, DemoFailed, ask_all
from atlas_users.demo import DemoUser, UsersDemo

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"


class Accounts:
    """As the gateway: a key that was used answers as before, a change needs the version."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []

    async def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        self.asked.append(f"{method} {path}")
        headers = headers or {}
        if method == "GET":
            return Answer(self.users[path.removeprefix("/users/")], {})
        key = headers.get("Idempotency-Key", "")
        if key in self.answers:
            return self.answers[key]
        if path == "/users":
            user: dict[str, Any] = {"user_id": str(len(self.users)), "status": "active", "version": 0, **(body or {})}
            self.users[user["user_id"]] = user
        else:
            user = self.users[path.split("/")[2]]
            assert headers["If-Match"] == f'"{user["version"]}"'
            user.update({"status": "deactivated"} if path.endswith("/deactivate") else body or {})
        user["version"] += 1
        self.answers[key or str(len(self.answers))] = answer = Answer(
            dict(user), {"ETag": f'"{user["version"]}"', "Atlas-Token": "t"}
        )
        return answer


async def shown(gateway: Accounts, size: int = 30) -> UsersDemo:
    demo = UsersDemo(size)
    (requests,) = demo.commands().values()
    await ask_all(gateway, requests)
    return demo


async def test_every_user_is_as_the_commands_left_it() -> None:
    gateway = Accounts()
    proof = await (await shown(gateway)).prove(gateway)
    assert all(check.holds for check in proof.checks)
    assert proof.checks[0].compared == 30
    # 30 registrations, 10 changes, 3 who leave.
    assert proof.records == {"users.events": 43}
    assert proof.projected == 43


async def test_a_second_run_changes_nothing() -> None:
    gateway = Accounts()
    first = await (await shown(gateway)).prove(gateway)
    assert await (await shown(gateway)).prove(gateway) == first
    assert len(gateway.users) == 30


async def test_each_difference_is_named() -> None:
    gateway = Accounts()
    demo = await shown(gateway)
    gateway.users["7"]["status"] = "deactivated"
    (check,) = (await demo.prove(gateway)).checks
    assert not check.holds
    assert [text.partition(":")[0] for text in check.differences] == ["/users/7"]


async def test_a_probe_reads_what_it_wrote_and_each_writes_something_new() -> None:
    gateway = Accounts()
    for probe in islice(UsersDemo(1).probes(), 3):
        await probe(gateway)
    assert [line.split()[0] for line in gateway.asked] == ["POST", "GET"] * 3
    assert len({user["email"] for user in gateway.users.values()}) == 3


async def test_an_answer_that_names_no_user_ends_the_demo() -> None:
    class Other(Accounts):
        async def ask(self, *_: Any, **__: Any) -> Answer:
            return Answer({"results": []}, {})

    with pytest.raises(ExceptionGroup) as failed:
        await shown(Other())
    assert failed.group_contains(DemoFailed, match="answers without a user_id")


def test_its_commands_go_to_a_topic_that_is_declared() -> None:
    assert set(UsersDemo(1).commands()) <= set(Registry.load(SCHEMAS).topics)
    assert {DemoUser(number).left_as["status"] for number in range(1, 11)} == {"active", "deactivated"}
