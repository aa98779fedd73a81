"""Why Stripe declined a payment, as far as the customer may be told. Source: https://docs.stripe.com/declines/codes."""

from typing import Any

from cinema_grpc.domain.booking_errors import GENERIC_DECLINE

_TOLD = """
    approve_with_id authentication_required call_issuer card_not_supported card_velocity_exceeded currency_not_supported
    do_not_honor do_not_try_again duplicate_transaction expired_card incorrect_address incorrect_cvc incorrect_number
    incorrect_pin incorrect_zip insufficient_funds invalid_account invalid_amount invalid_cvc invalid_expiry_month
    invalid_expiry_year invalid_number issuer_not_available live_mode_test_card new_account_information_available
    no_action_taken not_permitted offline_pin_required online_or_offline_pin_required
    payment_intent_authentication_failure pin_try_exceeded processing_error reenter_transaction
    revocation_of_all_authorizations revocation_of_authorization security_violation service_not_allowed
    stop_payment_order testmode_decline transaction_not_allowed try_again_later withdrawal_count_limit_exceeded
"""
TOLD = frozenset(_TOLD.split())
"""Stripe asks to present others, such as lost_card and fraudulent, as a generic decline."""


def decline_code(error: Any) -> str:
    """Return the reason of an error object of Stripe's, or None, that the customer may be told."""
    for name in ("decline_code", "code"):
        code = getattr(error, name, None)
        if code:
            return code if code in TOLD else GENERIC_DECLINE
    return GENERIC_DECLINE
