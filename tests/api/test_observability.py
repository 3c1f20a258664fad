"""What an operator sees: health, metrics and logs."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.qr.identifiers import hashed
from hub.web.language import translate
from tests.people import AT, Browser, CustomerApp, Phone, frame, sign_in
from tests.problems import refused
from tests.servers.hub import SECRET, HubProcess
from tests.servers.mariadb import MariaDB
from tests.servers.redis import RedisServer
from tests.servers.waiting import until
from tests.signing_in import execute


class Metrics:
    """One reading of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name that have these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> set[str]:
        """Every value that a label of this name has anywhere."""
        return {sample.labels[name] for sample in self.samples if name in sample.labels}


async def read(http: httpx2.AsyncClient) -> Metrics:
    """Read the metrics."""
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return Metrics(answer.text)


@pytest.fixture
def own_hub(tmp_path: Path) -> Iterator[HubProcess]:
    """A hub of the test's own, whose counters begin at nothing."""
    process = HubProcess(tmp_path, LOG_LEVEL="debug").start()
    yield process
    process.stop()


@pytest.fixture
async def http(own_hub: HubProcess) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of it."""
    async with httpx2.AsyncClient(base_url=own_hub.url) as http:
        yield http


# --- Health.


async def test_a_healthy_hub(hub: HubProcess) -> None:
    """Alive, and ready with database and broker."""
    async with httpx2.AsyncClient(base_url=hub.url) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        ready = await http.get("/readyz")
        assert ready.json() == {"status": "ok", "database": True, "broker": True}
        assert ready.headers["cache-control"] == "no-store"


async def test_without_redis_it_is_degraded(tmp_path: Path, mariadb_url: str, own_redis: RedisServer) -> None:
    """It serves on, says so with 200, and heals without a restart."""
    hub = HubProcess(tmp_path, DATABASE_URL=mariadb_url, REDIS_URL=own_redis.url).start()
    try:
        async with Browser(hub.url) as browser:

            async def is_(status: str) -> bool:
                answer = await browser.http.get("/readyz")
                assert answer.status_code == 200
                told: str = answer.json()["status"]
                return told == status

            await until(lambda: is_("ok"))
            own_redis.kill()
            await until(lambda: is_("degraded"))
            assert (await browser.http.get("/healthz")).status_code == 200
            assert (await read(browser.http))("hub_broker_connected") == 0
            await sign_in(hub.url)
            own_redis.start()
            await until(lambda: is_("ok"))
            assert (await read(browser.http))("hub_broker_connected") == 1
    finally:
        hub.stop()


async def test_without_its_database_it_is_unavailable(tmp_path: Path, own_mariadb: MariaDB) -> None:
    """503 for balancers and 503 problems for clients; a socket stays, and all heals without a restart."""
    own_mariadb.execute("CREATE DATABASE hub_health")
    hub = HubProcess(tmp_path, DATABASE_URL=own_mariadb.url("hub_health")).start()
    try:
        async with Browser(hub.url) as browser, Phone(hub.url) as phone:
            await browser.begin()
            async with browser.socket() as socket:
                await frame(socket)
                own_mariadb.kill()

                async def ready() -> bool:
                    return (await browser.http.get("/readyz")).status_code == 200

                async def away() -> bool:
                    return not await ready()

                await until(away)
                told = (await browser.http.get("/readyz")).json()
                assert told == {"status": "unavailable", "database": False, "broker": True}
                assert (await browser.http.get("/healthz")).status_code == 200
                answer = await browser.http.post(f"{AT}/qr-code")
                assert int(answer.headers["retry-after"]) >= 1
                refused(answer, 503, "store-unavailable")
                page = await phone.http.get(browser.attempt["qr_content"])
                assert page.status_code == 503
                assert int(page.headers["retry-after"]) >= 1
                assert translate("en", "page.outcome.busy.title") in page.text
                assert (await read(browser.http))("hub_store_unavailable_total") >= 1
                own_mariadb.start()
                await until(ready)
                await phone.scan(browser.attempt["qr_content"])
                assert (await frame(socket))["status"] == "scanned"
    finally:
        hub.stop()


# --- Metrics.


async def test_the_life_of_attempts_is_counted(own_hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Created, scanned, confirmed, declined, expired and redeemed, so that rates follow."""
    async with Browser(own_hub.url) as browser, Phone(own_hub.url) as phone:
        await browser.begin()
        await phone.scan(browser.attempt["qr_content"])
        await phone.answer()
        await browser.redeem(code_verifier="x" * 43)
        reply = (await browser.redeem()).json()["data"]
        await browser.redeem()
        async with CustomerApp(own_hub.url, reply["access_token"]) as app:
            await browser.begin(door="app")
            await app.scan(browser.attempt["qr_code"])
            await app.answer(browser.session_id, "cancel")
        await browser.begin(door="app")
        await execute(
            own_hub.database_url,
            "UPDATE login_sessions SET expires_at = :moment WHERE session_id = :key",
            moment=datetime.now(UTC) - timedelta(seconds=1),
            key=hashed(browser.session_id),
        )
        async with browser.socket() as socket:
            while (await frame(socket))["status"] != "expired":
                pass
            await socket.send('{"type":"refresh"}')
            assert (await frame(socket))["status"] == "pending"
        refresh = {"refresh_token": reply["refresh_token"]}
        await browser.http.post("/api/token/refresh", json=refresh)
    metrics = await read(http)
    assert metrics("hub_qr_created_total", door="h5") == 1
    assert metrics("hub_qr_created_total", door="app") == 3
    assert metrics("hub_qr_moves_total", status="scanned") == 2
    assert metrics("hub_qr_moves_total", door="h5", status="confirmed", reason="") == 1
    assert metrics("hub_qr_moves_total", door="app", status="failed", reason="declined") == 1
    assert metrics("hub_qr_moves_total", status="expired") == 1
    assert metrics("hub_qr_redemptions_total", result="success") == 1
    assert metrics("hub_qr_redemptions_total", result="mismatch") == 1
    assert metrics("hub_qr_redemptions_total", result="refused") == 1
    assert metrics("hub_sessions_opened_total") == 1
    assert metrics("hub_token_refreshes_total", result="rotated") == 1


async def test_requests_and_errors_are_counted_by_route(http: httpx2.AsyncClient) -> None:
    """Time by route, answers by status, so that the error rate follows."""
    for _ in range(3):
        await http.get("/problems/not-found")
    await http.get("/problems/nothing")
    metrics = await read(http)
    route = {"route": "/problems/{slug}", "method": "GET"}
    assert metrics("hub_http_request_seconds_count", **route) == 4
    assert metrics("hub_http_request_seconds_sum", **route) > 0
    assert metrics("hub_http_answers_total", **route, status="200") == 3
    assert metrics("hub_http_answers_total", **route, status="404") == 1


async def test_sockets_and_the_way_to_them_are_measured(
    own_hub: HubProcess, http: httpx2.AsyncClient
) -> None:
    """How many are open, how many watch, and how long a publication takes to a frame or an event."""
    async with Browser(own_hub.url) as browser, Phone(own_hub.url) as phone:
        await browser.begin()
        async with (
            browser.socket() as one,
            browser.socket() as two,
            browser.http.stream("GET", browser.attempt["events_url"]) as stream,
        ):
            lines = stream.aiter_lines()
            for socket in (one, two):
                await frame(socket)
            while not (await anext(lines)).startswith("data:"):
                pass
            metrics = await read(http)
            assert metrics("hub_open_sockets") == 2
            assert metrics("hub_broker_watches") == 3
            assert metrics("hub_qr_publish_to_frame_seconds_count") == 0
            await phone.scan(browser.attempt["qr_content"])
            for socket in (one, two):
                assert (await frame(socket))["status"] == "scanned"
            while not (await anext(lines)).startswith("data:"):
                pass

        async def measured() -> bool:
            metrics = await read(http)
            return (
                metrics("hub_qr_publish_to_frame_seconds_count") == 3
                and metrics("hub_open_sockets") == 0
                and metrics("hub_broker_watches") == 0
            )

        await until(measured)


async def test_calls_to_wechat_are_measured(own_hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Their time by call, and what failed by errcode; one that nobody knows is `other`."""
    async with Browser(own_hub.url) as browser, Phone(own_hub.url) as phone:
        await browser.begin()
        for errcode in (45011, 40029, 987654, 987655):
            fault = {"fault": "errcode", "errcode": errcode, "path": "/sns/userinfo", "count": 1}
            await http.post("/sandbox/faults", json=fault)
            await phone.scan(browser.attempt["qr_content"])
        await http.post("/sandbox/faults", json={"fault": "drop", "count": 1})
        await phone.scan(browser.attempt["qr_content"])
        await phone.scan(browser.attempt["qr_content"])
    metrics = await read(http)
    assert metrics("hub_wechat_call_seconds_count", call="exchange") == 6
    assert metrics("hub_wechat_call_seconds_count", call="userinfo") == 5
    assert metrics("hub_wechat_errors_total", call="userinfo", errcode="45011") == 1
    assert metrics("hub_wechat_errors_total", call="userinfo", errcode="other") == 2
    assert metrics("hub_wechat_errors_total", call="exchange", errcode="unreachable") == 1


async def test_the_store_is_measured(own_hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Units by lane, and the connections they share."""
    await sign_in(own_hub.url)
    metrics = await read(http)
    assert metrics("hub_store_unit_seconds_count", lane="write") > 0
    assert metrics("hub_store_unit_seconds_count", lane="read") > 0
    assert metrics("hub_store_connections") >= 2
    assert metrics("hub_store_waiting") == 0


async def test_no_label_grows_with_its_callers(own_hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """Paths, methods, ids and codes that clients make up do not become labels."""
    async with Browser(own_hub.url) as browser:
        await browser.begin()
        await browser.status()
        async with browser.socket():
            pass
    before = await read(http)
    for number in range(30):
        for method in ("GET", "POST", "QUERY", "PROPFIND", "BREW"):
            for path in (f"/{number}", f"/s/{number}", f"{AT}/status/{number}", f"/static/{number}"):
                await http.request(method, path)
    metrics = await read(http)
    known = {
        route
        for route in metrics.labels("route")
        if re.fullmatch(r"none|/|(/[a-z_.-]+|/\{[a-z_]+\})+(\.\w+)?", route)
    }
    assert metrics.labels("route") == known
    assert metrics.labels("method") - before.labels("method") <= {"GET", "POST", "other"}
    assert not any(char.isdigit() for route in known for char in route.replace("h5", ""))
    values = {value for sample in metrics.samples for value in sample.labels.values()}
    assert browser.session_id not in values
    assert browser.attempt["qr_code"] not in values


# --- Logs.


async def test_each_request_is_one_line(own_hub: HubProcess, http: httpx2.AsyncClient) -> None:
    """With its id, route, status and time, and with the reason of a refusal; never with the path."""
    await http.get(f"{AT}/status/{'s' * 43}", headers={"x-request-id": "trace-me-once"})
    await http.get("/healthz", headers={"x-request-id": "trace-me-twice"})

    async def written() -> bool:
        return "trace-me-twice" in own_hub.log()

    await until(written)  # a line follows its answer
    (refusal,) = [line for line in own_hub.log().splitlines() if "trace-me-once" in line]
    assert "route=/api/auth/wechat/status/{session_id}" in refusal
    assert "status=404" in refusal
    assert "attempt-not-found: unknown session_id" in refusal
    assert "s" * 43 not in refusal
    (line,) = [line for line in own_hub.log().splitlines() if "trace-me-twice" in line]
    assert "milliseconds=" in line
    assert "reason" not in line


async def test_each_socket_is_one_line(own_hub: HubProcess) -> None:
    """A handshake has the one line that every request has, with its route and nothing of its path."""
    async with Browser(own_hub.url) as browser:
        await browser.begin()
        async with browser.socket(**{"X-Request-ID": "trace-a-socket"}) as socket:
            await frame(socket)

            async def logged() -> bool:
                return "trace-a-socket" in own_hub.log()

            await until(logged)
        session_id = browser.attempt["session_id"]
    (line,) = [line for line in own_hub.log().splitlines() if "trace-a-socket" in line]
    assert "route=/api/auth/wechat/ws/{session_id}" in line
    assert session_id not in own_hub.log()


async def test_at_debug_the_libraries_keep_quiet(own_hub: HubProcess) -> None:
    """Only our own lines may be that fine: those of others hold frames, headers and values of statements."""
    await sign_in(own_hub.url)
    fine = [line for line in own_hub.log().splitlines() if "[debug" in line]
    assert [line for line in fine if not re.search(r"\[hub\.\w+\]", line)] == []


async def test_production_logs_are_json(tmp_path: Path, sqlite_url: str) -> None:
    """One object a line, with time, level and logger."""
    hub = HubProcess(
        tmp_path,
        HUB_ENV="production",
        HUB_LIMITS="on",
        PUBLIC_URL="https://login.example.com",
        DATABASE_URL=sqlite_url,
        WECHAT_H5_APP_ID="wx0000000000000001",
        WECHAT_H5_APP_SECRET=SECRET,
        CODE_PEPPERS=f"pepper-{SECRET}",
        DATA_KEYS=f"data-{SECRET}",
    ).start()
    try:
        async with httpx2.AsyncClient(base_url=hub.url) as http:
            await http.get("/nowhere", headers={"x-request-id": "trace-in-production"})
    finally:
        hub.stop()
    lines: list[dict[str, Any]] = [json.loads(line) for line in hub.log().splitlines()]
    assert all({"timestamp", "level", "logger", "event"} <= line.keys() for line in lines)
    (line,) = [line for line in lines if line.get("request_id") == "trace-in-production"]
    assert (line["event"], line["status"], line["route"], line["level"]) == ("request", 404, "none", "info")
