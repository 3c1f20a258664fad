"""The moments at which a fault may find a person: what came before, and what is left to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.faults.matrix.visitor import Visitor


async def wait(visitor: Visitor) -> None:
    """Come as far as the code on the screen."""
    await visitor.begin()


async def scan(visitor: Visitor) -> None:
    """Come as far as the question on the phone."""
    await wait(visitor)
    await visitor.claim()
    await visitor.hears("scanned")


async def confirm(visitor: Visitor) -> None:
    """Come as far as the browser's being told to redeem."""
    await scan(visitor)
    await visitor.confirm()
    await visitor.hears("confirmed")


async def sign_in(visitor: Visitor) -> None:
    """Come as far as the tokens."""
    await confirm(visitor)
    await visitor.redeem()


async def all_the_rest(visitor: Visitor) -> None:
    """Scan, confirm and redeem."""
    await visitor.claim()
    await visitor.hears("scanned", "confirmed")
    await confirm_and_redeem(visitor)


async def confirm_and_redeem(visitor: Visitor) -> None:
    """Confirm, hear of it, and redeem."""
    await visitor.confirm()
    await visitor.hears("confirmed")
    await visitor.redeem()


async def redeem_twice(visitor: Visitor) -> None:
    """Redeem in two tabs at once."""
    await asyncio.gather(visitor.redeem(), visitor.redeem())


async def refresh_twice(visitor: Visitor) -> None:
    """Renew the tokens in two tabs at once, which go on with one successor, and that one is good."""
    successors = await asyncio.gather(visitor.refresh(), visitor.refresh())
    assert len(set(successors)) == 1
    visitor.refresh_token = successors[0]
    await visitor.refresh()


class Moment(NamedTuple):
    """*come* leads up to it; *go_on* is what is left. *waits*: that begins only when the fault is over."""

    come: Callable[[Visitor], Awaitable[None]]
    go_on: Callable[[Visitor], Awaitable[None]]
    waits: bool = False


MOMENTS = {
    "idle": Moment(wait, all_the_rest, waits=True),
    "between scan and confirm": Moment(scan, confirm_and_redeem),
    "while redeeming": Moment(confirm, redeem_twice),
    "while refreshing": Moment(sign_in, refresh_twice),
}
