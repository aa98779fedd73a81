"""Page tokens: where the next page of a list starts, in a form that callers need not understand."""

import base64
import hashlib
import json
from collections.abc import Sequence

from google.protobuf.message import Message

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest

DEFAULT_PAGE_SIZE = 50
LARGEST_PAGE_SIZE = 200
DIGEST_BYTES = 16


def page_size(requested: int) -> int:
    """Tell how many entries a page holds: 50 where none were asked for, and never more than 200."""
    return min(requested or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)


def query_of(request: Message, owner: str = "") -> tuple[str, ...]:
    """Return what a page token is bound to: the type of a request, all of its fields but those of the page, its owner.

    Args:
        request: Has the fields page_size and page_token.
        owner: The user_id of the caller, where the answer depends on the caller.
    """
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return request.DESCRIPTOR.full_name, owner, filters.SerializeToString(deterministic=True).hex()


def encode(query: Sequence[str], cursor: Sequence[str]) -> str:
    """Make the token of the page that starts after `cursor`.

    The token carries the cursor and a digest that binds it to its query, so that a slip (a cut token, another filter)
    is noticed. The digest has no key: a cursor gives no right that its bearer would not have without it, so forging one
    wins nothing, and a token stays good on every replica and after every restart with no secret to share. What comes
    out of `decode` is therefore input like any other: read numbers and times in it with care.

    Args:
        query: What was asked for, as query_of returns it.
        cursor: Where the next page starts: the key of the last entry of this one, and whatever else has to stay as it
            was on the first page.
    """
    digest = hashlib.sha256(json.dumps([list(query), list(cursor)]).encode()).digest()[:DIGEST_BYTES]
    return ".".join(_to_text(part) for part in (digest, *(part.encode() for part in cursor)))


def decode(query: Sequence[str], token: str) -> tuple[str, ...]:
    """Give the cursor of a token that `encode` made for the same query.

    Raises:
        InvalidRequest: The token was altered or cut, belongs to another query, or never was one.
    """
    try:
        cursor = tuple(_to_bytes(part).decode() for part in token.split(".")[1:])
    except ValueError:
        raise _malformed() from None
    # Made anew, it must come out the same: that compares the digest, and leaves no second spelling of the same bytes.
    if encode(query, cursor) != token:
        raise _malformed()
    return cursor


def _to_text(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _to_bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _malformed() -> InvalidRequest:
    right = "must be empty, or the next_page_token of an answer to the same call with the same fields, save page_size"
    return InvalidRequest(FieldViolation("page_token", right))
