"""The shapes of answers: typed dictionaries that are built by, and described from, one declaration."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import ConfigDict, with_config

Shape = TypeVar("Shape", bound=type)

described: Callable[[Shape], Shape] = with_config(ConfigDict(use_attribute_docstrings=True))
"""Takes the docstring under each member of a typed dictionary for that member's description."""


class Raw:
    """Stands for the reply of an operation whose answers are no envelope."""
