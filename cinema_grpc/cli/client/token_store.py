"""Keeps the tokens of sign-ins: a file for each server, which only its owner can read."""

import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote


class BadTokenFile(Exception):
    """A file of tokens can't be used."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who is signed in to a server, and the tokens of the session."""

    username: str
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class TokenStore:
    """The files of tokens in a folder.

    Attributes:
        folder: The folder, which is created when tokens are first saved.
    """

    folder: Path

    def path(self, url: str) -> Path:
        """Return the file of a server."""
        return self.folder / f"{quote(url, safe='')}.json"

    def load(self, url: str) -> SignIn | None:
        """Return the sign-in to a server; None if there is none.

        Raises:
            BadTokenFile: Others can read the file, it can't be read, or it has other content.
        """
        path = self.path(url)
        try:
            with _usable(path), path.open(encoding="utf-8") as file:
                if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise BadTokenFile(
                        f"{path}: other users can read it: run chmod 600 on it, or delete it and sign in again"
                    )
                return SignIn(**json.load(file))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise BadTokenFile(f"{path}: is damaged: delete it and sign in again") from error

    def prepare(self) -> None:
        """Create the folder, if need be.

        Raises:
            BadTokenFile: Nothing could be kept in it.
        """
        with _usable(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()

    def save(self, url: str, sign_in: SignIn) -> None:
        """Keep the sign-in to a server. Other processes see the file before or after, never half of it.

        Raises:
            BadTokenFile: The file can't be written.
        """
        path = self.path(url)
        with _usable(path):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, scratch = tempfile.mkstemp(dir=self.folder, suffix=".tmp")  # with mode 0600
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(asdict(sign_in), file)
                Path(scratch).replace(path)
            except BaseException:
                Path(scratch).unlink(missing_ok=True)
                raise

    def delete(self, url: str) -> None:
        """Forget the sign-in to a server, if there is one.

        Raises:
            BadTokenFile: The file can't be deleted.
        """
        path = self.path(url)
        with _usable(path):
            path.unlink(missing_ok=True)


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Name the file or folder that can't be used. That a file is missing is for the caller to judge."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadTokenFile(f"{path}: can't be used for tokens: {error.strerror or error}") from error


@dataclass(slots=True)
class SharedSignIn:
    """The sign-in that a command calls with. Other commands may renew, end or replace it meanwhile.

    Attributes:
        store: Where it is kept.
        url: The server.
        held: What the command holds of it: as it was last found or kept.
    """

    store: TokenStore
    url: str
    held: SignIn

    @classmethod
    def of(cls, store: TokenStore, url: str) -> "SharedSignIn | None":
        """Return the sign-in to a server; None if there is none."""
        found = store.load(url)
        return None if found is None else cls(store, url, found)

    def newer(self) -> SignIn | None:
        """Return the sign-in as another command has kept it; None if that has ended it, or was given another user.

        Raises:
            BadTokenFile: Tokens that replace the expired ones could not be kept, so these must not be used up.
        """
        self.store.prepare()
        found = self.store.load(self.url)
        if found is None or found.username != self.held.username:
            return None
        self.held = found
        return found

    def keep(self, tokens: tuple[str, str] | None) -> None:
        """Keep a new access token and refresh token, or None after the end; unless another command was faster."""
        found, held = self.store.load(self.url), self.held
        if tokens is None:
            if found == held:
                self.store.delete(self.url)
            return
        self.held = SignIn(held.username, *tokens)
        if found == held or (found is not None and found.refresh_token == self.held.refresh_token):
            self.store.save(self.url, self.held)
