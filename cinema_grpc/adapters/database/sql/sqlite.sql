-- The box office's statements for SQLite. `statements.py` reads this file; the names in parentheses are the parameters.
-- Each row that is read waits for Python's global interpreter lock, so `load` gives all of them in one row of JSON.

-- name: load(showtimes, booking_ids, keys, accounts, now, unpaid_for)
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
    (
        SELECT json_group_array(json_array(showtime_id, revision, commit_id, latest_time, is_known)) FROM wanted
    ) AS showtimes,
    (
        SELECT json_group_array(json_array(wanted.showtime_id, wanted.start_time, wanted.currency_code,
            wanted.seat_price, wanted.seat_gap_policy, auditorium.rows))
        FROM wanted CROSS JOIN auditorium ON auditorium.auditorium_id = wanted.auditorium_id
        WHERE wanted.is_known IS NOT 1
    ) AS terms,
    (
        SELECT json_group_array(json_array(detail.booking_id, detail.showtime_id, detail.user_id, detail.status,
            detail.seats, detail.currency_code, detail.create_time, detail.hold_expire_time, detail.hold_extended,
            detail.confirm_time, detail.cancel_time, detail.relied_on, detail.tickets, detail.payment, detail.refund))
        FROM (
            SELECT seat_claim.booking_id
            FROM wanted CROSS JOIN seat_claim ON seat_claim.showtime_id = wanted.showtime_id
            WHERE wanted.is_known IS NOT 1
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
    ) AS holds;

-- name: find_commit(showtime_id, revision)
SELECT commit_id FROM commit_log WHERE showtime_id = :showtime_id AND revision = :revision;

-- name: lapsed(now, exclude, limit)
SELECT booking.showtime_id
FROM booking
WHERE booking.status = 'RESERVED' AND booking.hold_expire_time <= :now
    AND booking.showtime_id NOT IN (SELECT value FROM json_each(:exclude))
ORDER BY booking.hold_expire_time
LIMIT :limit;

-- The statements that write run once for each row, in the order of this file: seats are released before they are
-- claimed, and attempts are settled before others are opened.

-- name: released_claims(*)
DELETE FROM seat_claim WHERE showtime_id = :showtime_id AND seat = :seat AND booking_id = :booking_id;

-- name: settled_attempts(*)
UPDATE payment_attempt SET status = :status WHERE attempt_id = :attempt_id;

-- name: responses(*)
INSERT INTO stored_response (caller, rpc, request_id, digest, response, create_time)
VALUES (:caller, :rpc, :request_id, :digest, :response, :create_time);

-- name: showtimes(*)
UPDATE showtime
SET taken_seats = :taken_seats, revision = :revision, commit_id = :commit_id, latest_time = :latest_time
WHERE showtime_id = :showtime_id AND commit_id = :known_commit_id;

-- name: commits(*)
INSERT INTO commit_log (showtime_id, revision, commit_id, decide_time)
VALUES (:showtime_id, :revision, :commit_id, :decide_time);

-- name: bookings(*)
INSERT INTO booking (booking_id, showtime_id, user_id, status, seats, seat_count, currency_code, total_price,
    create_time, hold_expire_time, hold_extended, confirm_time, cancel_time, revision, relied_on)
VALUES (:booking_id, :showtime_id, :user_id, :status, :seats, :seat_count, :currency_code, :total_price,
    :create_time, :hold_expire_time, :hold_extended, :confirm_time, :cancel_time, :revision, :relied_on);

-- name: changed_bookings(*)
UPDATE booking
SET status = :status, hold_expire_time = :hold_expire_time, hold_extended = :hold_extended,
    confirm_time = :confirm_time, cancel_time = :cancel_time, revision = :revision
WHERE booking_id = :booking_id;

-- name: claims(*)
INSERT INTO seat_claim (showtime_id, seat, booking_id) VALUES (:showtime_id, :seat, :booking_id);

-- name: attempts(*)
INSERT INTO payment_attempt (attempt_id, booking_id, status, create_time, request, due_time, tries)
VALUES (:attempt_id, :booking_id, :status, :create_time, :request, :due_time, :tries);

-- name: tickets(*)
INSERT INTO ticket (ticket_id, booking_id, seat, code) VALUES (:ticket_id, :booking_id, :seat, :code);

-- name: refunds(*)
INSERT INTO refund (refund_id, booking_id, attempt_id, currency_code, amount, percent, status, create_time, due_time,
    tries)
VALUES (:refund_id, :booking_id, :attempt_id, :currency_code, :amount, :percent, :status, :create_time, :due_time,
    :tries);

-- name: settled_refunds(*)
UPDATE refund SET status = :status WHERE refund_id = :refund_id;
