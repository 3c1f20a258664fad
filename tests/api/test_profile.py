"""The own account over HTTP, on real processes."""

from tests.code_client import Person, new_number
from tests.problems import refused
from tests.servers.hub import HubProcess


async def test_an_account_is_deleted(hub: HubProcess) -> None:
    """Its tokens are refused from then on, and its number makes a new account."""
    number = new_number()
    async with Person(hub.url) as person:
        reply = await person.sign_in(number)
        refused(await person.http.delete("/api/user"), 401, "unauthorized")
        bearer = {"authorization": f"Bearer {reply['access_token']}"}
        answer = await person.http.delete("/api/user", headers=bearer)
        assert answer.status_code == 200, answer.text
        refused(await person.http.get("/api/user/profile", headers=bearer), 401, "unauthorized")
        refused(
            await person.post("/api/token/refresh", refresh_token=reply["refresh_token"]),
            401,
            "invalid-refresh-token",
        )
