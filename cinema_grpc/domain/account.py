"""Accounts: users, roles, and the rules for usernames, names, emails and passwords."""

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cinema_grpc.domain.errors import FieldViolation
from cinema_grpc.domain.text import NAME, UNPRINTABLE

MINIMUM_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 256
"""Code points after NFC, as NIST SP 800-63B counts them; it also advises against composition rules."""
LONGEST_COMPOSED = 4 * MAX_PASSWORD_LENGTH
"""NFC makes one character of four at most, so a longer text is too long in any form."""
USERNAME = re.compile(r"[A-Za-z0-9._-]{3,64}")
MAX_EMAIL_LENGTH = 254
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")
"""A valid email address by the HTML standard; the rule in the protos accepts the same."""
EMAIL_PROBLEM = (
    'must be an email address in ASCII, such as "ada@example.com"; write an international domain in its "xn--" form, '
    'and use an address with plain letters before the "@"'
)


class Role(Enum):
    """What a user may do. SERVICE: a program, which reads events."""

    CUSTOMER = "CUSTOMER"
    STAFF = "STAFF"
    SERVICE = "SERVICE"


@dataclass(frozen=True, slots=True)
class User:
    """The owner of an account.

    Attributes:
        email: May be empty for staff; empty for services.
        disabled: Whether sign-ins and access tokens are refused.
        revoke_time: When the account was last disabled, or given a password by an operator; access tokens issued before
            that stay invalid.
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
        """Return whether an access token issued at that time is still valid for this account."""
        return not self.disabled and (self.revoke_time is None or issue_time >= self.revoke_time)


def normalize_password(password: str) -> str:
    """Return the form of a password that is checked and hashed: NFC, since keyboards compose letters differently.

    A text that is too long stays as it is: normalizing takes time with the square of its length.
    """
    return password if len(password) > LONGEST_COMPOSED else unicodedata.normalize("NFC", password)


def fold(name: str) -> str:
    """Return the form of a username or an email that is equal for names that differ only in case."""
    return unicodedata.normalize("NFC", name.casefold())


def username_violations(username: str) -> list[FieldViolation]:
    """Return the rule that the username of a new account breaks, if any."""
    if USERNAME.fullmatch(username):
        return []
    return [FieldViolation("username", 'must be 3 to 64 letters (A to Z, a to z), digits, ".", "_" or "-"')]


def person_violations(full_name: str, email: str) -> list[FieldViolation]:
    """Return the rules that the name and the email of a new account break. The email may be empty."""
    violations = []
    if (problem := NAME.problem(full_name)) is not None:
        violations.append(FieldViolation("full_name", problem))
    if len(email) > MAX_EMAIL_LENGTH:
        violations.append(FieldViolation("email", f"must be at most {MAX_EMAIL_LENGTH} characters"))
    elif email and not EMAIL.fullmatch(email):
        violations.append(FieldViolation("email", EMAIL_PROBLEM))
    return violations


def password_violations(
    password: str, field: str, username: str, email: str, common_passwords: Set[str]
) -> list[FieldViolation]:
    """Return the rule that a new password breaks, if any.

    Args:
        password: The normalized password.
        field: The name of its field in the request.
        username: The username of the account.
        email: The email of the account; may be empty.
        common_passwords: The passwords refused as too common, in lower case.
    """
    if not MINIMUM_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH or any(
        unicodedata.category(character) in UNPRINTABLE for character in password
    ):
        problem = f"must be {MINIMUM_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters, without control characters"
    elif fold(password) in {fold(username), fold(email)}:
        problem = "must not be the username or the email"
    elif password.lower() in common_passwords:
        problem = "is one of the 10,000 most common passwords; choose one that is harder to guess"
    else:
        return []
    return [FieldViolation(field, problem)]
