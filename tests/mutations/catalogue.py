"""Known bugs, as edits that put them back, and the tests that must notice each."""

from dataclasses import dataclass

APPLICATION = "cinema_grpc/application"
DATABASE = "cinema_grpc/adapters/database"
DOMAIN = "cinema_grpc/domain"
TRANSPORT = "cinema_grpc/transport"
BOX_OFFICE = "tests/application/test_box_office.py"
SIMULATION = "tests/proofs/test_simulation.py::test_many_worlds"


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of a file, which stands there once, and what takes its place."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug: what is wrong, the edits that make it so, and tests of which at least one must fail then."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def mutation(name: str, path: str, old: str, new: str, *tests: str) -> Mutation:
    """Make a mutation of one edit."""
    return Mutation(name, (Edit(path, old, new),), tests)


MUTATIONS = (
    Mutation(
        "a seat may have two claims: the unique key is dropped",
        (
            Edit(
                f"{DATABASE}/schema.py",
                'Column("booking_id", ExactText, ForeignKey("booking.booking_id"), nullable=False),\n'
                "    sqlite_with_rowid=False",
                'Column("booking_id", ExactText, ForeignKey("booking.booking_id"), primary_key=True),\n'
                "    sqlite_with_rowid=False",
            ),
            Edit(
                f"{DATABASE}/migrations/versions/0001_make_the_tables.py",
                '"showtime_id", "seat", name="seat_claim_pk"',
                '"showtime_id", "seat", "booking_id", name="seat_claim_pk"',
            ),
        ),
        (f"{BOX_OFFICE}::TestFaults::test_a_key_violation_is_narrowed_down",),
    ),
    Mutation(
        "the clock is read before the lock",
        (
            Edit(
                f"{DATABASE}/box_office_store.py",
                "        self._locked = await self._driver.lock(",
                "        self._early = self._database.clock.now() if self._database.clock else None\n"
                "        self._locked = await self._driver.lock(",
            ),
            Edit(
                f"{DATABASE}/box_office_store.py",
                "now = self._database.clock.now() if self._database.clock else told",
                "now = self._early or told",
            ),
        ),
        ("tests/store/test_moment_of_decision.py",),
    ),
    Mutation(
        "whether a lost commit was kept is told by the first of its showtimes alone",
        (
            Edit(
                f"{DATABASE}/box_office_store.py",
                "for work in written:\n            if stamps",
                "for work in written[:1]:\n            if stamps",
            ),
            Edit(
                f"{DATABASE}/box_office_store.py",
                "difference = _difference(written)\n        evidence",
                "difference = _difference(written[:1])\n        evidence",
            ),
            Edit(
                f"{DATABASE}/box_office_store.py",
                "for work in written for change in work.changes}",
                "for work in written[:1] for change in work.changes}",
            ),
        ),
        ("tests/application/test_lost_commits.py",),
    ),
    mutation(
        "a write is broken off with its caller",
        f"{DATABASE}/database.py",
        "        return await asyncio.shield(task)",
        "        return await task",
        "tests/store/test_account_store.py::test_who_hangs_up_leaves_a_whole_account_and_a_store_that_works",
    ),
    mutation(
        "a showtime at hand is believed without asking the database",
        f"{DATABASE}/box_office_store.py",
        "            if each.known is None or not (version == each.known or version.came_from(each.known)):\n",
        "            if each.known is None:\n",
        f"{BOX_OFFICE}::TestReplicas",
    ),
    mutation(
        "what a failover lost is taken for the beginning of what came instead",
        f"{APPLICATION}/box_office_ports.py",
        "        return place > 0 and self.stamp[place : place + STAMP_LENGTH] == other.stamp[:STAMP_LENGTH]\n",
        "        return place > 0\n",
        f"{BOX_OFFICE}::TestReplicas::test_a_history_without_what_is_at_hand_is_believed",
    ),
    mutation(
        "overlapping showtimes are looked for outside the transaction",
        f"{DATABASE}/catalog_store.py",
        "            await _check_free(connection, showtime)\n",
        "            pass\n"
        "        async with self._database.writing() as connection:\n"
        "            await _check_free(connection, showtime)\n"
        "        async with self._adding(recorded) as connection:\n",
        "tests/store/test_programme_store.py::test_of_many_showtimes_that_overlap_and_come_at_once_one_is_kept",
    ),
    mutation(
        "the request_id is stored after the commit",
        f"{DATABASE}/box_office_store.py",
        "        await self._driver.write_and_commit(self._connection, _difference(written).goes(others))\n",
        "        requests, others[INSERT_REQUEST] = others[INSERT_REQUEST], []\n"
        "        await self._driver.write_and_commit(self._connection, _difference(written).goes(others))\n"
        "        lock = (_LOCK, [])\n"
        "        locked = await self._driver.lock(self._connection, lock)\n"
        "        await self._driver.look(self._connection, lock, locked, lambda _: _LOOK.of({}))\n"
        "        others = {INSERT_REQUEST: requests, UPDATE_SHOWTIME: []}\n"
        "        await self._driver.write_and_commit(self._connection, Difference().goes(others))\n",
        f"{BOX_OFFICE}::TestFaults::test_a_call_that_cannot_be_recorded_leaves_nothing",
    ),
    mutation(
        "a claim is deleted whoever owns it",
        f"{DATABASE}/booking_rows.py",
        'delete_by(schema.seat_claim, ("showtime_id", "seat", "booking_id"))',
        'delete_by(schema.seat_claim, ("showtime_id", "seat"))',
        f"{BOX_OFFICE}::TestFaults::test_a_claim_is_deleted_by_its_owner_alone",
    ),
    mutation(
        "a hold is over a moment too late",
        f"{DOMAIN}/booking.py",
        "return self.status is BookingStatus.RESERVED and now >= self.hold_expire_time",
        "return self.status is BookingStatus.RESERVED and now > self.hold_expire_time",
        "tests/domain/test_booking.py::test_a_hold_ends_at_its_end",
    ),
    mutation(
        "a hold is over a moment too late in lists of bookings",
        f"{DATABASE}/booking_reader.py",
        "over = reserved.c.hold_expire_time <= bindparam",
        "over = reserved.c.hold_expire_time < bindparam",
        "tests/application/test_hold_expiry.py::test_without_it_a_lapsed_hold_is_free_all_the_same",
    ),
    mutation(
        "the gap rule overlooks the ends of a run",
        f"{DOMAIN}/seating.py",
        "edges = [start - 1, *taken, stop]",
        "edges = taken",
        "tests/domain/test_gap_rule.py",
    ),
    mutation(
        "holds that are never paid for help to strand a seat",
        f"{DOMAIN}/showtime.py",
        "            check_payment(self.terms.seat_plan, booking, self._bookings.values(), own, now)\n",
        "            pass\n",
        "tests/domain/test_gap_at_payment.py",
    ),
    mutation(
        "a payment under way counts as paid, though it may fail",
        f"{DOMAIN}/gap_rule.py",
        "    for succeeded in ((), *((each,) for each in sorted(pending))):\n",
        "    for succeeded in (tuple(pending),):\n",
        "tests/domain/test_gap_at_payment.py",
    ),
    mutation(
        "what others give up after a booking was made makes its payment fail",
        f"{DOMAIN}/gap_rule.py",
        "        return booking is None or booking.user_id == seats.user_id\n",
        "        return True\n",
        "tests/domain/test_gap_at_payment.py::TestTable",
    ),
    mutation(
        "what a booking relied on is forgotten at a restart",
        f"{DATABASE}/booking_rows.py",
        "_write_reliances(booking.relied_on) if booking.relied_on else None",
        "None",
        "tests/rpc/test_gap_at_payment.py",
    ),
    mutation(
        "anyone may change a booking",
        f"{DOMAIN}/showtime.py",
        "        if booking.user_id != user_id:\n            raise NotBookingOwner(booking_id)\n",
        "",
        "tests/rpc/test_bookings.py::TestOwnership::test_another_customers_booking",
    ),
    mutation(
        "anyone may read a booking",
        f"{APPLICATION}/bookings.py",
        "        if found.booking.user_id != user_id:\n            raise NotBookingOwner(booking_id)\n",
        "",
        "tests/rpc/test_bookings.py::TestOwnership::test_another_customers_booking",
    ),
    mutation(
        "a change does not raise the revision",
        f"{APPLICATION}/box_office_ports.py",
        "Version(self.revision + 1,",
        "Version(self.revision,",
        f"{BOX_OFFICE}::TestDeciding::test_revision_grows_with_every_change",
    ),
    mutation(
        "who peeks sees what is not committed",
        f"{DATABASE}/sqlite.py",
        "        self._nothing_pending.clear()\n",
        "",
        "tests/store/test_programme_store.py::test_nobody_sees_what_is_not_committed",
    ),
    mutation(
        "an altered page token is believed",
        f"{TRANSPORT}/page_tokens.py",
        "    if encode(query, cursor) != token:\n        raise malformed_page_token()\n",
        "",
        "tests/transport/test_page_tokens.py",
    ),
    mutation(
        "a token for another audience is accepted",
        "cinema_grpc/adapters/access_tokens.py",
        "algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER",
        'algorithms=[algorithm], issuer=ISSUER, options={"verify_aud": False}',
        "tests/adapters/test_access_tokens.py",
    ),
    mutation(
        "a payment does not make the hold last longer",
        f"{DOMAIN}/booking.py",
        "            hold_expire_time = max(hold_expire_time, now + PAYMENT_TIME)\n",
        "            pass\n",
        "tests/domain/test_showtime.py::TestPayment::test_a_charge_makes_the_hold_longer_once",
    ),
    mutation(
        "callers are answered before the commit",
        f"{APPLICATION}/batch.py",
        "                self.answers.append((command, self._answer(command, showtime, now, opened)))\n",
        "                command.answer(self._answer(command, showtime, now, opened))\n",
        f"{BOX_OFFICE}::TestFaults::test_a_commit_that_fails_is_undone",
    ),
    mutation(
        "a repeat is carried out again",
        f"{APPLICATION}/batch.py",
        "            recorded = opened.recorded.get(once.key) or self.recorded.get(once.key)\n",
        "            recorded = self.recorded.get(once.key)\n",
        f"{BOX_OFFICE}::TestOnce::test_a_repeat_gets_the_same_answer",
    ),
    mutation(
        "repeats in one batch are each carried out",
        f"{APPLICATION}/batch.py",
        "            recorded = opened.recorded.get(once.key) or self.recorded.get(once.key)\n",
        "            recorded = opened.recorded.get(once.key)\n",
        f"{BOX_OFFICE}::TestOnce::test_twenty_at_once_have_one_effect",
    ),
    mutation(
        "an answer that can't be written fails others too",
        f"{APPLICATION}/batch.py",
        "        except Exception as fault:  # noqa: BLE001 (the caller's own, and what was done stays done)\n",
        "        except KeyError as fault:\n",
        f"{BOX_OFFICE}::TestFaults::test_an_answer_that_cannot_be_written_hurts_nobody_else",
    ),
    mutation(
        "a request_id stands for any content",
        f"{APPLICATION}/once.py",
        "        if content != self.digest():\n",
        "        if False:\n",
        f"{BOX_OFFICE}::TestOnce::test_other_content_is_refused",
    ),
    mutation(
        "time may run back",
        f"{APPLICATION}/batch.py",
        "now = max(opened.now, at_hand.latest_time)",
        "now = opened.now",
        f"{BOX_OFFICE}::TestDeciding::test_time_never_runs_back",
    ),
    mutation(
        "what a failed batch did stays at hand",
        f"{APPLICATION}/lane.py",
        "kept = {showtime_id: self._shelf.take(showtime_id) for",
        "kept = {showtime_id: self._shelf._showtimes.get(showtime_id) for",
        f"{BOX_OFFICE}::TestFaults::test_a_failing_statement_loses_nothing",
    ),
    mutation(
        "a commit whose answer is lost counts as undone",
        f"{APPLICATION}/lane.py",
        "if work.written and await self._was_committed(work):\n",
        "if False:\n",
        f"{BOX_OFFICE}::TestFaults::test_a_commit_whose_answer_is_lost_is_found",
    ),
    mutation(
        "a lapsed hold loses only the seats that others claim",
        f"{DOMAIN}/showtime.py",
        "                self._put(lapsed.to(BookingStatus.EXPIRED))\n",
        "                self._bookings[lapsed.booking_id] = lapsed.to(BookingStatus.EXPIRED)\n",
        "tests/rpc/test_bookings.py::TestLapsing::test_a_lapsed_hold_reads_expired_and_is_free",
        "tests/domain/test_showtime.py::TestHold",
    ),
    mutation(
        "lapsed holds count towards the hold limit",
        f"{DOMAIN}/unpaid_holds.py",
        "sum(booking.seats_on_hold(now) for",
        "sum(len(booking.seats) for",
        "tests/domain/test_showtime.py::TestHold::test_ten_seats_on_hold_for_one_customer",
    ),
    mutation(
        "seats on hold that the same batch has taken in other showtimes are overlooked",
        f"{APPLICATION}/batch.py",
        "asked.seats = before + self.moved[asked.user_id]",
        "asked.seats = before",
        "tests/rpc/test_hold_limits.py::test_it_is_exact_for_calls_that_come_at_once",
    ),
    mutation(
        "unpaid holds are forgotten at a restart",
        f"{DATABASE}/box_office_store.py",
        "(_NAMED, missing), (_UNPAID, counted)]",
        "(_NAMED, missing)]",
        "tests/rpc/test_hold_limits.py::test_after_three_unpaid_holds_the_next_waits",
    ),
    mutation(
        "one caller may fill the queue",
        f"{APPLICATION}/command_queue.py",
        "if command.caller and self._places.get(command.caller, 0) >= PLACES_A_CALLER:\n",
        "if False:\n",
        "tests/application/test_command_queue.py::test_a_flood_over_many_showtimes",
        "tests/rpc/test_floods.py",
    ),
    mutation(
        "another caller's backlog turns callers away",
        f"{APPLICATION}/lane.py",
        "        own = self._waiting.behind_of(caller)\n",
        "        own = self._waiting.behind\n",
        "tests/application/test_command_queue.py::test_a_flood_is_turned_away_and_others_are_not",
    ),
    mutation(
        "half a minor unit rounds down",
        f"{DOMAIN}/money.py",
        "+ 50) // 100",
        ") // 100",
        "tests/domain/test_cancellation.py::test_half_a_minor_unit_rounds_up",
    ),
    mutation(
        "a caller who has gone is served all the same",
        f"{APPLICATION}/batch.py",
        "            if not command.future.done():\n                self",
        "            if True:\n                self",
        f"{BOX_OFFICE}::TestDeciding::test_a_caller_who_is_gone_before_the_turn_is_left_out",
    ),
    mutation(
        "a busy showtime holds up the others",
        f"{DATABASE}/box_office_store.py",
        'locking=f"{_LOCKED} SKIP LOCKED"',
        "locking=_LOCKED",
        "tests/store/test_postgresql.py::TestBusyShowtimes::test_others_are_sold_meanwhile_and_it_as_soon_as_it_is_let_go",
    ),
    mutation(
        "what is acknowledged is not on the disk",
        f"{DATABASE}/sqlite.py",
        '"synchronous = FULL"',
        '"synchronous = OFF"',
        "tests/store/test_migrations.py",
    ),
    mutation(
        "a commit whose answer is lost counts as done",
        f"{APPLICATION}/lane.py",
        "if work.written and await self._was_committed(work):\n",
        "if True:\n",
        f"{BOX_OFFICE}::TestFaults::test_a_commit_that_fails_is_undone",
    ),
    mutation(
        "what other processes did is not taken over",
        f"{APPLICATION}/shelf.py",
        "        at_hand.showtime.restore(booking)\n",
        "        pass\n",
        SIMULATION,
    ),
    mutation(
        "each try to charge has a key of its own, so that each may take money",
        f"{APPLICATION}/payment_saga.py",
        "self.gateway.charge(attempt_id,",
        "self.gateway.charge(str(uuid_utils.uuid7()),",
        SIMULATION,
    ),
    mutation(
        "each try to refund has a key of its own, so that each may give money back",
        f"{APPLICATION}/refunds.py",
        "await self._gateway.refund(refund.refund_id,",
        "await self._gateway.refund(str(id(object())) + str(asyncio.get_running_loop().time()),",
        "tests/application/test_recovery.py::TestARefundWhoseAnswerIsLost",
    ),
    mutation(
        "a charge of which the provider knows nothing counts as declined, though it may be on its way",
        f"{APPLICATION}/payment_saga.py",
        "            if taken is False:\n",
        "            if not taken:\n",
        "tests/application/test_recovery.py",
        SIMULATION,
    ),
    mutation(
        "a charge is called off with the provider before it is in the books",
        f"{APPLICATION}/payment_saga.py",
        "            voiding = await write(",
        "            await self.gateway.void(attempt_id)\n            voiding = await write(",
        "tests/application/test_recovery.py::TestASlowReplica",
    ),
    mutation(
        "a health check does not prove that writes work",
        f"{DATABASE}/database.py",
        "self._check(rights, by_writing=by_writing)",
        "self._check(rights, by_writing=False)",
        "tests/rpc/test_full_disk.py::test_sqlite",
    ),
    mutation(
        "each statement waits anew for a locked file",
        f"{DATABASE}/sqlite_connection.py",
        "            self._set_waiting(waits=False)\n",
        "            pass\n",
        "tests/rpc/test_locked_file.py::test_calls_and_health",
    ),
    mutation(
        "a right that is taken away is a fault of ours",
        f"{DATABASE}/postgresql.py",
        'TAKEN_AWAY = {"42501", "42P01"}',
        "TAKEN_AWAY: set[str] = set()",
        "tests/e2e/test_unfit_databases.py::TestRights::test_that_are_taken_away_later",
    ),
    mutation(
        "a cancellation of what the driver waits for reaches the call",
        f"{DATABASE}/database.py",
        "            if is_cancelled():\n                raise\n",
        "            if not is_cancelled() or is_cancelled():\n                raise\n",
        "tests/rpc/test_cancelled_storage.py::test_statements_that_are_cancelled",
    ),
    mutation(
        "a server whose database hangs does not end",
        "cinema_grpc/cli/serving.py",
        "        stop.set()\n        exit_timer.start()",
        "        stop.set()",
        "tests/e2e/test_exit_timer.py::test_a_database_server_that_is_frozen",
    ),
    mutation(
        "log lines that are dropped are not counted",
        "cinema_grpc/observability/log_writer.py",
        r'self._dropped += text.count("\n")',
        "self._dropped += 0",
        "tests/e2e/test_log.py::TestLogWriter",
    ),
    mutation(
        "a charge that comes too late confirms the booking",
        f"{DOMAIN}/booking.py",
        "current = replace(self.as_of(now), payment=attempt.to(AttemptStatus.CHARGED))",
        "current = replace(self, payment=attempt.to(AttemptStatus.CHARGED))",
        "tests/domain/test_showtime.py::TestPayment::test_too_late_a_charge_is_owed_back",
    ),
    mutation(
        "a seat map that was read before a commit is shown after it",
        f"{APPLICATION}/programme.py",
        "found.version.revision < self._committed.get(showtime_id, 0)",
        "found.version.revision < 0",
        "tests/application/test_programme.py::TestAlone",
    ),
    mutation(
        "a seat map is believed though nobody knows whether a commit was kept",
        f"{APPLICATION}/lane.py",
        "                    self._doubt([each.showtime_id for each in work.written])\n",
        "",
        "tests/application/test_programme.py::TestAlone",
    ),
    mutation(
        "a wrong password is not counted if its caller is cancelled",
        f"{DATABASE}/sign_in_store.py",
        "@owed\n    async def add_failure",
        "@uninterrupted\n    async def add_failure",
        "tests/application/test_throttle.py::test_a_wrong_password_of_a_cancelled_attempt_is_counted_before_the_next",
    ),
    mutation(
        "a call counts no more once its handler has returned",
        f"{TRANSPORT}/pipeline.py",
        "            return response\n        finally:\n",
        "            return response\n        finally:\n            self._open_calls.calls.release(call)\n",
        "tests/rpc/test_unread_responses.py::test_unread_responses_give_way_when_calls_are_scarce",
    ),
    mutation(
        "a message may take as long as it likes",
        f"{TRANSPORT}/open_calls.py",
        "if seconds >= limits.receive_seconds:",
        "if seconds >= 3600:",
        "tests/rpc/test_late_requests.py::test_a_message_that_does_not_come",
    ),
    mutation(
        "a response may stay unread for as long as the client likes",
        f"{TRANSPORT}/open_calls.py",
        "SECONDS_TO_READ_WHEN_SHORT if short else limits.send_seconds",
        "SECONDS_TO_READ_WHEN_SHORT if short else 3600",
        "tests/rpc/test_unread_responses.py::test_a_response_that_is_not_read",
    ),
    mutation(
        "the client that came first keeps all calls",
        f"{TRANSPORT}/admission.py",
        "if not self._make_way(client, held):",
        "if True:",
        "tests/transport/test_admission.py",
    ),
    mutation(
        "one network may hold all calls",
        f"{TRANSPORT}/admission.py",
        "if free <= 0 or held > free:",
        "if free <= 0:",
        "tests/transport/test_admission.py::TestBudget::test_a_network_may_have_as_many_as_are_free",
    ),
    mutation(
        "a fault in a sweep of open calls ends the sweeps",
        f"{TRANSPORT}/open_calls.py",
        '            self._logger.exception("sweep of open calls failed")\n        finally:',
        "            return\n        else:",
        "tests/rpc/test_late_requests.py::test_a_fault_in_a_sweep_does_not_end_the_sweeps",
    ),
    mutation(
        "anyone may use the reserve for sales",
        f"{TRANSPORT}/pipeline.py",
        "traits.changes and self._is_signed_in(call)",
        "traits.changes",
        "tests/rpc/test_limits.py::test_the_reserve_for_sales",
    ),
    mutation(
        "an option that gRPC does not know",
        f"{TRANSPORT}/limits.py",
        "grpc.http2.min_ping_interval_without_data_ms",
        "grpc.http2.min_recv_ping_interval_without_data_ms",
        "tests/rpc/test_connections.py::test_the_interval_between_pings",
    ),
    mutation(
        "bookings are read with whatever columns a newer version has added",
        f"{DATABASE}/showtime_rows.py",
        'f"SELECT {columns_of(schema.booking)} FROM booking WHERE',
        '"SELECT booking.* FROM booking WHERE',
        "tests/rpc/test_newer_tables.py",
    ),
    mutation(
        "a column stands without its table, and a newer version has added its name to another one",
        f"{DATABASE}/showtime_rows.py",
        "showtime.start_time, showtime.currency_code,",
        "showtime.start_time, currency_code,",
        "tests/rpc/test_newer_tables.py",
    ),
    mutation(
        "a filter is cut off below the microsecond, as a time that is stored",
        f"{TRANSPORT}/parsing.py",
        "    if timestamp.nanos % 1000 and moment < LAST_MOMENT:",
        "    if False:",
        "tests/rpc/test_list_showtimes.py",
    ),
    mutation(
        "a malformed request is not told what the method itself would refuse",
        f"{TRANSPORT}/server.py",
        "method_traits(limits.largest_page_bytes, further)",
        "method_traits(limits.largest_page_bytes)",
        "tests/rpc/test_malformed.py::test_every_bad_field_is_named",
    ),
    mutation(
        "the entries of one list take all the room that the other fields need",
        f"{TRANSPORT}/validation.py",
        "return [each for _, each in sorted(zip(turns, violations, strict=True), key=lambda pair: pair[0])]",
        "return list(violations)",
        "tests/rpc/test_malformed.py::test_a_request_in_which_all_is_wrong",
    ),
    mutation(
        "a customer's bookings of one status are found by looking through all of them",
        f"{DATABASE}/migrations/versions/0008_bound_what_lists_read.py",
        '"booking", ["user_id", "status", "booking_id"])',
        '"booking", ["user_id", "booking_id"])',
        "tests/store/test_bounded_lists.py",
    ),
    mutation(
        "a page of the programme in a cinema is found by looking through that of the movie",
        f"{DATABASE}/migrations/versions/0008_bound_what_lists_read.py",
        '"cinema_id movie_id", ',
        "",
        "tests/store/test_bounded_lists.py",
    ),
    mutation(
        "a page of a customer's bookings examines all that are on hold",
        f"{DATABASE}/booking_reader.py",
        'asked["examined"] = self._examined',
        'asked["examined"] = 10**6',
        "tests/store/test_bounded_lists.py",
    ),
    mutation(
        "a page that ends before what was not examined shows what comes after that",
        f"{DATABASE}/booking_reader.py",
        "                rows = [row for row in rows if row[0] >= end]\n",
        "",
        "tests/store/test_booking_lists.py",
    ),
    mutation(
        "changes of an account are counted but never refused",
        f"{TRANSPORT}/authentication.py",
        "            self._change_limit.take(principal.user_id)\n",
        "            pass\n",
        "tests/rpc/test_change_limit.py",
    ),
    mutation(
        "an account gets a full bucket in the middle of a minute",
        f"{APPLICATION}/change_limit.py",
        "self._full_at.get(user_id) or self._older.get(user_id, now)",
        "self._full_at.get(user_id, now)",
        "tests/application/test_change_limit.py",
    ),
    mutation(
        "sign-ins of one client network delay all networks",
        f"{APPLICATION}/fair_queue.py",
        "        return min(self._size, own + (own + 1) * others)\n",
        "        return self._size\n",
        "tests/rpc/test_client_networks.py::test_registers_of_one_network_do_not_starve_the_sign_ins_of_others",
    ),
    mutation(
        "a group keeps its turn until it is empty",
        f"{APPLICATION}/fair_queue.py",
        "            self._groups[group] = items  # its",
        "            self._groups = OrderedDict([(group, items), *self._groups.items()])  # its",
        "tests/adapters/test_passwords.py::test_client_networks_take_turns",
    ),
    mutation(
        "a clock set back lengthens the delay of sign-ins",
        f"{DOMAIN}/sign_in.py",
        "return wait if wait <= limit.longest_delay else timedelta(0)",
        "return wait",
        "tests/domain/test_sign_in.py",
    ),
    mutation(
        "a network without registrations left learns which names are taken",
        f"{APPLICATION}/accounts.py",
        "            await self._throttle.count_registration(network)\n",
        "            if await self._store.find_by_username(username) is None:\n"
        "                await self._throttle.count_registration(network)\n",
        "tests/rpc/test_client_networks.py::TestRegistrations",
    ),
    mutation(
        "a disabled account stays in the cache of principals",
        f"{APPLICATION}/principals.py",
        "            self._cached.pop(user_id, None)\n\n    async def set_disabled",
        "            pass\n\n    async def set_disabled",
        "tests/rpc/test_disabled_accounts.py",
    ),
    mutation(
        "access tokens from before an account was disabled become valid again",
        f"{DOMAIN}/account.py",
        "return not self.disabled and (self.revoke_time is None or issue_time >= self.revoke_time)",
        "return not self.disabled",
        "tests/rpc/test_disabled_accounts.py::test_an_enabled_account_must_sign_in_again",
    ),
    mutation(
        "a concurrent sign-in gets a session of a disabled account",
        f"{DATABASE}/account_store.py",
        "if list(map(tuple, found)) != [(known_hash, False)]:",
        "if [each[0] for each in found] != [known_hash]:",
        "tests/rpc/test_disabled_accounts.py::test_a_concurrent_sign_in_gets_no_session",
    ),
    mutation(
        "names in two normal forms are different names",
        f"{DOMAIN}/text.py",
        'unicodedata.normalize("NFC", text).split()',
        "text.split()",
        "tests/rpc/test_catalog.py::TestEntering::test_texts_that_look_the_same_are_the_same",
    ),
    mutation(
        "what is sent is made another before it is compared with a repeat",
        f"{TRANSPORT}/once.py",
        "    request_id = request.request_id\n    request.ClearField",
        "    for name in ('title', 'name'):\n"
        "        if name in request.DESCRIPTOR.fields_by_name:\n"
        "            setattr(request, name, getattr(request, name).strip())\n"
        "    request_id = request.request_id\n    request.ClearField",
        "tests/rpc/test_catalog.py::TestEntering::test_a_repeat_is_known_by_what_was_sent",
    ),
    mutation(
        "invisible characters make other names",
        f"{TRANSPORT}/validation.py",
        ", *_bad_texts(message, texts)]",
        "]",
        "tests/rpc/test_catalog.py::TestEntering::test_what_shows_nothing_is_refused",
    ),
    mutation(
        "an SQLite file is locked by its path alone",
        f"{DATABASE}/sole_server.py",
        "if SET_LOCK is not None:",
        "if SET_LOCK is None:",
        "tests/e2e/test_sqlite_file.py::test_one_server_by_whatever_name",
    ),
    mutation(
        "an SQLite file that is new can be read by everyone",
        f"{DATABASE}/sqlite_file.py",
        "os.O_CLOEXEC, 0o600)",
        "os.O_CLOEXEC, 0o644)",
        "tests/e2e/test_sqlite_file.py::test_one_server_by_whatever_name",
    ),
    mutation(
        "an SQLite file of another program is changed before it is refused",
        f"{DATABASE}/sqlite.py",
        "        await _on_its_thread(connection, partial(refuse_another_programs, Path(path)))\n"
        "        await _on_its_thread(connection, _prepare)\n",
        "        await _on_its_thread(connection, _prepare)\n"
        "        await _on_its_thread(connection, partial(refuse_another_programs, Path(path)))\n",
        "tests/e2e/test_sqlite_file.py::test_another_programs_file_is_left_as_it_is",
    ),
    mutation(
        "an SQLite connection that can't be made leaves its thread",
        f"{DATABASE}/sqlite.py",
        "        await connection.close()\n"
        "        # Without this its thread could outlive the event loop, which it has something to tell, and fail.\n"
        "        await asyncio.to_thread(thread.join)\n",
        "",
        "tests/store/test_migrations.py::test_a_file_that_can_not_be_used_leaves_no_thread",
    ),
    mutation(
        "a database URL that can't be parsed is quoted",
        "cinema_grpc/database_url.py",
        'raise ValueError(f"has parameters that are not name=value, separated by &; {ENCODE}") from None',
        "raise",
        "tests/settings/test_database_url.py",
    ),
    mutation(
        "a database URL may have an @ in its parameters",
        "cinema_grpc/database_url.py",
        'if "@" in login + path + query:',
        'if "@" in login + path:',
        "tests/settings/test_database_url.py",
    ),
    mutation(
        "a home folder that can't be looked into keeps PostgreSQL away",
        f"{DATABASE}/connect.py",
        "not _may_read_default_files():",
        "False:",
        "tests/store/test_database_tls.py::test_a_home_folder_that_can_not_be_looked_into",
    ),
    mutation(
        "a device is read in the place of a key",
        "cinema_grpc/files.py",
        "if not stat.S_ISREG(mode):",
        "if stat.S_ISDIR(mode):",
        "tests/settings/test_files.py",
    ),
    mutation(
        "a connection to the metrics port may hang",
        "cinema_grpc/observability/metrics.py",
        "        self._cut_off_before(time.monotonic() - SECONDS_TO_ANSWER)\n",
        "        return\n",
        "tests/rpc/test_metrics.py::test_connections_that_hang_are_cut_off",
    ),
)
