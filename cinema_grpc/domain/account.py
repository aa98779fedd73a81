"""Accounts: who uses the service, what they may do, and which names and passwords are refused."""

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.text import NAME, UNPRINTABLE

MINIMUM_PASSWORD_LENGTH = 8
MAXIMUM_PASSWORD_LENGTH = 256
"""Lengths of a password, in code points after NFC; NIST SP 800-63B counts so, and asks for no rules of composition."""
USERNAME = re.compile(r"[A-Za-z0-9._-]{3,64}")
MAXIMUM_EMAIL_LENGTH = 254
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")
"""A valid email address by the HTML standard, which is also what the rule in the protos takes."""
EMAIL_PROBLEM = (
    'must be an email address in ASCII, such as "ada@example.com"; write an international domain in its "xn--" form, '
    'and use an address with plain letters before the "@"'
)


class Role(Enum):
    """What a user may do."""

    CUSTOMER = "CUSTOMER"
    STAFF = "STAFF"


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account; staff may have no email.

    Attributes:
        disabled: Whether it can't be used: no sign-in, no access token.
        revoke_time: When it was last disabled; access tokens from before are never accepted again.
    """

    user_id: str
    username: str
    full_name: str
    email: str
    role: Role
    create_time: datetime
    disabled: bool = False
    revoke_time: datetime | None = None

    def accepts_token_of(self, issue_time: datetime) -> bool:
        """Return whether an access token that was issued at that time is still good for this account."""
        return not self.disabled and (self.revoke_time is None or issue_time >= self.revoke_time)


def normalize_password(password: str) -> str:
    """Bring a password into the one form (NFC) that it is hashed in, however the keyboard composed its letters."""
    return unicodedata.normalize("NFC", password)


def fold(name: str) -> str:
    """Give the form of a username or an email in which two are the same if they differ in case alone."""
    return unicodedata.normalize("NFC", name.casefold())


def check_username(username: str) -> None:
    """Check the name of a new account.

    Raises:
        InvalidRequest: It is not 3 to 64 of the letters, digits and marks that a username is made of.
    """
    if not USERNAME.fullmatch(username):
        problem = 'must be 3 to 64 letters (A to Z, a to z), digits, ".", "_" or "-"'
        raise InvalidRequest(FieldViolation("username", problem))


def check_person(full_name: str, email: str) -> None:
    """Check what a new account says of its person.

    Args:
        full_name: The person's name.
        email: The person's email address; empty for none.

    Raises:
        InvalidRequest: It names each of the two that is refused.
    """
    violations = []
    if (problem := NAME.problem(full_name)) is not None:
        violations.append(FieldViolation("full_name", problem))
    if len(email) > MAXIMUM_EMAIL_LENGTH:
        violations.append(FieldViolation("email", f"must be at most {MAXIMUM_EMAIL_LENGTH} characters"))
    elif email and not EMAIL.fullmatch(email):
        violations.append(FieldViolation("email", EMAIL_PROBLEM))
    if violations:
        raise InvalidRequest(*violations)


def check_password(password: str, field: str, username: str, email: str, commonest: Set[str]) -> None:
    """Refuse a password that is too short, too long or easily guessed; `field` is its name in the request.

    Args:
        password: The password, normalized.
        field: What the error calls it.
        username: The name of the account.
        email: The email of the account; may be empty.
        commonest: The commonest passwords, in lower case.

    Raises:
        InvalidRequest: It names the rule that was broken.
    """
    if not MINIMUM_PASSWORD_LENGTH <= len(password) <= MAXIMUM_PASSWORD_LENGTH or _is_unprintable(password):
        problem = (
            f"must be {MINIMUM_PASSWORD_LENGTH} to {MAXIMUM_PASSWORD_LENGTH} characters, without control characters"
        )
    elif fold(password) in {fold(username), fold(email)}:
        problem = "must not be the username or the email"
    elif password.lower() in commonest:
        problem = "is among the 10,000 commonest passwords; choose one that nobody would guess"
    else:
        return
    raise InvalidRequest(FieldViolation(field, problem))


def _is_unprintable(text: str) -> bool:
    return any(unicodedata.category(character) in UNPRINTABLE for character in text)
