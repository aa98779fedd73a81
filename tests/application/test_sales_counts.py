"""What the metrics count of payments: each state that an attempt got, also within one batch."""

import pytest

from cinema_grpc.application.box_office.store import ShowtimeUpdate, Version
from cinema_grpc.application.sales_counts import SalesCounts
from cinema_grpc.domain.payment import AttemptStatus
from tests.builders import NOW, a_showtime
from tests.domain.commands import begin_void, hold, settle_decline, settle_void


@pytest.mark.parametrize("voided", [False, True])
def test_an_attempt_that_ends_in_the_batch_that_opens_the_next(voided: bool) -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    showtime.open_payment("b1", "ada", "first", NOW)
    if voided:
        begin_void(showtime, "b1", "first")
    showtime.mark_stored()
    if voided:
        settle_void(showtime, "b1", "first", taken=False)
    else:
        settle_decline(showtime, "b1", "first")
    showtime.open_payment("b1", "ada", "second", NOW)
    update = ShowtimeUpdate("s1", Version(1, "one"), Version(2, "two"), NOW, 2, showtime.changes(), None, [])
    counts = SalesCounts()
    counts.note_commit([update])
    ended = AttemptStatus.VOIDED if voided else AttemptStatus.DECLINED
    assert counts.payments == {ended: 1, AttemptStatus.OPEN: 1}
