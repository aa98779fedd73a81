"""The AuthService over a real channel: registration, sign-in and access tokens."""

import asyncio
import unicodedata
from collections import Counter
from dataclasses import asdict, replace
from datetime import timedelta

import grpc
import jwt
import pytest
from cinema.v1 import auth_service_pb2 as pb
from cinema.v1 import user_pb2

from cinema_grpc.domain.account import person_violations
from tests.builders import NOW, FakeClock
from tests.rpc.conftest import PASSWORD, SECRET, App, Metadata, moment, refusal, running

Code = grpc.StatusCode
HOUR = timedelta(minutes=60)
MICROSECOND = timedelta(microseconds=1)
ADA = {"username": "Ada.L_1-x", "password": PASSWORD, "full_name": "Ada Lovelace", "email": "Ada@example.com"}


async def register(app: App, **changes: str) -> pb.RegisterResponse:
    """Register Ada, with some fields changed."""
    return await app.auth.Register(pb.RegisterRequest(**(ADA | changes)))


async def login(app: App, username: str, password: str = PASSWORD) -> pb.LoginResponse:
    return await app.auth.Login(pb.LoginRequest(username=username, password=password))


def bearer(token: str, scheme: str = "Bearer") -> Metadata:
    return (("authorization", f"{scheme} {token}"),)


async def whoami(app: App, metadata: Metadata) -> user_pb2.User:
    return (await app.auth.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=metadata)).user


class TestRegister:
    async def test_the_account_and_its_tokens(self, app: App) -> None:
        """Username and email keep their case."""
        answer = await register(app)
        user, tokens = answer.user, answer.tokens
        assert 1 <= len(user.user_id) <= 64
        assert (user.username, user.full_name, user.email) == ("Ada.L_1-x", "Ada Lovelace", "Ada@example.com")
        assert user.role == user_pb2.ROLE_CUSTOMER
        assert user.create_time == moment(NOW)
        assert tokens.token_type == "Bearer"
        assert tokens.access_token_expire_time == moment(NOW + HOUR)
        assert await whoami(app, bearer(tokens.access_token)) == user

    async def test_usernames_and_emails_are_unique_without_regard_to_case(self, app: App) -> None:
        """The metadata has the requested name; the username is checked first; a refused name stays free."""
        await register(app)
        taken = await refusal(register(app, username="ADA.l_1-X", email="other@example.com"))
        assert (taken.code, taken.reason) == (Code.ALREADY_EXISTS, "USERNAME_TAKEN")
        assert taken.metadata == {"username": "ADA.l_1-X"}
        assert taken.details["ResourceInfo"].resource_name == "ADA.l_1-X"
        taken = await refusal(register(app, username="other", email="aDA@EXAMPLE.com"))
        assert (taken.code, taken.reason) == (Code.ALREADY_EXISTS, "EMAIL_TAKEN")
        assert taken.metadata == {"email": "aDA@EXAMPLE.com"}
        assert taken.details["ResourceInfo"].resource_name == "aDA@EXAMPLE.com"
        assert (await refusal(register(app))).reason == "USERNAME_TAKEN"
        assert (await register(app, username="other", email="other@example.com")).user.username == "other"

    async def test_one_of_twenty_concurrent_calls_gets_the_name(self, app: App) -> None:
        names = ("ada", "ADA", "Ada", "aDa") * 5
        calls = (register(app, username=name, email=f"{n}@a.example") for n, name in enumerate(names))
        results = await asyncio.gather(*calls, return_exceptions=True)
        codes = Counter(each.code() if isinstance(each, grpc.aio.AioRpcError) else Code.OK for each in results)
        assert codes == {Code.OK: 1, Code.ALREADY_EXISTS: 19}

    async def test_lengths_and_characters_of_names(self, app: App) -> None:
        """Usernames have 3 to 64 plain characters; names 1 to 200 of any script; emails up to 254 characters."""
        email = f"{'x' * 64}@{'.'.join(['y' * 46] * 4)}.z"
        assert len(email) == 254
        for number, name in enumerate(("abc", "a" * 64, "._-", "007")):
            await register(app, username=name, email=f"{number}@example.com")
        await register(app, username="one", full_name="李", email="one@example.com")
        await register(app, username="two", full_name="🎬" * 200, email=email)
        bad = {
            "username": ("ab", "a" * 65, "a b", "ada\n", "ädä", "ada@x", "\u0430da"),
            "full_name": ("", " \u2003", "x" * 201, "Ada\0", "Ada\nL", "\x7fAda"),
            "email": ("", "ada", "@x.example", "a@", "a b@x.example", "ada@x.example\n", f"x{email}"),
        }
        bad["full_name"] += ("\u200b", "\u3164", "\u2800", "\u0301", "A\u200bda", "Ada\u202e", "Ada\ufe00")
        for field, texts in bad.items():
            for text in texts:
                assert (await refusal(register(app, **{field: text}))).fields == [field], text

    async def test_a_name_is_stored_in_one_form(self, app: App) -> None:
        answer = await register(app, full_name=unicodedata.normalize("NFD", "  Zoë\u00a0 Ångström "))
        assert answer.user.full_name == "Zoë Ångström"

    @pytest.mark.parametrize(
        "email",
        [
            *(
                "a@b",
                "a.b+c@x.example",
                "a..b@x.example",
                ".@x.example",
                "a@x-y.example",
                "!#$%&'*+/=?^_`{|}~-@x.example",
            ),
            *("a@xn--exmple-cua.com", f"a@{'y' * 63}.example", "A@X.EXAMPLE", "a@1.2.3.4"),
            *("jörg@example.com", "jorg@exämple.com", "a@-x.example", "a@x-.example", "a@x..example", "a@.example"),
            *(
                "a@x.example.",
                f"a@{'y' * 64}.example",
                '"a b"@x.example',
                "a@[127.0.0.1]",
                "a@x_y.example",
                "a(b)@x.example",
            ),
            *(
                "a,b@x.example",
                "a@b@x.example",
                "a@x example",
                "\uff41@x.example",
                "a@x.example\u200b",
                "\u202ea@x.example",
            ),
        ],
    )
    async def test_one_rule_for_emails(self, app: App, email: str) -> None:
        """The protos and the command line share it. The message names the alternative."""
        expected = [(each.field, each.description) for each in person_violations("Ada", email)]
        if not expected:
            assert (await register(app, email=email)).user.email == email
            return
        refused = await refusal(register(app, email=email))
        found = refused.details["BadRequest"].field_violations
        assert [(each.field, each.description) for each in found] == expected
        assert (
            'in ASCII, such as "ada@example.com"; write an international domain in its "xn--" form' in refused.message
        )


class TestPasswords:
    async def test_eight_to_256_characters(self, app: App) -> None:
        """Counted in code points after NFC. Letters alone are enough."""
        accent, ligature = "e\u0301", "\ufb2c"
        assert [len(unicodedata.normalize("NFC", text)) for text in (accent, ligature)] == [1, 3]
        good = ("qzvkwxyj", "x" * 255 + "y", "😀" * 8, accent * 8, accent * 256, ligature * 85, "  spaces ")
        for number, password in enumerate(good):
            await register(app, username=f"good-{number}", email=f"{number}@a.example", password=password)
            await login(app, f"good-{number}", password)
        for password in ("", "qzvkwxy", "x" * 256 + "y", "😀" * 7, accent * 7, accent * 257, ligature * 86):
            assert (await refusal(register(app, password=password))).fields == ["password"], password

    async def test_easily_guessed_passwords_are_refused(self, app: App) -> None:
        """The username, the email and the most common passwords, in any case; and control characters."""
        for password in (
            "Ada.L_1-x",
            "ADA.L_1-X",
            "Ada@example.com",
            "ada@EXAMPLE.COM",
            "password",
            "PASSWORD1",
            "12345678",
        ):
            assert (await refusal(register(app, password=password))).fields == ["password"], password
        for password in ("long enough\0", "long\tenough", "long enough\n", "\x7flong enough", "long\x85enough"):
            assert (await refusal(register(app, password=password))).fields == ["password"], password

    async def test_a_refusal_does_not_repeat_the_password(self, app: App) -> None:
        refused = await refusal(register(app, password="Iloveyou"))
        assert "iloveyou" not in f"{refused.message} {refused.details} {refused.metadata}".lower()


class TestLogin:
    async def test_a_username_in_any_case(self, app: App) -> None:
        """The response has the account, and a new token that lasts an hour from now."""
        registered = await register(app)
        app.clock.advance(timedelta(minutes=7))
        for name in ("Ada.L_1-x", "ada.l_1-x", "ADA.L_1-X"):
            answer = await login(app, name)
            assert answer.user == registered.user
            assert answer.tokens.token_type == "Bearer"
            assert answer.tokens.access_token_expire_time == moment(NOW + timedelta(minutes=67))
            assert await whoami(app, bearer(answer.tokens.access_token)) == registered.user

    async def test_a_password_matches_however_its_letters_are_composed(self, app: App) -> None:
        """But case and surrounding spaces count."""
        composed, apart = "Señor Ünïcödé", unicodedata.normalize("NFD", "Señor Ünïcödé")
        assert composed != apart
        await register(app, password=composed)
        await register(app, username="other", email="other@example.com", password=apart)
        for name in ("other", "Ada.L_1-x"):
            for password in (composed, apart):
                await login(app, name, password)
            for password in (composed.lower(), f" {composed}", f"{composed} ", composed[:-1]):
                assert (await refusal(login(app, name, password))).reason == "BAD_CREDENTIALS"

    async def test_an_unknown_username_and_a_wrong_password_get_the_same_error(self, app: App) -> None:
        """The same code, message, reason and details, even for a password that no account can have."""
        await register(app)
        answers = [
            replace(await refusal(login(app, name, password)), trailers={})
            for name in ("Ada.L_1-x", "nobody", "no such name!", "Ada@example.com")
            for password in ("wrong", "wrong but long", "x" * 257, "wrong\0")
        ]
        assert (answers[0].code, answers[0].reason) == (Code.UNAUTHENTICATED, "BAD_CREDENTIALS")
        assert answers[0].metadata == {}
        assert all(asdict(answer) == asdict(answers[0]) for answer in answers)

    async def test_both_fields_are_required(self, app: App) -> None:
        assert (await refusal(login(app, "", ""))).fields == ["username", "password"]


class TestTokens:
    async def test_a_token_lasts_an_hour_to_the_microsecond(self, app: App) -> None:
        registered = await register(app)
        metadata = bearer(registered.tokens.access_token)
        app.clock.advance(HOUR - MICROSECOND)
        assert await whoami(app, metadata) == registered.user
        app.clock.advance(MICROSECOND)
        refused = await refusal(whoami(app, metadata))
        assert (refused.code, refused.reason) == (Code.UNAUTHENTICATED, "TOKEN_EXPIRED")
        assert refused.metadata == {"expire_time": "2026-05-01T13:00:00Z"}

    async def test_the_case_of_the_scheme_does_not_matter(self, app: App) -> None:
        registered = await register(app)
        for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
            assert await whoami(app, bearer(registered.tokens.access_token, scheme)) == registered.user

    async def test_forged_and_malformed_tokens(self, app: App) -> None:
        """Altered, unsigned, signed with another key, with another role, or not a token: the same error for all."""
        token = (await register(app)).tokens.access_token
        head, claims, signature = token.split(".")
        body = jwt.decode(token, options={"verify_signature": False}) | {"role": "STAFF"}
        kind = {"typ": "at+jwt"}
        other_claims = jwt.encode(body, SECRET, headers=kind).split(".")[1]
        forged = [
            *(bearer(text) for text in (token[:-2], f"{token}x", f"{head}.{claims}.", f"{head}.{claims}", "nonsense")),
            bearer(f"{head}.{other_claims}.{signature}"),
            bearer(jwt.encode(body, SECRET[::-1], headers=kind)),
            bearer(jwt.encode(body, SECRET, headers={"typ": "JWT"})),
            bearer(jwt.encode(body, "", algorithm="none", headers=kind)),
            *(bearer(token, scheme) for scheme in ("Basic", "Bearer:", "Bear", "")),
            *((("authorization", value),) for value in ("", "Bearer", "Bearer ", token)),
            bearer(token) * 2,
        ]
        for metadata in forged:
            refused = await refusal(whoami(app, metadata))
            assert (refused.code, refused.reason) == (Code.UNAUTHENTICATED, "TOKEN_INVALID"), metadata
            assert refused.metadata == {}

    async def test_a_token_survives_a_restart(self, database_url: str) -> None:
        clock = FakeClock()
        async with running(database_url, clock) as app:
            registered = await register(app)
        async with running(database_url, clock) as app:
            assert await whoami(app, bearer(registered.tokens.access_token)) == registered.user
