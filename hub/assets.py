"""Where the files that are not Python live: `sql/`, `static/`, and folders of the package."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def folder(name: str) -> Path:
    """Return the folder *name*: inside the package when installed as a wheel, beside it in a checkout.

    Raises FileNotFoundError when neither exists.
    """
    for candidate in (_PACKAGE / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the folder {name}/ is missing from this installation")
