"""The payment provider that the settings choose."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.simulated_ledger import ledger_of
from cinema_grpc.adapters.simulated_payments import FaultProfile, SimulatedPayments
from cinema_grpc.application.catalog_rules import PriceRule, any_price
from cinema_grpc.application.payment_ports import PaymentGateway, ProviderUnavailable
from cinema_grpc.config import PREFIX, BadSettings, Settings, variable
from cinema_grpc.domain.cancellation import UnitRule, any_amount
from cinema_grpc.files import read_regular
from cinema_grpc.stripe_settings import check_stripe_key, is_live

if TYPE_CHECKING:
    from cinema_grpc.adapters.stripe.gateway import StripePayments

logger = structlog.get_logger()


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class PaymentProvider:
    """A gateway, and what belongs to it.

    Attributes:
        price_rule: Which prices it can charge.
        unit_of: Returns its unit of a currency, in minor units: it pays multiples of this only.
        check: Checks at the start that it can be used; raises BadSettings if it can't.
        close: Closes its connections.
    """

    gateway: PaymentGateway
    price_rule: PriceRule = any_price
    unit_of: UnitRule = any_amount
    check: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing


def read_stripe_key(settings: Settings, *, with_demo: bool = False) -> str | None:
    """Return Stripe's secret key; None if payments are simulated.

    Raises:
        BadSettings: There is no key, or two, or it can't be read or used; or it is a live key and `with_demo` is set.
    """
    if settings.payments == "simulated":
        for field in ("stripe_secret_key", "stripe_secret_key_file"):
            if getattr(settings, field) is not None:  # else tickets would be given away
                raise BadSettings(f"{variable(field)}: has no effect without {PREFIX}PAYMENTS=stripe; set that too")
        return None
    if find_spec("stripe") is None or find_spec("httpx") is None:
        install = "pip install ./clients/python '.[stripe]' in a checkout"
        raise BadSettings(f"{PREFIX}PAYMENTS: stripe needs a library: {install}")
    name, key = _name_of_key(settings), settings.stripe_secret_key
    file = settings.stripe_secret_key_file
    if file is not None:
        if key is not None:
            raise BadSettings(f"{name}: must not be set where {variable('stripe_secret_key')} is")
        secret = _read_key(name, file)
    elif key is None:
        raise BadSettings(f"{name}: must be set to the account's secret key, or {name}_FILE to a file with it")
    else:
        secret = key.get_secret_value()
    if is_live(secret) and with_demo:
        raise BadSettings(f"{name}: is a live key, and --demo must not move real money; use a test key")
    if is_live(secret) and (settings.stripe_api_base or "").startswith("http:"):
        raise BadSettings(f"{PREFIX}STRIPE_API_BASE: must be https with a live key")
    return secret


def _name_of_key(settings: Settings) -> str:
    """Return the setting that has the key."""
    return variable("stripe_secret_key" if settings.stripe_secret_key_file is None else "stripe_secret_key_file")


def _read_key(name: str, file: Path) -> str:
    try:
        secret = read_regular(file, private=True).decode("ascii").strip()
        check_stripe_key(secret)
    except OSError as error:
        raise BadSettings(f"{name}: can't read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{name}: {file} is not ASCII text") from error
    except ValueError as error:
        raise BadSettings(f"{name}: the content of {file} {error}") from error
    return secret


def build_provider(settings: Settings, database: Database) -> PaymentProvider:
    """Return the payment provider of the settings.

    Raises:
        BadSettings: Stripe can't be used.
    """
    secret = read_stripe_key(settings)
    if secret is not None:
        # The extra may not be installed.
        from cinema_grpc.adapters.stripe.gateway import StripePayments  # noqa: PLC0415
        from cinema_grpc.adapters.stripe.money import price_violations, unit_of  # noqa: PLC0415

        payments = StripePayments(secret, settings.stripe_api_base)
        return PaymentProvider(
            payments,
            price_violations,
            unit_of,
            partial(_check_stripe, payments, _name_of_key(settings)),
            payments.close,
        )
    faults = FaultProfile(
        settings.simulated_payments_delay_seconds,
        settings.simulated_payments_fail_before,
        settings.simulated_payments_fail_after,
        settings.simulated_payments_lose_answer,
    )
    return PaymentProvider(SimulatedPayments(ledger_of(database), faults))


async def _check_stripe(payments: "StripePayments", name: str) -> None:
    from cinema_grpc.adapters.stripe.gateway import KeyRefused  # noqa: PLC0415

    try:
        await payments.check_key()
    except KeyRefused as error:
        raise BadSettings(f"{name}: Stripe does not accept the key ({error})") from error
    except ProviderUnavailable as error:
        logger.warning("Stripe can't be asked whether it accepts the key; payments may fail", error=str(error))


def log_payments(settings: Settings) -> None:
    """Log in one line whether money moves."""
    secret = read_stripe_key(settings)
    if secret is None:
        logger.warning("payments are simulated: no money moves")
    elif is_live(secret):
        logger.info("payments are live: Stripe moves real money")
    else:
        logger.warning("payments are in Stripe's test mode: no money moves")
