"""The documents say what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from starlette.routing import Mount, Route

from hub.app import create_app
from hub.audit import rules as signals
from hub.cli import COMMANDS, main
from hub.codes.dispatch import MAX_TRIES
from hub.codes.rules import LOCK, TRIES
from hub.errors import kinds
from hub.limits.concurrency import PER_ADDRESS, PER_ATTEMPT
from hub.limits.guard import QR, VERIFY
from hub.ops.retention import RULES
from hub.qr.phone import BURNS
from hub.qr.states import Lifetimes
from hub.sandbox import sandbox_for
from hub.server import DRAIN_TIME
from hub.settings import Settings
from hub.supervisor import LEAVE_TIME
from hub.web.cookies import DEVICE_AGE
from hub.web.parking.lot import PING_INTERVAL
from hub.wechat.sandbox.people import PEOPLE
from tests.metrics import Measured, measured

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
GUIDES = ROOT / "hub" / "docs" / "guides"
FILES = [*sorted(ROOT.glob("README*.md")), *sorted(GUIDES.glob("*.md"))]
TEXTS = {path.name: path.read_text("utf-8") for path in FILES}
OPERATIONS = TEXTS["operations.md"]
CODE = "".join(path.read_text("utf-8") for path in (ROOT / "hub").rglob("*.py"))
ROUTES = [route.path for route in create_app(Settings()).routes if not isinstance(route, Mount)]  # type: ignore[attr-defined]  # each has one
METRICS = measured()

COMPOSE_SERVICE = {
    *(
        "build",
        "command",
        "configs",
        "depends_on",
        "deploy",
        "env_file",
        "environment",
        "healthcheck",
        "image",
    ),
    *("networks", "ports", "restart", "stop_grace_period", "volumes"),
}
"""What of the Compose Specification a service of ours may have."""

every_text = pytest.mark.parametrize("name", TEXTS)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SETTING = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
METRIC = re.compile(r"\bhub_[a-z_]+\b")
COOKIES = {"hub_binding", "hub_connection", "hub_device", "hub_grant", "hub_refresh"}
ELSEWHERE = {"MYSQL_PASSWORD", "SMS_1"}  # read by compose.yaml itself; a template's code


def blocks(text: str, language: str) -> Iterator[str]:
    """The blocks of code in one language, without their indentation."""
    for indent, body in re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        yield "".join(f"{line.removeprefix(indent)}\n" for line in body.splitlines())


def without_sql(text: str) -> str:
    """The text without its statements, whose words are in capitals too."""
    return re.sub(r"```sql.*?```", "", text, flags=re.DOTALL).replace("CONVERT_TZ", "")


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    if hasattr(default, "get_secret_value"):
        default = default.get_secret_value()
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_setting_is_in_the_readme() -> None:
    """The README's table has each setting with its default and its meaning."""
    for name, setting in Settings.model_fields.items():
        row = f"| `{name.upper()}` | {_default(name)} | {setting.description}"
        assert row in README, name


@pytest.mark.parametrize(
    ("readme", "heading"), [("README.md", "## Settings"), ("README.zh-CN.md", "## 设置")]
)
def test_a_readme_has_each_setting_and_no_other(readme: str, heading: str) -> None:
    """The table of each language has a row for each setting, in their order, with its default."""
    table = TEXTS[readme].partition(heading)[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    told = [(row[0].strip("| `").lower(), row[1].strip()) for row in rows]
    assert told == [(name, _default(name)) for name in Settings.model_fields]
    assert all(len(row[2]) > 4 for row in rows)


def test_the_example_has_every_setting() -> None:
    """`.env.example` offers each setting once, commented out."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    offered = [line[2:].partition("=")[0].lower() for line in lines if "=" in line]
    assert offered == list(Settings.model_fields)


def test_the_board_shows_what_is_measured() -> None:
    """Every metric of the Grafana board is one that a module defines."""
    board = (ROOT / "hub" / "ops" / "grafana.json").read_text("utf-8")
    used = {re.sub(r"_bucket$", "", name) for name in re.findall(r"hub_[a-z_]+", board)}
    code = "".join(path.read_text("utf-8") for path in (ROOT / "hub").rglob("*.py"))
    assert len(used) > 15
    assert {name for name in used if f'"{name}"' not in code} == set()


@every_text
def test_settings_exist(name: str) -> None:
    """Whatever looks like a setting is one."""
    named = {word.lower() for word in SETTING.findall(without_sql(TEXTS[name])) if word not in ELSEWHERE}
    assert named - set(Settings.model_fields) == set()


@every_text
def test_settings_have_values_that_are_taken(name: str) -> None:
    """Each `NAME=value` of the documents is one that the settings take, but for what is left out."""
    for setting, value in re.findall(r"\b([A-Z][A-Z0-9_]+)=([^\s`,;)]+)", without_sql(TEXTS[name])):
        field = setting.lower()
        if field in Settings.model_fields and "…" not in value:
            assert getattr(Settings(_env_file=None, **{field: value}), field) is not None, setting


@every_text
def test_metrics_exist(name: str) -> None:
    """Whatever looks like a metric is one."""
    known = {each.name for each in METRICS} | {f"{each.name}_bucket" for each in METRICS}
    assert set(METRIC.findall(TEXTS[name])) - known - COOKIES == set()


@every_text
def test_commands_exist(name: str) -> None:
    """Each `hub …` of the documents is a command, with the options that it has."""
    lines = [line for block in blocks(TEXTS[name], "sh") for line in block.splitlines()]
    for line in (*lines, *SPAN.findall(TEXTS[name])):
        words = line.removeprefix(".venv/bin/").split()
        if len(words) < 2 or words[0] != "hub" or "…" in words:
            continue
        command: click.Command = main
        for word in words[1:]:
            if isinstance(command, click.Group) and not word.startswith("-"):
                found = command.get_command(click.Context(command), word)
                assert found, line
                command = found
            elif word.startswith("--"):
                assert word in {option for each in command.params for option in each.opts}, line


@every_text
def test_paths_exist(name: str) -> None:
    """Each path of the API that is named is routed."""
    heads = (
        "/api/",
        "/oauth/",
        "/.well-known/",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi",
        "/asyncapi",
    )
    for span in SPAN.findall(TEXTS[name]):
        path = re.sub(r"^(GET|POST|PATCH|DELETE|WS) ", "", span).split("?")[0].split(" ")[0]
        path = path.removeprefix("PUBLIC_URL").removeprefix("{PUBLIC_URL}")
        if path.startswith(heads):
            assert path in ROUTES, span


@every_text
def test_problems_exist(name: str) -> None:
    """Each refusal that is named with its status has that status."""
    for status, slug in re.findall(r"\b([45]\d\d)\s+`([a-z-]+)`", TEXTS[name]):
        assert kinds()[slug].status == int(status), slug


def test_every_metric_is_in_the_guide() -> None:
    """The table of metrics is made of the metrics themselves."""
    table = OPERATIONS.partition("## Metrics")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `hub_")]
    assert rows == [_row(metric) for metric in METRICS]


def _row(metric: Measured) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {labels} | {metric.about.rstrip('.')} |"


def test_alerts_ask_for_what_is_measured() -> None:
    """The rules are valid YAML, and each selects and groups by labels that its metrics have."""
    (rules,) = blocks(OPERATIONS, "yaml")
    labels = {metric.name: {*metric.labels, "le"} for metric in METRICS}
    (group,) = yaml.safe_load(rules)["groups"]
    assert len(group["rules"]) > 8
    for rule in group["rules"]:
        assert {"alert", "expr", "annotations"} <= set(rule) <= {"alert", "expr", "annotations", "for"}
        used = re.findall(r"(hub_[a-z_]+?)(?:_bucket)?(?:\{([^}]*)\})?[\[) ]", f"{rule['expr']} ")
        assert used, rule
        known = set.intersection(*(labels[name] for name, _ in used))
        for name, selected in used:
            assert set(re.findall(r"(\w+)=~?\"", selected)) <= labels[name], rule
        grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
        assert {label for each in grouped for label in each.split(", ")} <= known, rule


def test_log_lines_exist() -> None:
    """The lines that the guide says to look at are ones that the code writes."""
    text = OPERATIONS.partition("Of the others look at")[2].partition("## ")[0]
    events = SPAN.findall(text)
    assert len(events) > 5
    assert [event for event in events if not re.search(rf'log\.\w+\(\s*"{event}"', CODE)] == []


def test_retention_is_that_of_the_worker() -> None:
    """The guide has a row for each table that the worker goes through, with the age at which rows go."""
    table = OPERATIONS.partition("## What is kept for how long")[2].partition("\n## ")[0]
    for rule in RULES:
        (row,) = [line for line in table.splitlines() if f"`{rule.table}`" in line]
        days = rule.age.days - (
            1 if rule.table == "sms_budgets" else 0
        )  # whose age counts from its day's begin
        age = f"{days} day" if days else f"{rule.age.seconds // 3600} hour"
        assert re.search(rf"\b{age}s?\b", row), row


def test_every_table_has_its_retention() -> None:
    """No table of the schema is left out of the guide."""
    text = OPERATIONS.partition("## What is kept for how long")[2].partition("\n## People")[0]
    schema = "".join(path.read_text("utf-8") for path in (ROOT / "sql" / "mysql").glob("*.sql"))
    tables = set(re.findall(r"CREATE TABLE (\w+)", schema))
    assert len(tables) > 10
    assert {table for table in tables if f"`{table}`" not in text} == set()


def test_threats_tell_the_true_limits() -> None:
    """The figures in the guide to threats are those of the code."""
    lives = Lifetimes()
    for said in (
        f"an attempt waits {lives.pending} seconds for a scan, and {lives.scanned} for the answer",
        f"the visible code changes each {lives.visible} seconds and is taken for {lives.former} more",
        f"a confirmed attempt is redeemed within {lives.confirmed}",
        f"at most twice per browser in {BURNS.window // 60} minutes",
        f"{QR.quota} attempts a minute",
        f"{VERIFY.quota} scans and redemptions in {VERIFY.window // 60} minutes",
        f"{PER_ADDRESS} open streams and {PER_ATTEMPT} of one attempt",
        f"{TRIES} comparisons, then it is dead, and this asker waits {LOCK.seconds // 60} minutes",
        f"Once {signals.REPORTERS} people reported an address within the hour",
        f"{signals.MANY_ACCOUNTS} accounts are tried from it",
    ):
        assert said in " ".join(TEXTS["threats.md"].split()), said
    assert (QR.window, BURNS.quota, signals.WINDOW.seconds, signals.REPORTS_KEPT.days) == (60, 2, 3600, 1)


def test_operations_tell_the_true_times() -> None:
    """The figures in the guides to operations and production are those of the code."""
    text = " ".join((OPERATIONS + TEXTS["production.md"]).split())
    for said in (
        f"sends the sockets away with 1012 over {DRAIN_TIME:g} seconds",
        f"exits within {LEAVE_TIME:g}",
        f"tried again up to {MAX_TRIES} times",
        f"sockets are pinged each {PING_INTERVAL:g} seconds",
        f"{DEVICE_AGE // 86400} days for the cookies that know a device again",
    ):
        assert said in text, said


def test_every_mitigation_is_judged() -> None:
    """Each of the seventeen mitigations that RFC 10027 sums up has a row with its state."""
    table = TEXTS["threats.md"].partition("## The mitigations of RFC 10027")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 17
    assert all(re.match(r"on|off|partly|for binding", row[1]) for row in rows)


def test_compose_uses_what_there_is() -> None:
    """The services of `compose.yaml` have commands and settings of the hub, and depend on each other."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    services = compose["services"]
    ours = {name: each for name, each in services.items() if "dockerfile_inline" in each.get("build", {})}
    assert set(ours) == {"migrate", "web", "worker"}
    for each in ours.values():
        hub, command = each["command"].split()
        assert hub == "hub"
        assert command in COMMANDS
        given = {name.lower(): value for name, value in each["environment"].items()}
        assert set(given) <= set(Settings.model_fields)
        assert Settings(_env_file=None, **given).production
    for each in services.values():
        assert set(each) <= COMPOSE_SERVICE
        assert set(each.get("depends_on", ())) <= set(services)
        assert set(each["networks"]) <= set(compose["networks"])
        volumes = {volume.partition(":")[0] for volume in each.get("volumes", ())}
        assert volumes <= set(compose["volumes"])


def test_the_sandbox_has_what_its_guide_names() -> None:
    """Each call of the guide is one of the sandbox, by that method, and each person is one of its people."""
    app = sandbox_for(Settings(_env_file=None), public_url="http://127.0.0.1", messages=_nothing_sent)
    routes = [route for route in app.routes if isinstance(route, Route)]
    routed = {f"{method} {route.path}" for route in routes for method in route.methods or ()}
    text = TEXTS["sandbox.md"]
    calls = {span.split("?")[0] for span in SPAN.findall(text) if re.match("(GET|POST) /", span)}
    assert len(calls) > 10
    assert calls <= routed
    assert set(SPAN.findall(text.partition("The people are")[2])) == set(PEOPLE)


async def _nothing_sent(_: str) -> list[dict[str, str | None]]:
    return []
