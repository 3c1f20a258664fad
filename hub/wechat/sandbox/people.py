"""The people who hold the simulated phone, and the identifiers WeChat would give them."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Person:
    """One test person: what they show, what is odd about them, their number without *country_code*.

    *language* is that of their WeChat.
    """

    name: str
    nickname: str
    has_avatar: bool = True
    declines: bool = False
    is_snapshot: bool = False
    unionid_is_late: bool = False
    phone: str = ""
    country_code: str = "86"
    language: str = "zh_CN"

    @property
    def picture(self) -> str:
        """The path of the picture the simulated phone shows, below the sandbox's prefix."""
        return f"/avatars/{self.name if self.has_avatar else 'nobody'}.svg"

    def openid(self, appid: str) -> str:
        """Return this person's openid at *appid*; bob's differs from alice's by letter case only."""
        if self.name == "bob":
            return "o" + PEOPLE["alice"].openid(appid)[1:].swapcase()
        return _identifier("openid", appid, self.name)

    @property
    def unionid(self) -> str:
        """The identifier shared by all apps of one open-platform account."""
        return _identifier("unionid", self.name)


def _identifier(*parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return "o" + base64.urlsafe_b64encode(digest).decode()[:27]


PEOPLE: Final = {
    person.name: person
    for person in (
        Person("alice", "爱丽丝 Alice", phone="13800138001"),
        Person("bob", "Bob", phone="13800138002", language="en"),
        Person("noavatar", "没有头像", has_avatar=False, phone="13800138003"),
        Person("emoji", "🦊小狐狸👩‍💻🎉", phone="91234567", country_code="852"),
        Person("decliner", "谢绝先生", declines=True, phone="13800138005"),
        Person("snapshot", "微信用户", is_snapshot=True, phone="13800138006"),
        Person("lateunion", "姗姗来迟", unionid_is_late=True, phone="13800138007"),
    )
}


def by_openid(appid: str, openid: str) -> Person | None:
    """Return who has this openid at *appid*."""
    return next((person for person in PEOPLE.values() if person.openid(appid) == openid), None)
