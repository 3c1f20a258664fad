"""The hub on a server that parks no sockets, uvicorn as it is: `python -m tests.servers.plain`."""

import uvicorn

from hub.app import create_app
from hub.cli.schema import bring_up_to_date
from hub.cli.settings import load


def main() -> None:
    """Serve by the settings of the environment, until a signal comes."""
    settings = load()
    bring_up_to_date(settings)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        ws="websockets-sansio",
        ws_max_size=4096,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
