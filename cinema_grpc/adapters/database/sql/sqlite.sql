-- The box office's statements for SQLite. `statements.py` reads this file; the names in parentheses are the parameters.
-- Each row that is read waits for Python's global interpreter lock, so `load` returns all of them in one row of JSON.

-- name: load(showtimes, booking_ids, keys, accounts, slots_within, now, unpaid_for, longest_runtime)
-- What a batch decides on, and what a seat map shows. `showtimes` names the cached version of each, if there is one.
-- There are no replicas: what another process could have changed is read whole.
WITH wanted AS (
    SELECT showtime.*, showtime.revision = json_extract(known.value, '$.revision')
        AND showtime.commit_id = json_extract(known.value, '$.commit_id') AS is_known
    FROM json_each(:showtimes) AS known
    CROSS JOIN showtime ON showtime.showtime_id = json_extract(known.value, '$.showtime_id')
)
SELECT
    :now AS now,
    (SELECT max(revision) FROM catalog_revision) AS catalog_revision,
    (
        SELECT json_group_array(json_array(showtime_id, revision, commit_id, latest_time, is_known)) FROM wanted
    ) AS showtimes,
    (
        SELECT json_group_array(json_array(wanted.showtime_id, wanted.auditorium_id, wanted.status, wanted.start_time,
            wanted.end_time, wanted.cancel_time, wanted.cancel_reason, wanted.moves, wanted.currency_code,
            wanted.prices, wanted.seat_gap_policy, auditorium.rows, auditorium.areas, auditorium.wheelchair_spaces,
            (
                SELECT json_group_array(json_array(block.block_id, block.kind, block.seats, block.reason,
                    block.release_time, block.create_time, block.created_by))
                FROM seat_block AS block WHERE block.showtime_id = wanted.showtime_id
            )))
        FROM wanted CROSS JOIN auditorium ON auditorium.auditorium_id = wanted.auditorium_id
        WHERE wanted.is_known IS NOT 1
    ) AS terms,
    (
        SELECT json_group_array(json_array(detail.booking_id, detail.showtime_id, detail.user_id, detail.status,
            detail.seats, detail.currency_code, detail.create_time, detail.hold_expire_time, detail.hold_extended,
            detail.hold_renewed, detail.confirm_time, detail.cancel_time, detail.cancel_cause, detail.cancel_reason,
            detail.wheelchair, detail.tender, detail.sold_by, detail.sale_reason, detail.relied_on, detail.tickets,
            detail.payment, detail.refunds, detail.redemptions))
        FROM (
            SELECT seat_claim.booking_id
            FROM wanted CROSS JOIN seat_claim ON seat_claim.showtime_id = wanted.showtime_id
            WHERE wanted.is_known IS NOT 1 AND seat_claim.booking_id IS NOT NULL
            UNION
            SELECT booking.booking_id
            FROM wanted CROSS JOIN booking ON booking.showtime_id = wanted.showtime_id
            WHERE wanted.is_known IS NOT 1 AND booking.hold_expire_time > :now - :unpaid_for
                AND booking.status IN ('CANCELLED', 'EXPIRED') AND booking.confirm_time IS NULL
            UNION
            SELECT named.value FROM json_each(:booking_ids) AS named
        ) AS found
        CROSS JOIN booking_detail AS detail ON detail.booking_id = found.booking_id
    ) AS bookings,
    (
        SELECT json_group_array(json_array(stored.caller, stored.rpc, stored.request_id, stored.digest, stored.response))
        FROM json_each(:keys) AS given
        CROSS JOIN stored_response AS stored ON stored.caller = json_extract(given.value, '$.caller')
            AND stored.rpc = json_extract(given.value, '$.rpc')
            AND stored.request_id = json_extract(given.value, '$.request_id')
    ) AS responses,
    (
        SELECT json_group_array(json_array(booking.user_id, booking.showtime_id, booking.seat_count,
            booking.hold_expire_time))
        FROM json_each(:accounts) AS given
        CROSS JOIN booking ON booking.user_id = given.value AND booking.status = 'RESERVED'
    ) AS holds,
    (
        SELECT json_group_array(json_array(wanted.showtime_id, other.showtime_id, other.start_time, other.end_time))
        FROM json_each(:slots_within) AS needed
        CROSS JOIN wanted ON wanted.showtime_id = json_extract(needed.value, '$.showtime_id')
        CROSS JOIN showtime AS other ON other.auditorium_id = wanted.auditorium_id
            AND other.start_time > json_extract(needed.value, '$.after') - :longest_runtime
            AND other.start_time < json_extract(needed.value, '$.before')
        WHERE other.showtime_id <> wanted.showtime_id AND other.status = 'SCHEDULED'
            AND other.end_time > json_extract(needed.value, '$.after')
    ) AS slots;

-- name: find_commit(showtime_id, revision)
SELECT commit_id FROM commit_log WHERE showtime_id = :showtime_id AND revision = :revision;

-- name: versions(now, showtime_ids)
SELECT :now, showtime.showtime_id, showtime.revision, showtime.commit_id
FROM showtime
WHERE showtime.showtime_id IN (SELECT value FROM json_each(:showtime_ids));

-- name: lapsed(now, exclude, limit)
SELECT showtime_id FROM (
    SELECT booking.showtime_id
    FROM booking
    WHERE booking.status = 'RESERVED' AND booking.hold_expire_time <= :now
        AND booking.showtime_id NOT IN (SELECT value FROM json_each(:exclude))
    ORDER BY booking.hold_expire_time
    LIMIT :limit
)
UNION ALL
SELECT showtime_id FROM (
    SELECT seat_block.showtime_id
    FROM seat_block
    WHERE seat_block.release_time <= :now
        AND seat_block.showtime_id NOT IN (SELECT value FROM json_each(:exclude))
    ORDER BY seat_block.release_time
    LIMIT :limit
);

-- The statements that write take all rows of a kind at once, as an array of JSON in ?1; `_of_rows` in
-- sqlite_transaction.py replaces :name by the place of that value in `new`. Each run of a statement waits for Python's
-- interpreter lock, so under overload a run for each row took ten times as long (docs/performance.md). They run in the
-- order of this file: seats are released before they are claimed, attempts are settled before others are opened, and
-- redemptions are reversed before others are made.

-- name: released_claims(*)
DELETE FROM seat_claim
WHERE (showtime_id, seat, coalesce(booking_id, block_id)) IN (
    SELECT :showtime_id, :seat, coalesce(:booking_id, :block_id) FROM json_each(?1) AS new
);

-- name: changed_attempts(*)
UPDATE payment_attempt SET status = :status, request = :request, provider_id = :provider_id, action = :action
FROM json_each(?1) AS new
WHERE attempt_id = :attempt_id;

-- name: reversed_redemptions(*)
UPDATE redemption
SET reverse_time = :reverse_time, reversed_by = :reversed_by, reverse_reason = :reverse_reason
FROM json_each(?1) AS new
WHERE redemption_id = :redemption_id;

-- name: dropped_blocks(*)
DELETE FROM seat_block WHERE block_id IN (SELECT :block_id FROM json_each(?1) AS new);

-- name: changed_blocks(*)
UPDATE seat_block SET seats = :seats, seat_count = :seat_count
FROM json_each(?1) AS new
WHERE block_id = :block_id;

-- name: changed_terms(*)
UPDATE showtime
SET status = :status, cancel_time = :cancel_time, cancel_reason = :cancel_reason, start_time = :start_time,
    end_time = :end_time, moves = :moves, prices = :prices, seat_gap_policy = :seat_gap_policy,
    terms_revision = :terms_revision
FROM json_each(?1) AS new
WHERE showtime_id = :showtime_id;

-- name: responses(*)
INSERT INTO stored_response (caller, rpc, request_id, digest, response, create_time)
SELECT :caller, :rpc, :request_id, :digest, :response, :create_time
FROM json_each(?1) AS new;

-- name: showtimes(*)
UPDATE showtime
SET taken_seats = :taken_seats, revision = :revision, commit_id = :commit_id, latest_time = :latest_time
FROM json_each(?1) AS new
WHERE showtime_id = :showtime_id AND commit_id = :known_commit_id;

-- name: commits(*)
INSERT INTO commit_log (showtime_id, revision, commit_id, decide_time)
SELECT :showtime_id, :revision, :commit_id, :decide_time
FROM json_each(?1) AS new;

-- name: bookings(*)
INSERT INTO booking (booking_id, showtime_id, user_id, status, seats, seat_count, currency_code, total_price,
    create_time, hold_expire_time, hold_extended, hold_renewed, confirm_time, cancel_time, cancel_cause,
    cancel_reason, wheelchair, tender, sold_by, sale_reason, revision, relied_on)
SELECT :booking_id, :showtime_id, :user_id, :status, :seats, :seat_count, :currency_code, :total_price,
    :create_time, :hold_expire_time, :hold_extended, :hold_renewed, :confirm_time, :cancel_time, :cancel_cause,
    :cancel_reason, :wheelchair, :tender, :sold_by, :sale_reason, :revision, :relied_on
FROM json_each(?1) AS new;

-- name: changed_bookings(*)
UPDATE booking
SET status = :status, seats = :seats, seat_count = :seat_count, total_price = :total_price,
    hold_expire_time = :hold_expire_time, hold_extended = :hold_extended, hold_renewed = :hold_renewed,
    confirm_time = :confirm_time, cancel_time = :cancel_time, cancel_cause = :cancel_cause,
    cancel_reason = :cancel_reason, relied_on = :relied_on, revision = :revision
FROM json_each(?1) AS new
WHERE booking_id = :booking_id;

-- name: blocks(*)
INSERT INTO seat_block (block_id, showtime_id, kind, reason, seats, seat_count, release_time, create_time, created_by)
SELECT :block_id, :showtime_id, :kind, :reason, :seats, :seat_count, :release_time, :create_time, :created_by
FROM json_each(?1) AS new;

-- name: claims(*)
INSERT INTO seat_claim (showtime_id, seat, booking_id, block_id)
SELECT :showtime_id, :seat, :booking_id, :block_id
FROM json_each(?1) AS new;

-- name: attempts(*)
INSERT INTO payment_attempt (attempt_id, booking_id, status, create_time, request, provider_id, action, due_time,
    tries)
SELECT :attempt_id, :booking_id, :status, :create_time, :request, :provider_id, :action, :due_time, :tries
FROM json_each(?1) AS new;

-- name: tickets(*)
INSERT INTO ticket (ticket_id, booking_id, seat, code)
SELECT :ticket_id, :booking_id, :seat, :code
FROM json_each(?1) AS new;

-- name: refunds(*)
INSERT INTO refund (refund_id, booking_id, showtime_id, attempt_id, seats, currency_code, amount, percent, status,
    create_time, settled_by, settle_time, note, provider_id, watched, due_time, tries)
SELECT :refund_id, :booking_id, :showtime_id, :attempt_id, :seats, :currency_code, :amount, :percent, :status,
    :create_time, :settled_by, :settle_time, :note, :provider_id, :watched, :due_time, :tries
FROM json_each(?1) AS new;

-- name: settled_refunds(*)
UPDATE refund
SET status = :status, settled_by = :settled_by, settle_time = :settle_time, note = :note, provider_id = :provider_id,
    watched = :watched
FROM json_each(?1) AS new
WHERE refund_id = :refund_id;

-- name: redemptions(*)
INSERT INTO redemption (redemption_id, ticket_id, booking_id, gate, redeem_time, redeemed_by, record_time, kind,
    reverse_time, reversed_by, reverse_reason)
SELECT :redemption_id, :ticket_id, :booking_id, :gate, :redeem_time, :redeemed_by, :record_time, :kind,
    :reverse_time, :reversed_by, :reverse_reason
FROM json_each(?1) AS new;

-- name: add_events(outbox)
-- Assigns positions at once: there is no other writer. Without "MATERIALIZED", a row of the outbox would be parsed again
-- for each of its events.
WITH change AS MATERIALIZED (
    SELECT key AS number, json_extract(value, '$.showtime_id') AS showtime_id,
        json_extract(value, '$.revision') AS revision, json_extract(value, '$.decide_time') AS decide_time,
        json_extract(value, '$.events') AS events, json_array_length(json_extract(value, '$.events')) AS event_count
    FROM json_each(:outbox)
)
INSERT INTO event (position, event_id, type, time, showtime_id, cinema_id, revision, booking_id, user_id, seats,
    currency_code, amount, refund_id, ticket_id, last_of_change, decide_time)
SELECT coalesce((SELECT max(position) FROM event), (SELECT trimmed_position FROM event_feed))
        + row_number() OVER (ORDER BY change.number, item.key),
    json_extract(item.value, '$[0]'), json_extract(item.value, '$[1]'),
    coalesce(json_extract(item.value, '$[2]'), change.decide_time), showtime.showtime_id, showtime.cinema_id,
    change.revision, json_extract(item.value, '$[3]'), json_extract(item.value, '$[4]'),
    json_extract(item.value, '$[5]'), json_extract(item.value, '$[6]'), json_extract(item.value, '$[7]'),
    json_extract(item.value, '$[8]'), json_extract(item.value, '$[9]'), item.key + 1 = change.event_count,
    change.decide_time
FROM change
    CROSS JOIN json_each(change.events) AS item
    CROSS JOIN showtime ON showtime.showtime_id = change.showtime_id;
