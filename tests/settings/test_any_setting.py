"""Any text in any setting, and any argument, is accepted or refused in one line."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from cinema_grpc.addresses import check_address
from cinema_grpc.cli import main
from cinema_grpc.config import BadSettings, Settings
from cinema_grpc.environment import read_settings
from cinema_grpc.key_reload import read_signing_keys
from cinema_grpc.listening import read_certificates
from cinema_grpc.payment_provider import read_stripe_key

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.just("\udcff"), max_size=30)
NUMBER = st.one_of(st.integers(), st.floats()).map(str)
PATH = st.sampled_from(
    ["/dev/zero", "/dev/stdin", "/dev/null", "/", ".", "/proc/self/mem", "/proc/self/environ", "~", "\n"]
)
ADDRESS = st.builds("{}:{}".format, TEXT | st.sampled_from(["[::1]", "unix:/x", "0", "localhost"]), TEXT | NUMBER)
ONE = st.tuples(st.sampled_from(sorted(Settings.model_fields)), TEXT | NUMBER | PATH | ADDRESS | TEXT.map("/".__add__))


def refusal(name: str, value: str) -> str | None:
    """Read the settings with one value set, and the files that they name; return the error."""
    with pytest.MonkeyPatch.context() as patch:
        for other in [each for each in os.environ if each.startswith("CINEMA_")]:
            patch.delenv(other)
        if name == "tls_key":
            patch.setenv("CINEMA_TLS_CERTIFICATE", "/dev/zero")
        if name.startswith("stripe_"):
            patch.setenv("CINEMA_PAYMENTS", "stripe")
        patch.setenv(f"CINEMA_{name.upper()}", value)
        try:
            read = read_settings()
            read_certificates(read)
            read_signing_keys(read)
            read_stripe_key(read)
        except BadSettings as error:
            return str(error)
    return None


@given(given_setting=ONE)
@settings(max_examples=120)
def test_any_text_in_any_setting(given_setting: tuple[str, str]) -> None:
    """An error names the setting, and reading a device or a pipe never blocks."""
    message = refusal(*given_setting)
    assert message is None or message.startswith("CINEMA_")


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("localhost:0", True),
        ("192.0.2.1:65535", True),
        ("[::1]:50051", True),
        ("[fe80::1%lo]:50051", True),
        ("cinema.example.:1", True),
        ("café.example:1", True),
        ("unix:/path:0", False),
        ("::1:50051", False),
        ("[192.0.2.1]:1", False),
        ("[]:1", False),
        (":1", False),
        ("localhost:", False),
        ("localhost:65536", False),
        ("localhost:+1", False),
        ("localhost:" + "9" * 5000, False),
        ("local host:1", False),
        ("dns:///db:1", False),
        ("a..b:1", False),
        (f"{'a' * 64}:1", False),
    ],
)
def test_addresses(address: str, good: bool) -> None:
    if good:
        assert check_address(address) == address
    else:
        with pytest.raises(ValueError, match="must be HOST:PORT"):
            check_address(address)


@pytest.mark.parametrize(
    "arguments",
    [
        ("health", "unix:/tmp/socket"),
        ("health", "\udcff:1"),
        ("create-staff", "\udcff"),
        ("create-staff", "ada", "--full-name", "\udcff"),
        ("create-staff", "ada", "--email", "a@\udcff"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ended = CliRunner(env={"CINEMA_STAFF_PASSWORD": "a long and private one"}).invoke(main, arguments)
    assert ended.exit_code == 2
    assert ended.stderr.startswith("cinema: ")
    assert ended.stderr.count("\n") == 1
