"""A payment provider that moves no money: for demos, development and tests."""

from collections import OrderedDict

from cinema_grpc.domain.money import Money

DECLINED_TOKEN = "tok_declined"  # noqa: S105 (a public name, not a secret)
ANSWERS_KEPT = 100_000


class SimulatedPayments:
    """Declines the payment token "tok_declined" and takes every other.

    Asked again with the same key it answers the same. It remembers its last 100,000 answers, in memory alone: it has no
    books that could outlive the process.
    """

    def __init__(self) -> None:
        self._answers: OrderedDict[str, bool] = OrderedDict()

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:  # noqa: ARG002 (part of the port)
        """Pretend to take money; tell whether it was taken."""
        taken = self._answers.setdefault(key, payment_token != DECLINED_TOKEN)
        while len(self._answers) > ANSWERS_KEPT:
            self._answers.popitem(last=False)
        return taken

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Pretend to give money back."""
