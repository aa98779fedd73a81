"""Known bugs of payments and refunds."""

from tests.mutations.mutation import APPLICATION, DATABASE, DOMAIN, SIMULATION, mutation

ACTIONS = "tests/application/test_stripe_actions.py"
FAULTS = "tests/application/test_stripe_faults.py"
GATEWAY = "cinema_grpc/adapters/stripe/gateway.py"
SAGA = f"{APPLICATION}/payment_saga.py"

MUTATIONS = (
    mutation(
        "each try to charge has a key of its own, so each may take money",
        SAGA,
        "await self._ask(charge, payer, partial(self.gateway.charge, charge, token))",
        "await self._ask(charge, payer, lambda: self.gateway.charge("
        "replace(charge, attempt_id=str(uuid_utils.uuid7())), token))",
        SIMULATION,
    ),
    mutation(
        "each try to refund has a key of its own, so each may pay money back",
        f"{APPLICATION}/refunds.py",
        "await self._gateway.refund(refund)",
        'await self._gateway.refund(__import__("dataclasses").replace(refund, refund_id=str(id(object()))))',
        FAULTS,
    ),
    mutation(
        "a charge of which the provider knows nothing counts as declined, though it may be on its way",
        SAGA,
        "        if isinstance(outcome, Declined):\n",
        "        outcome = outcome or Declined()\n        if isinstance(outcome, Declined):\n",
        "tests/application/test_recovery.py",
        SIMULATION,
    ),
    mutation(
        "a charge is confirmed before its identifier is stored",
        SAGA,
        "charge = await self._stored(charge, payer, provider_id)",
        "charge = replace(charge, provider_id=provider_id)",
        f"{FAULTS}::TestAProcessThatDies",
    ),
    mutation(
        "a declined charge can still succeed",
        SAGA,
        'if charge.provider_id != "" and await',
        'if charge.provider_id == "none" and await',
        f"{FAULTS}::TestAStepThatFailsOnce::test_a_decline_stays_one",
    ),
    mutation(
        "a charge that could not be voided counts as voided",
        SAGA,
        "return await self._settle_charge(booking, attempt, payer, expected=AttemptStatus.VOIDING)",
        "pass",
        f"{FAULTS}::TestAProcessThatDies",
        SIMULATION,
    ),
    mutation(
        "a customer who has acted gets the response of before",
        f"{DOMAIN}/charging.py",
        'replace(attempt, action=True, request="")',
        "replace(attempt, action=True)",
        ACTIONS,
    ),
    mutation(
        "a refund is made again when Stripe has forgotten its key",
        GATEWAY,
        "return next((each for each in made.data if _refund_id(each) == refund.refund_id), None)",
        "return None if made else None",
        f"{FAULTS}::TestAStepThatFailsOnce::test_a_refund_is_paid_once",
    ),
    mutation(
        "the failure of a refund that was paid goes unnoticed",
        f"{DATABASE}/payment_rows.py",
        "refund.status is RefundStatus.COMPLETED and bool(refund.provider_id) and by_hand is None",
        "False",
        "tests/application/test_stripe_refunds.py::test_a_refund_that_fails_after_it_was_paid",
    ),
    mutation(
        "recovery voids a charge without the provider's identifier that was stored a moment ago",
        SAGA,
        "charge = charge_of(voiding, called_off)",
        "pass",
        f"{FAULTS}::TestAProcessThatDies::test_one_that_was_slow_stores_the_intent_while_it_is_called_off",
    ),
    mutation(
        "a payment that another process has settled meanwhile is refused",
        f"{APPLICATION}/payments.py",
        "            if booking.attempt(attempt.attempt_id, AttemptStatus.CHARGED):\n",
        "            if False:\n",
        "tests/application/test_stripe_actions.py::test_a_call_that_another_one_overtakes",
    ),
    mutation(
        "a refund is given up before Stripe forgets the error that it repeats",
        f"{APPLICATION}/retry_policy.py",
        "MAX_TRIES = 36",
        "MAX_TRIES = 32",
        "tests/application/test_stripe_faults.py::test_a_refund_is_paid_after_an_error_that_stripe_repeats_for_a_day",
    ),
    mutation(
        "what is sold while Stripe is read is a difference",
        f"{APPLICATION}/reconciliation.py",
        "for each in (*entries, *later)}",
        "for each in entries}",
        "tests/application/test_reconciliation.py::test_what_is_sold_and_refunded_while_stripe_is_read",
    ),
    mutation(
        "a hold that is being paid for grows past the new start",
        "cinema_grpc/domain/showtime_changes.py",
        "        end = max(end, min(booking.create_time + hold_for, after))\n",
        "        end = max(end, booking.create_time + hold_for)\n",
        "tests/domain/test_showtime_changes.py",
    ),
)
