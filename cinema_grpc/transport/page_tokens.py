"""Page tokens: opaque cursors, each bound to its query."""

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
    """Return the maximum number of entries of a page: 50 by default, and at most 200."""
    return min(requested or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)


def query_of(request: Message, owner: str = "") -> tuple[str, ...]:
    """Return the query that a page token is bound to: type of the request, its other fields, and owner.

    Args:
        request: A request with the fields page_size and page_token.
        owner: The user_id of the principal, if the list depends on it.
    """
    filters = type(request)()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return request.DESCRIPTOR.full_name, owner, filters.SerializeToString(deterministic=True).hex()


def encode(query: Sequence[str], cursor: Sequence[str]) -> str:
    """Return the token of the page that starts after `cursor`.

    The token consists of the cursor and a digest, which detects mistakes: a truncated token, or another filter. The
    digest has no key, so that tokens are valid on every replica and after a restart without a shared secret. A forged
    cursor grants nothing that its bearer could not read anyway, but it is untrusted input: parse it with care.

    Args:
        query: The query, as `query_of` returns it.
        cursor: Key of the last entry of this page, and what else must stay as it was on the first page.
    """
    digest = hashlib.sha256(json.dumps([list(query), list(cursor)]).encode()).digest()[:DIGEST_BYTES]
    return ".".join(_to_text(part) for part in (digest, *(part.encode() for part in cursor)))


def decode(query: Sequence[str], token: str) -> tuple[str, ...]:
    """Return the cursor of a token.

    Raises:
        InvalidRequest: `encode` did not return this token for this query.
    """
    try:
        cursor = tuple(_to_bytes(part).decode() for part in token.split(".")[1:])
    except ValueError:
        raise malformed_page_token() from None
    # Encoding the cursor again compares the digest, and refuses other spellings of the same bytes.
    if encode(query, cursor) != token:
        raise malformed_page_token()
    return cursor


def malformed_page_token() -> InvalidRequest:
    """Return the error for a token that is not one of its query's."""
    problem = "must be empty, or the next_page_token of a response to the same call with the same fields but page_size"
    return InvalidRequest(FieldViolation("page_token", problem))


def _to_text(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _to_bytes(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
