"""Bindings over HTTP, on real processes."""

from tests.code_client import Person, new_email, new_number
from tests.people import forget, sign_in
from tests.problems import refused
from tests.servers.hub import HubProcess


async def test_from_wechat_to_a_number_and_back(hub: HubProcess) -> None:
    """A person who came by WeChat binds number and address, and then parts from WeChat."""
    await forget(hub.url, "noavatar")
    reply = await sign_in(hub.url, "noavatar")
    bearer = {"authorization": f"Bearer {reply['access_token']}"}
    async with Person(hub.url, **bearer) as person:
        refused(await person.post("/api/user/unbind-wechat"), 409, "last-sign-in-method")
        number, email = new_number(), new_email()
        code = await person.code(number, purpose="bind")
        bound = await person.post("/api/user/bind-phone", phone=number, code=code)
        assert bound.status_code == 200, bound.text
        assert bound.json()["data"]["login_type"] == "both"
        code = await person.code(email, purpose="bind")
        bound = await person.post("/api/user/bind-email", email=email, code=code)
        assert bound.json()["data"]["login_methods"] == ["phone", "wechat", "email"]
        parted = await person.post("/api/user/unbind-wechat")
        assert parted.status_code == 200, parted.text
        assert (parted.json()["data"]["login_type"], parted.json()["data"]["wechat_info"]) == ("phone", None)
        refused(await person.post("/api/user/unbind-wechat"), 404, "not-found")


async def test_who_is_not_signed_in_binds_nothing(hub_on_sqlite: HubProcess) -> None:
    """Each of the calls needs an access token, before it looks at anything else."""
    async with Person(hub_on_sqlite.url) as person:
        for path in ("bind-phone", "bind-email", "unbind-wechat"):
            refused(await person.post(f"/api/user/{path}"), 401, "unauthorized")


async def test_anothers_number_is_refused(hub_on_sqlite: HubProcess) -> None:
    """The answer says nothing of the other account."""
    number = new_number()
    async with Person(hub_on_sqlite.url) as owner, Person(hub_on_sqlite.url) as other:
        await owner.sign_in(number)
        reply = await other.sign_in(new_email())
        other.http.headers["authorization"] = f"Bearer {reply['access_token']}"
        code = await other.code(number, purpose="bind", country_code="+86")
        answer = await other.post("/api/user/bind-phone", phone=number, code=code)
        assert number not in str(refused(answer, 409, "already-bound"))
