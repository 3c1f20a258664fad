"""The files that browsers load."""

import os

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope


class Assets(StaticFiles):
    """Serves `static/` to the pages of any site, which load `<login-hub>` from there.

    Browsers ask each time whether a file has changed, so they never mix two releases.
    """

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file, or 304 by its ETag."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "no-cache"
        response.headers["access-control-allow-origin"] = "*"
        return response
