"""The documents say what there is."""

import re
from pathlib import Path

from hub.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


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


def test_the_readme_has_no_other_setting() -> None:
    """No row outlives its setting."""
    table = README.partition("## Settings")[2].partition("\n## ")[0]
    named = {line.split("`")[1].lower() for line in table.splitlines() if line.startswith("| `")}
    assert named == set(Settings.model_fields)


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
