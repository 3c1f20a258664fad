"""A stand-in for WeChat in development and tests: the same wire, and the pages a phone would show."""

from hub.wechat.sandbox.app import create_sandbox
from hub.wechat.sandbox.apps import OfficialAccount

__all__ = ["OfficialAccount", "create_sandbox"]
