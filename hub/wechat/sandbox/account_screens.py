"""The official account on the simulated phone: the page to follow it, and the chat with its replies."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from hub.wechat.sandbox.asked import BadLink, named
from hub.wechat.sandbox.chats import Chats, Message
from hub.wechat.sandbox.followers import Followers
from hub.wechat.sandbox.pages import Pages, catalogue_text
from hub.wechat.sandbox.people import Person
from hub.wechat.sandbox.phone import ask_whose, holder
from hub.wechat.sandbox.pushes import Pushes
from hub.wechat.sandbox.tickets import Ticket, Tickets

_SOON: Final = 1.5  # seconds: most replies are there by then, and the chat shows them without waiting
_LONGEST: Final = 600


class AccountScreens:
    """`/q/{name}`, which the codes with a scene lead to, and the chat."""

    def __init__(
        self, pushes: Pushes, tickets: Tickets, followers: Followers, chats: Chats, pages: Pages
    ) -> None:
        self._pushes = pushes
        self._tickets = tickets
        self._followers = followers
        self._chats = chats
        self._pages = pages
        self._tasks: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        """Return the pages, and the list of messages that the chat reads again and again."""
        chat = "/phone/chats/account"
        return [
            Route("/q/{name}", self.scanned, methods=["GET"]),
            Route("/q/{name}", self.follow, methods=["POST"]),
            Route(chat, self.chat, methods=["GET"]),
            Route(chat, self.say, methods=["POST"]),
            Route(f"{chat}/messages", self.messages, methods=["GET"]),
            Route(f"{chat}/unfollow", self.unfollow, methods=["POST"]),
        ]

    async def scanned(self, request: Request) -> Response:
        """Show the account; a follower is in the chat at once, and who X-Sandbox-Person names follows."""
        try:
            person = named(request)
        except BadLink as bad:
            return self._pages.render(request, "notice.html", 400, notice=bad.key)
        ticket = self._ticket(request)
        if ticket is None:
            return self._pages.render(request, "notice.html", 410, notice="notice.scene_over")
        if person is not None:
            await self._pushes.scan(person, ticket)
            return self._chat(request, person)
        person = holder(request)
        if person is None:
            return ask_whose(self._pages, request)
        if self._followers.following(ticket.appid, person):
            return await self._scan(request, person, ticket)
        return self._pages.render(request, "follow.html", person=person)

    async def follow(self, request: Request) -> Response:
        """Follow the account, and enter the chat."""
        ticket = self._ticket(request)
        person = holder(request)
        if person is None or ticket is None:
            return self._pages.render(request, "notice.html", 410, notice="notice.scene_over")
        return await self._scan(request, person, ticket)

    async def chat(self, request: Request) -> Response:
        """Show the chat of the phone's holder."""
        person = holder(request)
        if person is None:
            return ask_whose(self._pages, request)
        return self._chat(request, person)

    async def say(self, request: Request) -> Response:
        """Send a text to the account."""
        person = holder(request)
        text = str((await request.form()).get("text", "")).strip()[:_LONGEST]
        if person is not None and text:
            await self._soon(self._pushes.say(person, text))
        return self._enter(request)

    async def unfollow(self, request: Request) -> Response:
        """Leave the account."""
        person = holder(request)
        if person is not None:
            await self._soon(self._pushes.unfollow(person))
        return self._enter(request)

    async def messages(self, request: Request) -> Response:
        """Answer the holder's messages as JSON, only those after number `?after=`."""
        person = holder(request)
        given = request.query_params.get("after", "0")
        after = int(given) if given.isdecimal() and len(given) < 10 else 0
        found = self._chats.of(person.name, after) if person else []
        shown = [_shown(request, message) for message in found]
        return JSONResponse(shown, headers={"cache-control": "no-store"})

    def _ticket(self, request: Request) -> Ticket | None:
        ticket = self._tickets.by_name(request.path_params["name"])
        if ticket is None or self._tickets.is_over(ticket) or ticket.appid != self._pushes.account.appid:
            return None
        return ticket

    async def _scan(self, request: Request, person: Person, ticket: Ticket) -> Response:
        await self._soon(self._pushes.scan(person, ticket))
        return self._enter(request)

    async def _soon(self, delivery: Coroutine[Any, Any, Any]) -> None:
        """Wait a moment for *delivery*; a slow server's tries go on behind, and the chat shows what comes."""
        task = asyncio.create_task(delivery)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=_SOON)

    def _chat(self, request: Request, person: Person) -> Response:
        return self._pages.render(
            request,
            "chat.html",
            person=person,
            follows=self._followers.following(self._pushes.account.appid, person) is not None,
            messages=[_shown(request, message) for message in self._chats.of(person.name)],
        )

    @staticmethod
    def _enter(request: Request) -> Response:
        return RedirectResponse(f"{request.scope['root_path']}/phone/chats/account", 303)


def _shown(request: Request, message: Message) -> dict[str, Any]:
    pieces = [{"text": piece.text, "url": piece.url} for piece in message.pieces]
    if message.kind == "note":
        pieces = [{"text": catalogue_text(request, message.text), "url": ""}]
    return {"number": message.number, "kind": message.kind, "mine": message.mine, "pieces": pieces}
