"""The demo: users who register, change and leave, one command at a time, and the proof of how they were left."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from atlas_runtime.demo import Check, Demo, DemoFailed, Gateway, Proof, Request, ask_all

COUNTRIES = ("AT", "BR", "CA", "DE", "FR", "GB", "IN", "JP", "MX", "US")


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user as the demo leaves it: registered, perhaps changed, perhaps deactivated."""

    number: int

    @property
    def registration(self) -> dict[str, str]:
        return {
            "email": f"traveller-{self.number:05d}@demo.atlas.example",
            "display_name": f"Traveller {self.number}",
            "country": COUNTRIES[self.number % len(COUNTRIES)],
        }

    @property
    def change(self) -> dict[str, str] | None:
        """Every third user takes another name."""
        return {"display_name": f"Frequent Traveller {self.number}"} if self.number % 3 == 0 else None

    @property
    def leaves(self) -> bool:
        """Every tenth user closes the account."""
        return self.number % 10 == 0

    @property
    def version(self) -> int:
        return 1 + (self.change is not None) + self.leaves

    @property
    def left_as(self) -> dict[str, Any]:
        """What of the row the commands decide."""
        return {
            "version": self.version,
            "display_name": (self.change or self.registration)["display_name"],
            "status": "deactivated" if self.leaves else "active",
        }


class UsersDemo(Demo):
    """`size` users; each command has an Idempotency-Key of its own, so a second run on a mesh has no second effect."""

    demo_size = 3_000
    seed_size = 50
    look = ("/users",)

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._users: dict[str, DemoUser] = {}

    def commands(self) -> Mapping[str, Iterator[Request]]:
        """Every command of each user, in order."""
        users = map(DemoUser, range(1, self.size + 1))
        return {"users.events": (partial(self._run_commands, user) for user in users)}

    async def _run_commands(self, user: DemoUser, gateway: Gateway) -> None:
        key = {"Idempotency-Key": f"demo-{user.number}-register"}
        answer = await gateway.ask("POST", "/users", user.registration, key)
        if not isinstance(answer.body.get("user_id"), str):
            raise DemoFailed(f"POST /users answers without a user_id: {answer.body!r:.300}")
        path = f"/users/{answer.body['user_id']}"
        if user.change is not None:
            known = {"Idempotency-Key": f"demo-{user.number}-change", "If-Match": answer.header("ETag")}
            answer = await gateway.ask("PATCH", f"{path}/profile", user.change, known)
        if user.leaves:
            known = {"Idempotency-Key": f"demo-{user.number}-deactivate", "If-Match": answer.header("ETag")}
            await gateway.ask("POST", f"{path}/deactivate", {"reason": "moved on"}, known)
        self._users[path] = user

    def probes(self) -> Iterator[Request]:
        """Register somebody new, and ask for that user with the token of the answer."""
        run = time.time_ns()
        return (partial(_register_and_see, f"latency-{run}-{number}@demo.atlas.example") for number in count())

    async def prove(self, gateway: Gateway) -> Proof:
        """Every user is as its commands left it."""
        found: dict[str, dict[str, Any]] = {}

        async def see(path: str, gateway: Gateway) -> None:
            found[path] = (await gateway.ask("GET", path)).body

        await ask_all(gateway, (partial(see, path) for path in self._users))
        differences = [
            f"{path}: {_shown(found[path])}, expected {user.left_as}"
            for path, user in self._users.items()
            if _shown(found[path]) != user.left_as
        ]
        return Proof(
            checks=(Check("users: name, status, version", len(self._users), tuple(differences)),),
            records={"users.events": sum(user.version for user in self._users.values())},
            projected=sum(int(row.get("version", 0)) for row in found.values()),
        )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("version", "display_name", "status")}


async def _register_and_see(email: str, gateway: Gateway) -> None:
    answer = await gateway.ask("POST", "/users", {"email": email, "display_name": "Latency probe"})
    token = {"Atlas-Token": answer.header("Atlas-Token")}
    await gateway.ask("GET", f"/users/{answer.body['user_id']}", headers=token)
