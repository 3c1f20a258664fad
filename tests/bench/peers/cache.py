"""Fetching what the peers need into a folder of the bench, once.

Debian's packages are unpacked, not installed, so that no service starts; npm puts its packages beside them.
"""

import json
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

_DEBIAN = ("nginx", "libnginx-mod-nchan")
_NODE = Path(__file__).parent / "node"
_BUILT_WITH = Path("/var/lib/nginx")
_LIMIT = 180.0  # seconds for a download


class Missing(Exception):
    """A peer that cannot run here; its text says what is missing."""


def node(cache: Path) -> Path:
    """Return the folder with the Node peers and their packages. Raises Missing."""
    folder = cache / "node"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (_NODE / "package.json").read_text()
    there = folder / "package.json"
    fresh = not there.exists() or there.read_text() != wanted or not (folder / "node_modules").exists()
    for file in _NODE.iterdir():
        shutil.copyfile(file, folder / file.name)
    if fresh:
        (folder / "package.json").unlink()  # until the rest is there
        _needs("node", "npm")
        shutil.copyfile(_NODE / "package.json", folder / "package.json")
        try:
            _run(
                folder,
                *("npm", "install", "--omit=dev", "--no-package-lock", "--no-audit", "--no-fund"),
                *("--ignore-scripts", "--loglevel=error"),
            )
        except Missing:
            (folder / "package.json").unlink()
            raise
    _needs("node")
    return folder


def nginx(cache: Path) -> tuple[Path, Path]:
    """Return nginx' binary and the folder of its modules, with nchan among them. Raises Missing."""
    folder = cache / "nchan"
    binary, modules = folder / "usr/sbin/nginx", folder / "usr/lib/nginx/modules"
    if not (binary.exists() and (modules / "ngx_nchan_module.so").exists()):
        _needs("apt-get", "dpkg")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            _run(folder, "apt-get", "download", "-qq", *_DEBIAN)
        except Missing:
            _run(folder, "apt-get", "update", "-qq")  # a fresh machine has no lists yet
            _run(folder, "apt-get", "download", "-qq", *_DEBIAN)
        for package in folder.glob("*.deb"):
            _run(folder, "dpkg", "-x", package.name, ".")
    try:  # nchan makes nginx ask for the folder it was built with, whatever its configuration says
        _BUILT_WITH.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Missing(f"nginx needs {_BUILT_WITH}: {error.strerror}") from error
    _run(folder, str(binary), "-v")
    return binary, modules


def node_versions(*packages: str) -> str:
    """Return these Node packages with their pinned versions."""
    pinned = json.loads((_NODE / "package.json").read_text())["dependencies"]
    return ", ".join(f"{name} {pinned[name]}" for name in packages)


def nginx_versions(cache: Path) -> str:
    """Return the Debian packages that were fetched, with their versions."""
    fetched = (package.name.split("_") for package in (cache / "nchan").glob("*.deb"))
    return ", ".join(sorted(f"{name} {unquote(version)}" for name, version, _ in fetched))


def _needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed")


def _run(folder: Path, *command: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{' '.join(command[:2])}: {said[-1] if said else done.returncode}")
