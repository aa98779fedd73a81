"""A password hasher for tests of accounts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cinema_grpc.adapters.passwords import Argon2Passwords


@dataclass
class RecordingPasswords:
    """Real but cheap hashes, with a record of the work.

    Attributes:
        real: Makes and checks the hashes.
        work: The calls, in order.
        meanwhile: What the next call of `hash` awaits first.
    """

    real: Argon2Passwords = field(default_factory=lambda: Argon2Passwords(memory_kib=8, rounds=1))
    work: list[str] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def hash(self, password: str, network: str) -> str:
        self.work.append("hash")
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return await self.real.hash(password, network)

    async def verify(self, password: str, password_hash: str | None, network: str) -> bool:
        self.work.append("verify")
        return await self.real.verify(password, password_hash, network)

    def needs_update(self, password_hash: str) -> bool:
        return self.real.needs_update(password_hash)

    def change_parameters(self) -> None:
        self.real.close()
        self.real = Argon2Passwords(memory_kib=16, rounds=2)
