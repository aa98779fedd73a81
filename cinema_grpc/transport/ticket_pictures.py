"""QR codes of tickets."""

from functools import lru_cache
from io import BytesIO

import segno

PIXELS_A_MODULE = 8
CACHED_PICTURES = 1_000
"""Pictures that are kept, of up to 4 KB: drawing one takes some 10 ms of the event loop, and apps ask again."""


def draw_svg(code: str) -> bytes:
    """Return a QR code as SVG."""
    return _draw(code, "svg")


def draw_png(code: str) -> bytes:
    """Return a QR code as PNG."""
    return _draw(code, "png")


@lru_cache(maxsize=CACHED_PICTURES)
def _draw(code: str, kind: str) -> bytes:
    """Return a picture of a QR code with error correction M, which still reads with 15% of it damaged."""
    picture = BytesIO()
    segno.make_qr(code, error="m", boost_error=False).save(picture, kind=kind, scale=PIXELS_A_MODULE)
    return picture.getvalue()
