"""The official account's door through its services, with WeChat's sandbox behind it."""

import hashlib
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.routing import Mount

from hub.accounts.bindings import Bindings
from hub.accounts.wechat_tokens import PersonTokens
from hub.qr.callback.service import Callback
from hub.qr.consent import ConsentState, Kind, Outcome
from hub.qr.identifiers import new_code
from hub.qr.official_account.consent import LinkConsent
from hub.qr.official_account.door import NAME, OfficialAccountDoor
from hub.qr.official_account.links import ConfirmLinks
from hub.qr.official_account.tickets import Tickets
from hub.realtime.broker import Broker
from hub.store.database import Store
from hub.store.encryption import DataKeys
from hub.tokens.events import AccountEvents
from hub.wechat.account import OfficialAccount
from hub.wechat.account_token import AccountTokens
from hub.wechat.client import WeChatClient
from hub.wechat.doors import WebConsent
from hub.wechat.people import People
from hub.wechat.push import Event
from hub.wechat.push import Kind as PushKind
from hub.wechat.sandbox import OfficialAccount as Registered
from hub.wechat.sandbox import create_sandbox
from hub.wechat.sandbox.people import PEOPLE
from hub.wechat.transport import App, Transport
from tests.scanning import KEYS, Desk, Waiting
from tests.servers.uvicorn_app import serve
from tests.signing_in import make_sessions

APP = App("wx0123456789abcdef", "0123456789abcdef0123456789abcdef")
DATA_KEYS = DataKeys(["data-keys-" * 4])
BASE_URL = "https://hub.example"
BACK = f"{BASE_URL}/api/auth/wechat/callback"

_LINK = re.compile(re.escape(BASE_URL) + r"/c/(\S+)")
_times = itertools.count(1_700_000_000)


@contextmanager
def wechat() -> Iterator[str]:
    """Serve WeChat's sandbox with the account and yield its address."""
    sandbox = create_sandbox(official_account=Registered(APP.appid, APP.secret, "token"))
    with serve(Starlette(routes=[Mount("/sandbox", sandbox)])) as address:
        yield f"{address}/sandbox"


def openid(person: str) -> str:
    """The openid of one of the sandbox's people."""
    return PEOPLE[person].openid(APP.appid)


def subject(person: str) -> str:
    """The person's name across providers."""
    return f"wechat:{APP.appid}:{openid(person)}"


def link_in(reply: str | None) -> str:
    """The confirm link of a reply, without the address before it."""
    found = _LINK.search(reply or "")
    assert found, reply
    return found[1]


class Following:
    """The door over one store: what browsers, WeChat and people do with it. *url* is WeChat's."""

    def __init__(
        self, store: Store, broker: Broker, url: str, *, auto: bool = False, burn: bool = True
    ) -> None:
        self.url = url
        self.transport = Transport(url)
        self.tokens = AccountTokens(store, self.transport, DATA_KEYS)
        client = WeChatClient(self.transport, url)
        account = OfficialAccount(self.transport, self.tokens, APP)
        self.desk = Desk(store, broker, burn=burn, contents={NAME: Tickets(account)})
        links = ConfirmLinks(KEYS)
        sessions = make_sessions(store, broker)
        self.door = OfficialAccountDoor(
            self.desk.attempts,
            self.desk.phone,
            Bindings(store, sessions, AccountEvents(store, broker)),
            account,
            PersonTokens(store, DATA_KEYS, People(client, [APP])),
            links,
            base_url=BASE_URL,
            site_name="Acme",
            auto=auto,
        )
        states = ConsentState(KEYS)
        web = WebConsent(client, APP, BACK, "snsapi_base")
        self.consent = LinkConsent(self.desk.attempts, self.door, links, web, states)
        self.callback = Callback(
            self.desk.attempts, self.desk.phone, states, {Kind.OFFICIAL_ACCOUNT: self.consent}
        )

    async def begin(self) -> Waiting:
        """Begin an attempt at this door."""
        return await self.desk.begin(door=NAME)

    async def push(self, event: Event) -> str | None:
        """Let WeChat push."""
        return await self.door.receive(event)

    async def scan(self, waiting: Waiting, person: str = "alice") -> str | None:
        """Let a person scan the attempt's code."""
        return await self.push(scanned(waiting, person))

    async def come_back(self, link: str, person: str = "alice") -> Outcome:
        """Let *person* open a confirm link and come back from the consent, in a browser of their own."""
        attempt, alive = await self.consent.open(link)
        assert alive
        secret = new_code()
        state, code = consented(self.consent.consent_url(attempt, secret), person)
        return (await self.callback.receive(state, code, secret, "en")).outcome

    async def settled(self) -> None:
        """Wait until nothing goes on behind the replies."""
        await self.door.stop()


@asynccontextmanager
async def following(
    store: Store, broker: Broker, url: str, *, auto: bool = False, burn: bool = True
) -> AsyncIterator[Following]:
    """A started door, stopped at the end."""
    made = Following(store, broker, url, auto=auto, burn=burn)
    async with AsyncExitStack() as stack:
        for part in (made.transport, made.tokens, made.door):
            await part.start()
            stack.push_async_callback(part.stop)
        yield made


def event(kind: PushKind, person: str, scene: str | None = None) -> Event:
    """A push that was not there before."""
    number = next(_times)
    key = hashlib.sha256(str(number).encode()).hexdigest()
    return Event(kind, openid(person), scene, key)


def scanned(waiting: Waiting, person: str = "alice", kind: PushKind = "scan") -> Event:
    """The push of a scan."""
    return event(kind, person, waiting.qr_code)


def consented(url: str, person: str) -> tuple[str, str]:
    """Let *person* pass the silent consent at *url*, and return the state and the code that come back."""
    answer = httpx2.get(url.partition("#")[0], headers={"x-sandbox-person": person})
    assert answer.status_code == 302, answer.text
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    return back["state"][0], back["code"][0]
