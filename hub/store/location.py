"""Reading DATABASE_URL."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from hub.store.queries import Engine

_SCHEMES: dict[str, Engine] = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "mysql": "mysql",
    "mysql+aiomysql": "mysql",
}


@dataclass(frozen=True)
class Location:
    """Where the database is: `url` is in the form the driver takes, `path` the file of an SQLite database.

    `host` is the server's name or address, where it is reached by one.
    """

    engine: Engine
    url: str
    path: Path | None = None
    host: str | None = None

    def __repr__(self) -> str:
        return f"Location(engine={self.engine!r})"

    @classmethod
    def parse(cls, url: str) -> "Location":
        """Read `sqlite:///path` or `mysql://user:password@host:port/name[?unix_socket=/path][&ssl=true]`.

        Three slashes begin a relative path, four an absolute one; user and password are percent-encoded.
        Raises ValueError, whose text holds no password.
        """
        try:
            parts = urlsplit(url)
            engine = _SCHEMES[parts.scheme]
            _ = parts.port
        except (KeyError, ValueError):
            raise ValueError(
                "DATABASE_URL must be sqlite:///path or mysql://user:password@host:port/name, percent-encoded"
            ) from None
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        name = unquote(parts.path[1:])
        if engine == "sqlite":
            return cls._file(name, parts.netloc, options)
        if not name or "/" in name:
            raise ValueError("DATABASE_URL must name a database: mysql://user:password@host:port/name")
        if not parts.hostname and "unix_socket" not in options:
            raise ValueError("DATABASE_URL must have a host or ?unix_socket=/path")
        if options.pop("charset", "utf8mb4") != "utf8mb4":
            raise ValueError("DATABASE_URL: the only charset is utf8mb4")
        if options.get("ssl", "true") not in ("true", "false"):
            raise ValueError("DATABASE_URL: ssl is true or false")
        unknown = options.keys() - {"unix_socket", "ssl"}
        if unknown:
            raise ValueError(f"DATABASE_URL: unknown option {', '.join(sorted(unknown))}")
        login, _, server = parts.netloc.rpartition("@")
        if parts.password:
            # aiomysql sends a password as Latin-1; the server has hashed its UTF-8.
            sent = unquote(parts.password).encode().decode("latin-1")
            login = f"{login.partition(':')[0]}:{quote(sent, safe='')}"
        host = None if "unix_socket" in options else parts.hostname
        query = "&".join(f"{key}={quote(value)}" for key, value in options.items())
        address = f"mysql://{login}@{server}/{quote(name)}" + (f"?{query}" if query else "")
        return cls(engine, address, host=host)

    @classmethod
    def _file(cls, name: str, netloc: str, options: dict[str, str]) -> "Location":
        if netloc or options:
            raise ValueError("DATABASE_URL: sqlite takes a path and nothing else, as in sqlite:///var/hub.db")
        if not name or name.startswith((":memory:", "file:")):
            raise ValueError(
                "DATABASE_URL: SQLite needs a file; in memory each connection would see its own database"
            )
        return cls("sqlite", f"sqlite:///{quote(name)}", Path(name))
