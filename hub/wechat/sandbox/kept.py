"""A dictionary of bounded size, so that a sandbox left running for weeks stays small."""

from collections import OrderedDict
from typing import Final, TypeVar

KEPT: Final = 20_000

K = TypeVar("K")
V = TypeVar("V")


class Kept(OrderedDict[K, V]):
    """Forgets its oldest entries beyond KEPT."""

    def __setitem__(self, key: K, value: V) -> None:
        """Keep *value*, and let the oldest go where there are too many."""
        super().__setitem__(key, value)
        while len(self) > KEPT:
            self.popitem(last=False)
