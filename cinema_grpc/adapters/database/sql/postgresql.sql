-- The box office's statements for PostgreSQL: one JSON array of objects for each table.
-- `cinema_grpc/adapters/database/statements.py` reads this file. The names in parentheses are $1, $2 and so on.

-- name: clock()
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: lock(showtime_ids)
-- Skips showtimes that another transaction has locked, so that no transaction waits while it holds a lock.
SELECT showtime.showtime_id FROM showtime
WHERE showtime.showtime_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))
ORDER BY showtime.showtime_id FOR NO KEY UPDATE OF showtime SKIP LOCKED;

-- name: lock_waiting(showtime_ids)
SELECT showtime.showtime_id FROM showtime
WHERE showtime.showtime_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)))
ORDER BY showtime.showtime_id FOR NO KEY UPDATE OF showtime;

-- name: lock_auditoriums(showtime_ids)
-- Other showtimes are scheduled in these auditoriums after this transaction. It never waits, as it holds the showtimes.
SELECT showtime.showtime_id FROM showtime CROSS JOIN LATERAL (
    SELECT 1 FROM auditorium WHERE auditorium.auditorium_id = showtime.auditorium_id FOR NO KEY UPDATE SKIP LOCKED
) AS auditorium
WHERE showtime.showtime_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)));

-- name: existing(showtime_ids)
SELECT showtime.showtime_id FROM showtime
WHERE showtime.showtime_id = ANY (ARRAY(SELECT json_array_elements_text($1::json)));

-- name: load(showtimes, booking_ids, keys, accounts, now, unpaid_for, slots_within, longest_runtime)
-- What a batch decides on, and what a seat map shows. `showtimes` names the cached version of each, if there is one:
-- of a version that the stored one descends from, only the changes since are read.
-- "OFFSET 0" keeps each lateral subquery apart, so that an index finds its rows. As a join, a plan that was made while a
-- table was small could read all of it.
-- The time is that at which the statement arrives: after the locks, and before the snapshot that it reads.
WITH clock AS MATERIALIZED (
    SELECT coalesce($5::bigint, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint) AS now
), wanted AS (
    SELECT showtime.*, known.revision AS known_revision, clock.now - $6::bigint AS unpaid_since,
        coalesce(showtime.revision = known.revision AND showtime.commit_id = known.commit_id, false) OR EXISTS (
            SELECT 1 FROM commit_log
            WHERE commit_log.showtime_id = known.showtime_id AND commit_log.revision = known.revision
                AND commit_log.commit_id = known.commit_id
            OFFSET 0
        ) AS is_known
    FROM clock CROSS JOIN json_to_recordset($1::json) AS known (showtime_id text, revision bigint, commit_id text)
    CROSS JOIN LATERAL (SELECT * FROM showtime WHERE showtime.showtime_id = known.showtime_id OFFSET 0) AS showtime
)
SELECT
    (SELECT now FROM clock) AS now,
    (SELECT max(revision) FROM catalog_revision) AS catalog_revision,
    (
        SELECT json_agg(json_build_array(showtime_id, revision, commit_id, latest_time, is_known)) FROM wanted
    ) AS showtimes,
    (
        SELECT json_agg(json_build_array(wanted.showtime_id, wanted.auditorium_id, wanted.status, wanted.start_time,
            wanted.end_time, wanted.cancel_time, wanted.cancel_reason, wanted.moves, wanted.currency_code,
            wanted.prices, wanted.seat_gap_policy, auditorium.rows, auditorium.areas, auditorium.wheelchair_spaces,
            (
                SELECT json_agg(json_build_array(block.block_id, block.kind, block.seats, block.reason,
                    block.release_time, block.create_time, block.created_by))
                FROM seat_block AS block WHERE block.showtime_id = wanted.showtime_id
            )))
        FROM wanted CROSS JOIN LATERAL (
            SELECT * FROM auditorium WHERE auditorium.auditorium_id = wanted.auditorium_id OFFSET 0
        ) AS auditorium
        WHERE NOT wanted.is_known OR wanted.terms_revision > wanted.known_revision
    ) AS terms,
    (
        SELECT json_agg(json_build_array(detail.booking_id, detail.showtime_id, detail.user_id, detail.status,
            detail.seats, detail.currency_code, detail.create_time, detail.hold_expire_time, detail.hold_extended,
            detail.hold_renewed, detail.confirm_time, detail.cancel_time, detail.cancel_cause, detail.cancel_reason,
            detail.wheelchair, detail.tender, detail.sold_by, detail.sale_reason, detail.relied_on, detail.tickets,
            detail.payment, detail.refunds, detail.redemptions))
        FROM (
            SELECT changed.booking_id
            FROM wanted CROSS JOIN LATERAL (
                SELECT booking.booking_id FROM booking
                WHERE booking.showtime_id = wanted.showtime_id AND booking.revision > wanted.known_revision OFFSET 0
            ) AS changed
            WHERE wanted.is_known AND wanted.revision > wanted.known_revision
            UNION
            SELECT claim.booking_id
            FROM wanted CROSS JOIN LATERAL (
                SELECT seat_claim.booking_id FROM seat_claim
                WHERE seat_claim.showtime_id = wanted.showtime_id AND seat_claim.booking_id IS NOT NULL OFFSET 0
            ) AS claim
            WHERE NOT wanted.is_known
            UNION
            SELECT unpaid.booking_id
            FROM wanted CROSS JOIN LATERAL (
                SELECT booking.booking_id FROM booking
                WHERE booking.showtime_id = wanted.showtime_id
                    AND booking.hold_expire_time > wanted.unpaid_since
                    AND booking.status IN ('CANCELLED', 'EXPIRED') AND booking.confirm_time IS NULL OFFSET 0
            ) AS unpaid
            WHERE NOT wanted.is_known
            UNION
            SELECT booking_id FROM json_array_elements_text($2::json) AS named (booking_id)
        ) AS found
        CROSS JOIN LATERAL (
            SELECT * FROM booking_detail WHERE booking_detail.booking_id = found.booking_id OFFSET 0
        ) AS detail
    ) AS bookings,
    (
        SELECT json_agg(json_build_array(stored.caller, stored.rpc, stored.request_id, stored.digest, stored.response))
        FROM json_to_recordset($3::json) AS given (caller text, rpc text, request_id text)
        CROSS JOIN LATERAL (
            SELECT * FROM stored_response
            WHERE stored_response.caller = given.caller AND stored_response.rpc = given.rpc
                AND stored_response.request_id = given.request_id OFFSET 0
        ) AS stored
    ) AS responses,
    (
        -- With "=", PostgreSQL may take booking_lapse_index, which has the holds of all customers.
        SELECT json_agg(json_build_array(held.user_id, held.showtime_id, held.seat_count, held.hold_expire_time))
        FROM json_array_elements_text($4::json) AS given (user_id)
        CROSS JOIN LATERAL (
            SELECT * FROM booking
            WHERE booking.user_id = given.user_id AND booking.status BETWEEN 'RESERVED' AND 'RESERVED' OFFSET 0
        ) AS held
    ) AS holds,
    (
        SELECT json_agg(json_build_array(wanted.showtime_id, other.showtime_id, other.start_time, other.end_time))
        FROM json_to_recordset($7::json) AS needed (showtime_id text, after bigint, before bigint)
        CROSS JOIN LATERAL (SELECT * FROM wanted WHERE wanted.showtime_id = needed.showtime_id OFFSET 0) AS wanted
        CROSS JOIN LATERAL (
            SELECT * FROM showtime
            WHERE showtime.auditorium_id = wanted.auditorium_id
                AND showtime.start_time > needed.after - $8::bigint AND showtime.start_time < needed.before OFFSET 0
        ) AS other
        WHERE other.showtime_id <> wanted.showtime_id AND other.status = 'SCHEDULED' AND other.end_time > needed.after
    ) AS slots;

-- name: release(released_claims, changed_attempts, dropped_blocks, changed_blocks, changed_terms, reversed_redemptions)
-- Runs before `write`: one statement can neither delete a key and insert it again, nor change a row twice.
WITH released AS (
    DELETE FROM seat_claim
    USING json_to_recordset($1::json) AS gone (showtime_id text, seat text, booking_id text, block_id text)
    WHERE seat_claim.showtime_id = gone.showtime_id AND seat_claim.seat = gone.seat
        AND coalesce(seat_claim.booking_id, seat_claim.block_id) = coalesce(gone.booking_id, gone.block_id)
    RETURNING 1
), settled AS (
    UPDATE payment_attempt
    SET status = new.status, request = new.request, provider_id = new.provider_id, action = new.action
    FROM json_to_recordset($2::json) AS new (attempt_id text, status text, request text, provider_id text,
        action boolean)
    WHERE payment_attempt.attempt_id = new.attempt_id
    RETURNING 1
), dropped AS (
    DELETE FROM seat_block
    USING json_to_recordset($3::json) AS gone (block_id text)
    WHERE seat_block.block_id = gone.block_id
    RETURNING 1
), changed AS (
    UPDATE seat_block SET seats = new.seats, seat_count = new.seat_count
    FROM json_to_recordset($4::json) AS new (block_id text, seats text, seat_count integer)
    WHERE seat_block.block_id = new.block_id
    RETURNING 1
), terms AS (
    UPDATE showtime
    SET status = new.status, cancel_time = new.cancel_time, cancel_reason = new.cancel_reason,
        start_time = new.start_time, end_time = new.end_time, moves = new.moves, prices = new.prices,
        seat_gap_policy = new.seat_gap_policy, terms_revision = new.terms_revision
    FROM json_to_recordset($5::json) AS new (showtime_id text, status text, cancel_time bigint, cancel_reason text,
        start_time bigint, end_time bigint, moves text, prices text, seat_gap_policy text, terms_revision bigint)
    WHERE showtime.showtime_id = new.showtime_id
    RETURNING 1
), reversed AS (
    UPDATE redemption
    SET reverse_time = new.reverse_time, reversed_by = new.reversed_by, reverse_reason = new.reverse_reason
    FROM json_to_recordset($6::json) AS new (redemption_id text, reverse_time bigint, reversed_by text,
        reverse_reason text)
    WHERE redemption.redemption_id = new.redemption_id
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM released) AS released_claims,
    (SELECT count(*) FROM settled) AS changed_attempts,
    (SELECT count(*) FROM dropped) AS dropped_blocks,
    (SELECT count(*) FROM changed) AS changed_blocks,
    (SELECT count(*) FROM terms) AS changed_terms,
    (SELECT count(*) FROM reversed) AS reversed_redemptions;

-- name: write(responses, showtimes, commits, bookings, changed_bookings, claims, attempts, tickets, refunds, settled_refunds, blocks, outbox, redemptions)
WITH responses AS (
    INSERT INTO stored_response (caller, rpc, request_id, digest, response, create_time)
    SELECT caller, rpc, request_id, digest, response, create_time
    FROM json_populate_recordset(NULL::stored_response, $1::json)
), moved AS (
    UPDATE showtime
    SET taken_seats = new.taken_seats, revision = new.revision, commit_id = new.commit_id,
        latest_time = new.latest_time
    FROM json_to_recordset($2::json) AS new (showtime_id text, known_commit_id text, taken_seats integer,
        revision bigint, commit_id text, latest_time bigint)
    WHERE showtime.showtime_id = new.showtime_id AND showtime.commit_id = new.known_commit_id
    RETURNING 1
), commits AS (
    INSERT INTO commit_log (showtime_id, revision, commit_id, decide_time)
    SELECT showtime_id, revision, commit_id, decide_time FROM json_populate_recordset(NULL::commit_log, $3::json)
), bookings AS (
    INSERT INTO booking (booking_id, showtime_id, user_id, status, seats, seat_count, currency_code, total_price,
        create_time, hold_expire_time, hold_extended, hold_renewed, confirm_time, cancel_time, cancel_cause,
        cancel_reason, wheelchair, tender, sold_by, sale_reason, revision, relied_on)
    SELECT booking_id, showtime_id, user_id, status, seats, seat_count, currency_code, total_price,
        create_time, hold_expire_time, hold_extended, hold_renewed, confirm_time, cancel_time, cancel_cause,
        cancel_reason, wheelchair, tender, sold_by, sale_reason, revision, relied_on
    FROM json_populate_recordset(NULL::booking, $4::json)
), changed AS (
    UPDATE booking
    SET status = new.status, seats = new.seats, seat_count = new.seat_count, total_price = new.total_price,
        hold_expire_time = new.hold_expire_time, hold_extended = new.hold_extended, hold_renewed = new.hold_renewed,
        confirm_time = new.confirm_time, cancel_time = new.cancel_time, cancel_cause = new.cancel_cause,
        cancel_reason = new.cancel_reason, relied_on = new.relied_on, revision = new.revision
    FROM json_to_recordset($5::json) AS new (booking_id text, status text, seats text, seat_count integer,
        total_price bigint, hold_expire_time bigint, hold_extended boolean, hold_renewed boolean, confirm_time bigint,
        cancel_time bigint, cancel_cause text, cancel_reason text, relied_on text, revision bigint)
    WHERE booking.booking_id = new.booking_id
    RETURNING 1
), claims AS (
    INSERT INTO seat_claim (showtime_id, seat, booking_id, block_id)
    SELECT showtime_id, seat, booking_id, block_id FROM json_populate_recordset(NULL::seat_claim, $6::json)
), attempts AS (
    INSERT INTO payment_attempt (attempt_id, booking_id, status, create_time, request, provider_id, action, due_time,
        tries)
    SELECT attempt_id, booking_id, status, create_time, request, provider_id, action, due_time, tries
    FROM json_populate_recordset(NULL::payment_attempt, $7::json)
), tickets AS (
    INSERT INTO ticket (ticket_id, booking_id, seat, code)
    SELECT ticket_id, booking_id, seat, code FROM json_populate_recordset(NULL::ticket, $8::json)
), refunds AS (
    INSERT INTO refund (refund_id, booking_id, showtime_id, attempt_id, seats, currency_code, amount, percent, status,
        create_time, settled_by, settle_time, note, provider_id, watched, due_time, tries)
    SELECT refund_id, booking_id, showtime_id, attempt_id, seats, currency_code, amount, percent, status, create_time,
        settled_by, settle_time, note, provider_id, watched, due_time, tries
    FROM json_populate_recordset(NULL::refund, $9::json)
), outbox AS (
    INSERT INTO event_outbox (decide_time, showtime_id, revision, events)
    SELECT decide_time, showtime_id, revision, events FROM json_populate_recordset(NULL::event_outbox, $12::json)
), blocks AS (
    INSERT INTO seat_block (block_id, showtime_id, kind, reason, seats, seat_count, release_time, create_time,
        created_by)
    SELECT block_id, showtime_id, kind, reason, seats, seat_count, release_time, create_time, created_by
    FROM json_populate_recordset(NULL::seat_block, $11::json)
), redemptions AS (
    INSERT INTO redemption (redemption_id, ticket_id, booking_id, gate, redeem_time, redeemed_by, record_time, kind,
        reverse_time, reversed_by, reverse_reason)
    SELECT redemption_id, ticket_id, booking_id, gate, redeem_time, redeemed_by, record_time, kind, reverse_time,
        reversed_by, reverse_reason
    FROM json_populate_recordset(NULL::redemption, $13::json)
), settled AS (
    UPDATE refund
    SET status = new.status, settled_by = new.settled_by, settle_time = new.settle_time, note = new.note,
        provider_id = new.provider_id, watched = new.watched
    FROM json_to_recordset($10::json) AS new (refund_id text, status text, settled_by text, settle_time bigint,
        note text, provider_id text, watched boolean)
    WHERE refund.refund_id = new.refund_id
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM moved) AS showtimes,
    (SELECT count(*) FROM changed) AS changed_bookings,
    (SELECT count(*) FROM settled) AS settled_refunds;

-- name: find_commit(showtime_id, revision)
SELECT commit_log.commit_id FROM commit_log
WHERE commit_log.showtime_id = $1::text AND commit_log.revision = $2::bigint;

-- name: versions(now, showtime_ids)
-- The time is that at which the statement arrives, before the snapshot that it reads.
SELECT coalesce($1::bigint, (extract(epoch FROM statement_timestamp()) * 1000000)::bigint),
    showtime.showtime_id, showtime.revision, showtime.commit_id
FROM showtime
WHERE showtime.showtime_id = ANY (ARRAY(SELECT json_array_elements_text($2::json)));

-- name: lapsed(now, exclude, limit)
-- "RESERVED" is written out, since a generic plan could not use the partial index of the holds for a parameter. The time
-- is a subquery, since an index can't compare with a volatile function.
(
    SELECT booking.showtime_id FROM booking
    WHERE booking.status = 'RESERVED'
        AND booking.hold_expire_time
            <= (SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))
        AND booking.showtime_id NOT IN (SELECT json_array_elements_text($2::json))
    ORDER BY booking.hold_expire_time
    LIMIT $3::bigint
) UNION ALL (
    SELECT seat_block.showtime_id FROM seat_block
    WHERE seat_block.release_time
            <= (SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))
        AND seat_block.showtime_id NOT IN (SELECT json_array_elements_text($2::json))
    ORDER BY seat_block.release_time
    LIMIT $3::bigint
);
