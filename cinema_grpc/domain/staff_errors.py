"""The errors of what only staff do."""

from cinema_grpc.domain.errors import CinemaError, ErrorKind, NotFound


class UserNotFound(NotFound):
    """No account has this identifier."""

    reason, resource_type, subject = "USER_NOT_FOUND", "User", "user_id"
    template = "there is no user {user_id!r}"


class RefundNotFound(NotFound):
    """No refund has this identifier."""

    reason, resource_type, subject = "REFUND_NOT_FOUND", "Refund", "refund_id"
    template = "there is no refund {refund_id!r}"


class RefundNotOpen(CinemaError):
    """The refund is not one to pay by hand: it is COMPLETED, or the payment provider pays it."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "REFUND_NOT_OPEN", "refund_id"
    template = (
        "refund {refund_id} is {status}; only a FAILED refund, or a PENDING one of a counter sale, is paid by hand"
    )

    def __init__(self, refund_id: str, status: str) -> None:
        super().__init__(refund_id=refund_id, status=status)
