"""Who follows which official account, since when, and by which scene they came."""

from typing import NamedTuple

from hub.wechat.sandbox.clock import Clock
from hub.wechat.sandbox.people import Person


class Following(NamedTuple):
    """One person's following; *scene* is "" for who came without a code."""

    since: int
    scene: str


class Followers:
    """The followers of all accounts; at the beginning there are none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all: dict[tuple[str, str], Following] = {}

    def follow(self, appid: str, person: Person, scene: str = "") -> bool:
        """Let *person* follow, and return whether they did not already."""
        if (appid, person.name) in self._all:
            return False
        self._all[appid, person.name] = Following(int(self._clock.time()), scene)
        return True

    def unfollow(self, appid: str, person: Person) -> bool:
        """Let *person* go, and return whether they were there."""
        return self._all.pop((appid, person.name), None) is not None

    def following(self, appid: str, person: Person) -> Following | None:
        """Return since when *person* follows, None where they do not."""
        return self._all.get((appid, person.name))
