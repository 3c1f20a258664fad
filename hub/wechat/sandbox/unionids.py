"""When an app learns a person's unionid: at once, or for one person only when they come again."""

from collections import Counter

from hub.wechat.sandbox.people import Person


class Unionids:
    """Counts how often each person has come to each app."""

    def __init__(self) -> None:
        self._meetings: Counter[tuple[str, str]] = Counter()

    def met(self, appid: str, person: Person) -> str | None:
        """Count a meeting, and return the unionid that this app may see from now on."""
        self._meetings[appid, person.name] += 1
        return self.shown(appid, person)

    def shown(self, appid: str, person: Person) -> str | None:
        """Return the unionid, or None where this app may not see it yet."""
        return None if person.unionid_is_late and self._meetings[appid, person.name] < 2 else person.unionid
