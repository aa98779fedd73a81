"""Tokens on disk: for their owner alone, by server."""

from pathlib import Path

import pytest

from cinema_grpc.cli.client.token_store import BadTokenFile, SharedSignIn, SignIn, TokenStore

ADA = SignIn("ada", "access", "refresh")
URL = "https://cinema.example:443"


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """A store whose folder does not exist yet."""
    return TokenStore(tmp_path / "cinema" / "sign-ins")


def test_each_server_has_its_own(store: TokenStore) -> None:
    """Also the same address with TLS and without: tokens got by TLS never travel in plaintext."""
    assert store.load(URL) is None
    store.save(URL, ADA)
    assert (store.load(URL), store.load("http://cinema.example:443")) == (ADA, None)
    store.save(URL, SignIn("bob", "a", "r"))
    assert store.load(URL) == SignIn("bob", "a", "r")
    store.delete(URL)
    store.delete(URL)
    assert store.load(URL) is None


def test_only_the_owner_can_read_them(store: TokenStore) -> None:
    """Whatever the umask; and nothing else is left in the folder."""
    store.save(URL, ADA)
    assert (store.path(URL).stat().st_mode & 0o777, store.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(store.folder.iterdir()) == [store.path(URL)]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_use_is_refused(store: TokenStore, mode: int) -> None:
    store.save(URL, ADA)
    store.path(URL).chmod(mode)
    with pytest.raises(BadTokenFile, match="chmod 600"):
        store.load(URL)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"username": "ada"}', '{"a": 1}', "\udce9"])
def test_a_damaged_file_is_named(store: TokenStore, content: str) -> None:
    store.save(URL, ADA)
    store.path(URL).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(BadTokenFile, match="is damaged: delete it and sign in again"):
        store.load(URL)


class TestSharing:
    """Two commands with one sign-in, such as one that watches and one that sells."""

    @pytest.fixture
    def watching(self, store: TokenStore) -> SharedSignIn:
        """What a command holds since it began."""
        store.save(URL, ADA)
        shared = SharedSignIn.of(store, URL)
        assert shared is not None
        return shared

    def test_it_is_renewed_in_turns(self, store: TokenStore, watching: SharedSignIn) -> None:
        renewed = SignIn("ada", "access 2", "refresh 2")
        store.save(URL, renewed)
        assert watching.newer() == renewed
        watching.keep(("access 3", "refresh 3"))
        assert store.load(URL) == SignIn("ada", "access 3", "refresh 3") == watching.newer()

    def test_it_is_renewed_at_once(self, store: TokenStore, watching: SharedSignIn) -> None:
        """The server then gives both the same refresh token."""
        store.save(URL, SignIn("ada", "access 2", "refresh 2"))
        watching.keep(("access 2b", "refresh 2"))
        assert store.load(URL) == SignIn("ada", "access 2b", "refresh 2")

    @pytest.mark.parametrize("meanwhile", [None, SignIn("bob", "a", "r")])
    @pytest.mark.parametrize("tokens", [None, ("access 2", "refresh 2")])
    def test_another_sign_in_stays(
        self, store: TokenStore, watching: SharedSignIn, meanwhile: SignIn | None, tokens: tuple[str, str] | None
    ) -> None:
        """A command that was begun before it does not bring its own user back, nor sign the new one out."""
        store.delete(URL)
        if meanwhile:
            store.save(URL, meanwhile)
        assert watching.newer() is None
        watching.keep(tokens)
        assert store.load(URL) == meanwhile

    def test_what_could_not_be_kept_is_not_asked_for(self, store: TokenStore, watching: SharedSignIn) -> None:
        """The server would take the old tokens for stolen ones, once the new ones were lost."""
        store.delete(URL)
        store.folder.rmdir()
        store.folder.write_text("this is no folder")
        with pytest.raises(BadTokenFile, match="can't be used for tokens"):
            watching.newer()

    def test_it_ends(self, store: TokenStore, watching: SharedSignIn) -> None:
        watching.keep(None)
        assert store.load(URL) is None
        assert SharedSignIn.of(store, URL) is None
