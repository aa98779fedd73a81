"""How the settings for Stripe have to look. Needs no library."""

import re
from urllib.parse import urlsplit

from cinema_grpc.addresses import is_loopback

_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]+")


def check_stripe_key(key: str) -> None:
    """Check how a secret key looks.

    Raises:
        ValueError: It is none; the message does not quote it.
    """
    if key.startswith("pk_"):
        raise ValueError("is a publishable key (pk_...), which is for clients; use the secret key (sk_...)")
    if not _KEY.fullmatch(key):
        raise ValueError(
            "must be a secret key of Stripe, such as sk_test_..., or a restricted one, such as rk_live_..."
        )


def is_live(key: str) -> bool:
    """Return whether a key moves real money."""
    return key.split("_")[1] == "live"


def check_api_base(url: str) -> str:
    """Return a URL without the slash at its end.

    Raises:
        ValueError: It is no https URL, and no http URL of this machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    rest = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if not host or rest or port == 0 or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise ValueError("must be https://HOST, or http://127.0.0.1:PORT for a server on this machine")
    return url.rstrip("/")
