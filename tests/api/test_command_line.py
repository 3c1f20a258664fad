"""The command line, as an operator types it."""

import subprocess
import sys
from pathlib import Path

import pytest

from hub.cli import COMMANDS
from tests.servers.hub import SECRET, HubProcess, inherited
from tests.servers.mariadb import MariaDB
from tests.servers.ports import free_port
from tests.servers.worker import ALIYUN

HUB = str(Path(sys.executable).with_name("hub"))


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `hub` in an empty folder with these settings alone."""
    return subprocess.run(
        [HUB, *arguments],
        cwd=folder,
        env={**inherited(), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    """With what each is for; another name is refused."""
    told = run(tmp_path, "--help").stdout.partition("Commands:")[2]
    assert {line.split()[0] for line in told.splitlines() if line.startswith("  ") and line[2] != " "} == {
        *COMMANDS
    }
    assert run(tmp_path, "srve").returncode == 2


def test_migrate_twice(tmp_path: Path) -> None:
    """The first run applies the schema, the second finds it in place."""
    assert "applied 0001_core.sql" in run(tmp_path, "migrate").stdout
    assert run(tmp_path, "migrate").stdout == "the schema is up to date\n"


def test_wrong_settings_stop_the_start(tmp_path: Path) -> None:
    """Each wrong setting is one line that names it, and the exit code tells."""
    done = run(tmp_path, "serve", HUB_ENV="staging", PORT="http")
    lines = done.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["HUB_ENV", "PORT"]
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("serve", "OAUTH_CLIENTS"),
        ("serve", "PROFILE_SCHEMA"),
        ("doctor", "OAUTH_CLIENTS"),
        ("doctor", "GEOIP_DB"),
        ("doctor", "JWT_KEYS"),
    ],
)
def test_a_wrong_file_stops_the_start(tmp_path: Path, command: str, setting: str) -> None:
    """A file that holds something else is one line that names its setting."""
    file = tmp_path / "file"
    file.write_text('[{"type": 7}]')
    env = {"JWT_ALG": "EdDSA"} if setting == "JWT_KEYS" else {}
    done = run(tmp_path, command, PORT=str(free_port()), **env, **{setting: str(file)})
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hub: ")]
    assert line.startswith(f"hub: {setting}: ")
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_production_refuses_stand_ins(tmp_path: Path) -> None:
    """Production without secrets of its own does not start, and says which are missing."""
    done = run(tmp_path, "serve", HUB_ENV="production")
    for name in ("PUBLIC_URL", "JWT_SECRET", "COOKIE_SECRET", "REFRESH_KEYS", "DATA_KEYS"):
        assert f"hub: {name}: " in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_production_wants_the_schema(tmp_path: Path, command: str) -> None:
    """Production does not migrate by itself, and says what to run."""
    rings = ("JWT_SECRET", "COOKIE_SECRET", "REFRESH_KEYS", "DATA_KEYS", "CODE_PEPPERS")
    secrets = dict.fromkeys(rings, SECRET)
    done = run(tmp_path, command, HUB_ENV="production", PUBLIC_URL="https://login.example.com", **secrets)
    assert "run `hub migrate` first" in done.stderr
    assert done.returncode == 3


def test_a_command_without_its_database(tmp_path: Path) -> None:
    """A database that is away is one line that names the setting."""
    done = run(tmp_path, "user", "list", DATABASE_URL="mysql://hub:x@127.0.0.1:1/hub")
    assert done.stderr.startswith("hub: DATABASE_URL: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode == 3


def test_doctor_finds_all_well(
    tmp_path: Path, mariadb_url: str, redis_url: str, hub_on_sqlite: HubProcess
) -> None:
    """With everything in place each part is told to be well."""
    done = run(
        tmp_path,
        "doctor",
        DATABASE_URL=mariadb_url,
        REDIS_URL=redis_url,
        WECHAT_API_URL=f"{hub_on_sqlite.url}/sandbox",
        WECHAT_OPEN_URL=f"{hub_on_sqlite.url}/sandbox",
        WECHAT_H5_APP_ID="wxsandbox00000h5",
        WECHAT_H5_APP_SECRET="sandbox-secret",
    )
    assert [line.split()[0] for line in done.stdout.splitlines() if "note" not in line] == ["ok"] * 5
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("env", "part"),
    [
        ({"DATABASE_URL": "mysql://hub:x@127.0.0.1:1/hub"}, "database"),
        ({"DATABASE_URL": "sqlite:///empty.db"}, "database"),
        ({"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, "broker"),
        ({"WECHAT_API_URL": "http://127.0.0.1:1", "WECHAT_OPEN_URL": "http://127.0.0.1:1"}, "wechat"),
        ({**ALIYUN, "ALIYUN_SMS_URL": "http://127.0.0.1:1"}, "sms"),
        (
            {
                "EMAIL_PROVIDERS": "smtp",
                "SMTP_HOST": "127.0.0.1",
                "SMTP_PORT": "1",
                "SMTP_FROM": "no-reply@hub.example",
            },
            "email",
        ),
    ],
)
def test_doctor_says_what_to_mend(tmp_path: Path, sqlite_url: str, env: dict[str, str], part: str) -> None:
    """A part that is away, or a schema that is not there, is named, and the exit code tells."""
    settings = {"DATABASE_URL": sqlite_url, "WECHAT_H5_APP_ID": "wx1", "WECHAT_H5_APP_SECRET": "s", **env}
    done = run(tmp_path, "doctor", **settings)
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("mend")] == [f"{part}:"]
    assert done.returncode == 1


def test_doctor_of_an_installation_without_wechat(tmp_path: Path, sqlite_url: str) -> None:
    """Without an app of WeChat's only the app's own door is open, which is told as something to mend."""
    away = "http://127.0.0.1:1"
    done = run(tmp_path, "doctor", DATABASE_URL=sqlite_url, WECHAT_API_URL=away, WECHAT_OPEN_URL=away)
    (told,) = [line for line in done.stdout.splitlines() if "no app is configured" in line]
    assert told.split()[:2] == ["mend", "wechat:"]
    assert done.returncode == 1


def test_doctor_finds_a_wrong_secret(tmp_path: Path, sqlite_url: str, hub_on_sqlite: HubProcess) -> None:
    """A secret that WeChat does not know is told apart from a code that it refuses."""
    at = f"{hub_on_sqlite.url}/sandbox"
    done = run(
        tmp_path,
        "doctor",
        DATABASE_URL=sqlite_url,
        WECHAT_API_URL=at,
        WECHAT_OPEN_URL=at,
        WECHAT_H5_APP_ID="wxsandbox00000h5",
        WECHAT_H5_APP_SECRET="wrong",
    )
    assert "40125" in done.stdout
    assert done.returncode == 1


def test_a_database_that_refuses(tmp_path: Path, mariadb_server: MariaDB) -> None:
    """A wrong password stops the start with a line that names the setting, not the password."""
    url = mariadb_server.url("hub", password="wrong-password")
    done = run(tmp_path, "serve", DATABASE_URL=url)
    assert "hub: DATABASE_URL: " in done.stderr
    assert "wrong-password" not in done.stderr
    assert done.returncode == 3
