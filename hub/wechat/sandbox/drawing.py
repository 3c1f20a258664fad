"""Codes as pictures."""

import io

import segno
from starlette.responses import Response


def picture(content: str, width: int, *, dark: str = "#000000", transparent: bool = False) -> Response:
    """Return *content* as a PNG of about *width* pixels."""
    code = segno.make_qr(content, error="m")
    modules = code.symbol_size(border=3)[0]
    drawn = io.BytesIO()
    code.save(
        drawn,
        kind="png",
        border=3,
        scale=max(1, width // modules),
        dark=dark,
        light=None if transparent else "#ffffff",
    )
    return Response(drawn.getvalue(), media_type="image/png", headers={"cache-control": "no-store"})
