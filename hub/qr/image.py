"""Drawing a QR code."""

import base64
import io

import segno


def svg(content: str) -> bytes:
    """Return the QR code of *content* as SVG, dark on white with a quiet zone: so it scans in dark mode."""
    return _draw(content, "svg", scale=8, xmldecl=False, svgclass=None, lineclass=None, omitsize=True)


def png(content: str) -> bytes:
    """Return the QR code of *content* as PNG, eight pixels a module."""
    return _draw(content, "png", scale=8)


def inline(content: str) -> str:
    """Return the QR code of *content* as a `data:` URL (RFC 2397), for a page that names it nowhere else."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg(content)).decode()}"


def _draw(content: str, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    segno.make(content, error="m", micro=False).save(
        out, kind=kind, border=4, dark="#000", light="#fff", **options
    )
    return out.getvalue()
