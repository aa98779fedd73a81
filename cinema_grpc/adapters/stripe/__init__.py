"""Payments by Stripe: the gateway, and the transactions that `cinema reconcile` reads. Needs the extra "stripe"."""
