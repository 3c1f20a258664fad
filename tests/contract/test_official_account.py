"""The door of the official account, on both engines, with WeChat's sandbox behind it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from hub.errors import AttemptNotFound, HubError, ProviderAway
from hub.qr.new_attempt import Initiator
from hub.qr.official_account.door import NAME
from hub.qr.phone import Answer
from hub.qr.states import Status
from hub.realtime.memory import MemoryBroker
from hub.store.database import Store
from hub.wechat.errors import Misconfigured
from hub.wechat.push import Event, Kind
from tests import following as at
from tests.following import Following, event, link_in, openid, scanned, subject
from tests.scanning import LIVES, Stopped
from tests.signing_in import PHONE, execute, make_user, rows


@pytest.fixture(scope="module")
def wechat() -> Iterator[str]:
    """WeChat."""
    with at.wechat() as url:
        yield url


@pytest.fixture
async def door(store: Store, wechat: str) -> AsyncIterator[Following]:
    """The door, on each engine in turn."""
    async with at.following(store, MemoryBroker(), wechat) as door:
        yield door


async def test_the_picture_is_a_ticket(door: Following) -> None:
    """The code says WeChat's own address, ordered for this attempt and for as long as it lives."""
    waiting = await door.begin()
    attempt = await door.desk.attempts.by_id(waiting.id)
    assert attempt.qr_content is not None
    assert attempt.qr_content.startswith(f"{door.url}/q/")
    assert attempt.expires_at == attempt.qr_expires_at


async def test_without_wechat_nothing_begins(store: Store, database_url: str) -> None:
    """When WeChat gives no ticket the browser is told to come back, and no attempt is left behind."""
    async with at.following(store, MemoryBroker(), "http://127.0.0.1:9") as door:
        with pytest.raises(ProviderAway) as refused:
            await door.begin()
    assert refused.value.retry_after
    assert await rows(database_url, "SELECT id FROM login_sessions") == []


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [(-1, ProviderAway), (45009, ProviderAway), (40001, ProviderAway), (48001, Misconfigured)],
)
async def test_what_wechat_says_of_a_ticket(
    door: Following, database_url: str, errcode: int, kind: type[HubError]
) -> None:
    """Coming back helps where WeChat is busy, and not where the account may not make codes."""
    async with httpx2.AsyncClient(base_url=door.url) as http:
        fault = {"call": "qrcode/create", "fault": "errcode", "errcode": errcode}
        assert (await http.post("/faults", json=fault)).status_code == 200
        try:
            with pytest.raises(kind) as refused:
                await door.begin()
        finally:
            await http.delete("/faults")
    assert bool(refused.value.retry_after) == (kind is ProviderAway)
    assert await rows(database_url, "SELECT id FROM login_sessions") == []


async def test_a_refresh_orders_another_ticket(door: Following) -> None:
    """The successor of an expired attempt has a picture of its own."""
    clock = Stopped(door.desk.store)
    waiting = await door.begin()
    clock.forward(LIVES.pending)
    successor = await door.desk.renew(waiting)
    assert successor.qr_content
    assert successor.qr_content != (await door.desk.attempts.by_id(waiting.id)).qr_content


@pytest.mark.parametrize("kind", ["scan", "subscribe"])
async def test_the_push_claims(door: Following, kind: Kind) -> None:
    """A scan, of a follower or of who becomes one by it, claims the attempt for that person."""
    waiting = await door.begin()
    reply = await door.push(scanned(waiting, kind=kind))
    attempt = await door.desk.attempts.by_id(waiting.id)
    assert (attempt.status, attempt.scanned_by) == (Status.SCANNED, subject("alice"))
    assert link_in(reply)
    assert "Acme" in (reply or "")


async def test_the_push_alone_claims(store: Store, wechat: str) -> None:
    """WeChat's silence about the person costs neither the claim nor the link."""
    async with at.following(store, MemoryBroker(), wechat) as door:
        waiting = await door.begin()
    async with at.following(store, MemoryBroker(), "http://127.0.0.1:9") as door:
        assert link_in(await door.scan(waiting))
        await door.settled()
        attempt = await door.desk.attempts.by_id(waiting.id)
        assert (attempt.status, attempt.profile["unionid"]) == (Status.SCANNED, None)


async def test_who_scanned_is_learnt_afterwards(door: Following) -> None:
    """The unionid, which the push has not, is there by the time the person confirms."""
    waiting = await door.begin()
    await door.scan(waiting)
    await door.settled()
    attempt = await door.desk.attempts.by_id(waiting.id)
    assert attempt.profile["unionid"]
    assert attempt.seq == 2


async def test_each_try_gets_the_same_reply(door: Following) -> None:
    """Whichever answer reaches WeChat, its link is the one that works."""
    waiting = await door.begin()
    push = scanned(waiting)
    first = link_in(await door.push(push))
    assert link_in(await door.push(push)) == first
    assert link_in(await door.push(push)) == first


async def test_a_try_takes_over_what_the_first_one_left(door: Following, database_url: str) -> None:
    """A process that dies between seeing a push and claiming loses no scan: the next try claims."""
    waiting = await door.begin()
    push = scanned(waiting)
    await execute(
        database_url,
        "INSERT INTO wechat_pushes (push_key, received_at) VALUES (:key, '2026-01-01 00:00:00')",
        key=push.key,
    )
    assert link_in(await door.push(push))
    assert (await door.desk.attempts.by_id(waiting.id)).status is Status.SCANNED


async def test_scanning_again_gives_a_new_link(door: Following) -> None:
    """The same person's next scan is answered with another link, and the former one is dead."""
    waiting = await door.begin()
    former = link_in(await door.scan(waiting))
    newest = link_in(await door.scan(waiting))
    assert newest != former
    assert not (await door.consent.open(former))[1]
    assert (await door.consent.open(newest))[1]
    assert (await door.desk.attempts.by_id(waiting.id)).seq == 2


async def test_a_late_try_does_not_bring_back_an_old_link(door: Following) -> None:
    """A repeated push is silent once another scan has been answered."""
    waiting = await door.begin()
    push = scanned(waiting)
    await door.push(push)
    newest = link_in(await door.scan(waiting))
    assert await door.push(push) is None
    assert (await door.consent.open(newest))[1]


async def test_a_second_person_burns(door: Following) -> None:
    """Another person's scan ends the attempt, and neither gets on."""
    waiting = await door.begin()
    link = link_in(await door.scan(waiting))
    reply = await door.scan(waiting, "bob")
    assert reply
    assert "/c/" not in reply
    attempt = await door.desk.attempts.by_id(waiting.id)
    assert (attempt.status, attempt.reason) == (Status.FAILED, "already_claimed")
    assert not (await door.consent.open(link))[1]


async def test_a_repeated_push_of_a_second_person_spends_one_burn(door: Following) -> None:
    """The tries of one push count once towards the limit of what strangers can burn."""
    first, second = await door.desk.begin("10.1.1.1", door=NAME), await door.desk.begin("10.1.1.1", door=NAME)
    for waiting in (first, second):
        await door.scan(waiting)
        push = scanned(waiting, "bob")
        for _ in range(3):
            await door.push(push)
        assert (await door.desk.attempts.by_id(waiting.id)).reason == "already_claimed"


@pytest.mark.parametrize("scene", ["A" * 22, "-" * 22])
async def test_an_unknown_code_of_ours(door: Following, scene: str) -> None:
    """A code that looks like ours and is gone is answered kindly, without a link."""
    reply = await door.push(event("scan", "alice", scene))
    assert reply
    assert "/c/" not in reply


async def test_an_expired_code(door: Following) -> None:
    """A scan after the deadline changes nothing but time's own move, and is told so."""
    clock = Stopped(door.desk.store)
    waiting = await door.begin()
    clock.forward(LIVES.pending)
    assert await door.scan(waiting) == await door.push(event("scan", "alice", "A" * 22))
    assert (await door.desk.attempts.by_id(waiting.id)).scanned_by is None


async def test_a_late_try_after_the_end(door: Following) -> None:
    """A repeated push of a scan that came too late is told the same as the first one."""
    clock = Stopped(door.desk.store)
    waiting = await door.begin()
    clock.forward(LIVES.pending)
    push = scanned(waiting)
    assert await door.push(push) == await door.push(push)


async def test_a_code_of_another_door(door: Following) -> None:
    """A push with the code of an attempt at another door claims nothing."""
    waiting = await door.desk.begin(door="h5")
    assert "/c/" not in (await door.push(scanned(waiting)) or "")
    assert (await door.desk.attempts.by_id(waiting.id)).status is Status.PENDING


@pytest.mark.parametrize(
    "push",
    [
        event("scan", "alice", "poster-in-the-shop"),
        event("scan", "alice", ""),
        event("subscribe", "alice"),
        event("other", "alice"),
    ],
)
async def test_what_is_not_ours(door: Following, push: Event, database_url: str) -> None:
    """The account's own codes, plain followers and messages are left to their owner."""
    assert await door.push(push) is None
    assert await rows(database_url, "SELECT push_key FROM wechat_pushes") == []


async def test_replies_are_in_the_language_of_who_is_known(door: Following, database_url: str) -> None:
    """Chinese or English for whom WeChat has told to read it, both for everybody else; always one link."""
    await door.desk.confirmed("carol")
    for told, chinese, english in ((None, True, True), ("zh_TW", True, False), ("en", False, True)):
        await execute(
            database_url,
            "UPDATE wechat_users SET appid = :appid, openid = :openid, language = :told",
            appid=at.APP.appid,
            openid=openid("alice"),
            told=told,
        )
        reply = await door.scan(await door.begin()) or ""
        assert ("登录" in reply, "signing in" in reply) == (chinese, english)
        assert reply.count(f"{at.BASE_URL}/c/") == 1


async def test_the_reply_knows_what_it_has_learnt(door: Following) -> None:
    """By the next scan of the same code WeChat has told which language its person reads."""
    waiting = await door.begin()
    async with httpx2.AsyncClient(base_url=door.url) as http:
        follow = {"scene": waiting.qr_code, "person": "bob"}
        assert (await http.post("/official-account/scan", json=follow)).status_code == 200
    assert "登录" in (await door.scan(waiting, "bob") or "")
    await door.settled()
    again = await door.scan(waiting, "bob") or ""
    assert ("登录" in again, "signing in" in again) == (False, True)


async def test_the_reply_says_that_it_is_to_bind(door: Following) -> None:
    """Whoever scans for an account that asks to be linked is not told that they sign in."""
    user = await make_user(door.desk.store)
    waiting = await door.desk.begin(door=NAME, initiator=Initiator(user["id"], "s" * 22))
    reply = await door.scan(waiting) or ""
    assert ("绑定" in reply, "linking" in reply) == (True, True)
    assert ("登录" in reply, "signing in" in reply) == (False, False)
    assert link_in(reply)


async def test_a_name_that_the_account_has_is_shown(door: Following, database_url: str) -> None:
    """WeChat names no follower, so from the confirmation on the browser sees the name of the account."""
    shown = {}
    for name in (None, "小红"):
        waiting = await door.begin()
        await door.scan(waiting)
        await door.desk.phone.answer(waiting.session_id, subject("alice"), Answer.CONFIRM, PHONE)
        shown[name] = (await door.desk.attempts.by_id(waiting.id)).snapshot().user_info
        await execute(database_url, "UPDATE users SET nickname = '小红'")
    assert [json.loads(one)["nickname"] for one in shown.values()] == [None, "小红"]
    (known,) = await rows(database_url, "SELECT nickname FROM wechat_users")
    assert known["nickname"] is None, "what a person is called here is none of WeChat's telling"


async def test_a_name_that_the_app_was_told_before_is_shown(door: Following, database_url: str) -> None:
    """Who has consented to the same account's page is called by that name from the scan on."""
    await _known(door, database_url)
    waiting = await door.begin()
    await door.scan(waiting)
    await door.settled()
    attempt = await door.desk.attempts.by_id(waiting.id)
    assert json.loads(attempt.snapshot().user_info)["nickname"] == "Alice"


async def test_the_link_leads_its_person_to_the_answer(door: Following) -> None:
    """Who scanned passes the silent consent, once, and may then confirm."""
    waiting = await door.begin()
    link = link_in(await door.scan(waiting))
    outcome = await door.come_back(link)
    assert outcome.name == "scanned"
    assert outcome.attempt is not None
    assert outcome.attempt.scanned_by == subject("alice")
    assert not (await door.consent.open(link))[1]
    answered = await door.desk.phone.answer(waiting.session_id, subject("alice"), Answer.CONFIRM, PHONE)
    assert answered.status is Status.CONFIRMED


async def test_a_forwarded_link_gets_nowhere(door: Following) -> None:
    """Another openid is refused, also one that differs by case only; the link lives on for its person."""
    waiting = await door.begin()
    link = link_in(await door.scan(waiting))
    for stranger in ("bob", "emoji"):
        assert (await door.come_back(link, stranger)).name == "dead_link"
    assert (await door.come_back(link)).name == "scanned"


async def test_a_snapshot_user_gets_nowhere(door: Following) -> None:
    """A made-up openid passes for nobody, not even where it is the one that scanned."""
    waiting = await door.begin()
    link = link_in(await door.scan(waiting, "snapshot"))
    outcome = await door.come_back(link, "snapshot")
    assert outcome.name == "snapshot_user"
    assert (await door.desk.attempts.by_id(waiting.id)).status is Status.SCANNED


async def test_a_link_works_once(door: Following) -> None:
    """Of many browsers of the same person that come back at once, one gets on."""
    waiting = await door.begin()
    link = link_in(await door.scan(waiting))
    attempt, _ = await door.consent.open(link)
    browsers = []
    for number in range(6):
        secret = f"browser-{number}"
        browsers.append((*at.consented(door.consent.consent_url(attempt, secret), "alice"), secret))
    answers = await asyncio.gather(
        *(door.callback.receive(state, code, secret, "en") for state, code, secret in browsers)
    )
    assert sorted(answer.outcome.name for answer in answers) == ["dead_link"] * 5 + ["scanned"]


async def test_what_the_push_left_open_is_learnt_at_the_link(store: Store, wechat: str) -> None:
    """A unionid that WeChat did not tell at the scan is there before the person can confirm."""
    async with at.following(store, MemoryBroker(), wechat) as door:
        waiting = await door.begin()
    async with at.following(store, MemoryBroker(), "http://127.0.0.1:9") as door:
        link = link_in(await door.scan(waiting))
    async with at.following(store, MemoryBroker(), wechat) as door:
        await door.come_back(link)
        assert (await door.desk.attempts.by_id(waiting.id)).profile["unionid"]


@pytest.mark.parametrize("link", ["", "A" * 43, "A" * 42, "B" * 44, "é" * 43])
async def test_a_link_nobody_made(door: Following, link: str) -> None:
    """A guessed link names no attempt."""
    with pytest.raises(AttemptNotFound):
        await door.consent.open(link)


async def test_an_answered_attempt_has_no_link(door: Following) -> None:
    """After the person's answer the link leads nowhere, used or not."""
    waiting = await door.begin()
    link = link_in(await door.scan(waiting))
    await door.desk.phone.answer(waiting.session_id, subject("alice"), Answer.CONFIRM, PHONE)
    attempt, alive = await door.consent.open(link)
    assert (attempt.status, alive) == (Status.CONFIRMED, False)


async def test_scans_may_confirm_by_themselves(store: Store, wechat: str, database_url: str) -> None:
    """Set to `auto`, the push signs in, under the unionid that WeChat tells; its next try changes nothing."""
    async with at.following(store, MemoryBroker(), wechat, auto=True) as door:
        waiting = await door.begin()
        push = scanned(waiting)
        first = await door.push(push)
        assert first
        assert "/c/" not in first
        assert await door.push(push) == first
        attempt = await door.desk.attempts.by_id(waiting.id)
        assert (attempt.status, attempt.scanned_by) == (Status.CONFIRMED, subject("alice"))
        (known,) = await rows(database_url, "SELECT uid, unionid FROM wechat_users")
        assert known["uid"] == attempt.user_id
        assert known["unionid"]
        assert (await door.desk.redeem(waiting)).tokens.access_token


async def test_unfollowing_deletes_once(door: Following, database_url: str) -> None:
    """What WeChat told of the person goes; a late try of the push does not touch who has come back since."""
    push = event("unsubscribe", "alice")
    await _known(door, database_url)
    assert await door.push(push) is None
    (known,) = await rows(database_url, "SELECT nickname FROM wechat_users")
    assert known["nickname"] is None
    await execute(database_url, "UPDATE wechat_users SET nickname = 'Alice'")
    assert await door.push(push) is None
    (known,) = await rows(database_url, "SELECT nickname FROM wechat_users")
    assert known["nickname"] == "Alice"


async def test_unfollowing_unbinds_who_has_another_way_in(door: Following, database_url: str) -> None:
    """With a number the account stays without WeChat, and its clients are told."""
    await _known(door, database_url)
    await execute(database_url, "UPDATE users SET phone = '+8613800138000'")
    await door.push(event("unsubscribe", "alice"))
    assert await rows(database_url, "SELECT id FROM wechat_users") == []
    assert [row["type"] for row in await rows(database_url, "SELECT type FROM account_events")] == [
        "binding.changed"
    ]


async def _known(door: Following, database_url: str) -> None:
    waiting = await door.begin()
    await door.scan(waiting)
    await door.desk.phone.answer(waiting.session_id, subject("alice"), Answer.CONFIRM, PHONE)
    await execute(database_url, "UPDATE wechat_users SET nickname = 'Alice'")
