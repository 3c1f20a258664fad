"""Who listens to which broadcast topic in this process."""

from collections.abc import Callable, Iterator

import structlog

log = structlog.stdlib.get_logger("hub.realtime")


class Topics:
    """Listeners by topic. One that raises is logged and keeps no other from hearing."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Callable[[bytes], None]]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._listeners)

    def __contains__(self, topic: object) -> bool:
        return topic in self._listeners

    def add(self, topic: str, listener: Callable[[bytes], None]) -> None:
        """Let *listener* hear *topic*."""
        self._listeners.setdefault(topic, []).append(listener)

    def tell(self, topic: str, body: bytes) -> None:
        """Call every listener of *topic* with *body*."""
        for listener in self._listeners.get(topic, ()):
            try:
                listener(body)
            except Exception:
                log.exception("broadcast_listener_failed", topic=topic)
