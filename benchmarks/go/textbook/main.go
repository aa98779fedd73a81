// Textbook is CreateBooking as people usually write it: a transaction a request. It does what the textbook of
// benchmarks/yardsticks.py does, on the same tables and as durably. It asks for no token, has no gap rule, prices or
// log, and inserts the request_id without having looked for it, which is in its favour.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cinemav1 "example.com/benchmark/gen/cinema/v1"
)

const (
	connections = 20 // to PostgreSQL, as many as the textbook in Python has
	seatPrice   = 1_250
	holdTime    = 10 * time.Minute
)

var errTaken = status.Error(codes.FailedPrecondition, "taken")

type textbook struct {
	cinemav1.UnimplementedBookingServiceServer
	pool   *pgxpool.Pool
	userID string
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: textbook DATABASE_URL")
	}
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

// serve serves until it is killed. Its first line of output has the address.
func serve(databaseURL string) error {
	ctx := context.Background()
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return err
	}
	config.MaxConns, config.MinConns = connections, connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	booking := &textbook{pool: pool}
	if err := pool.QueryRow(ctx, "SELECT user_id FROM account LIMIT 1").Scan(&booking.userID); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	cinemav1.RegisterBookingServiceServer(server, booking)
	fmt.Printf("{\"address\": %q}\n", listener.Addr())
	return server.Serve(listener)
}

// CreateBooking holds the seats, or returns FAILED_PRECONDITION if one is taken.
func (t *textbook) CreateBooking(
	ctx context.Context, request *cinemav1.CreateBookingRequest,
) (*cinemav1.CreateBookingResponse, error) {
	booking := t.newBooking(request, time.Now())
	response := &cinemav1.CreateBookingResponse{Booking: booking}
	err := pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error { return t.hold(ctx, tx, request, response) })
	if err != nil && !errors.Is(err, errTaken) {
		log.Print(err)
	}
	return response, err
}

// hold locks the showtime, checks that the seats are free, and writes the booking, its claims and the response.
func (t *textbook) hold(
	ctx context.Context, tx pgx.Tx, request *cinemav1.CreateBookingRequest, response *cinemav1.CreateBookingResponse,
) error {
	booking := response.Booking
	var revision, takenSeats int64
	if err := tx.QueryRow(ctx,
		"SELECT revision, taken_seats FROM showtime WHERE showtime_id = $1 FOR UPDATE", request.ShowtimeId,
	).Scan(&revision, &takenSeats); err != nil {
		return err
	}
	var taken int
	if err := tx.QueryRow(ctx,
		"SELECT count(*) FROM seat_claim WHERE showtime_id = $1 AND seat = ANY($2)", request.ShowtimeId, request.Seats,
	).Scan(&taken); err != nil {
		return err
	}
	if taken > 0 {
		return errTaken
	}
	seats, err := storedSeats(request.Seats)
	if err != nil {
		return err
	}
	created := booking.CreateTime.AsTime().UnixMicro()
	if _, err := tx.Exec(ctx,
		`INSERT INTO booking (booking_id, showtime_id, user_id, status, seats, wheelchair, seat_count, currency_code,
			total_price, create_time, hold_expire_time, hold_extended, hold_renewed, revision)
		VALUES ($1, $2, $3, 'RESERVED', $4, false, $5, 'EUR', $6, $7, $8, false, false, $9)`,
		booking.BookingId, booking.ShowtimeId, booking.UserId, seats, len(request.Seats), booking.TotalPrice.MinorUnits,
		created, booking.HoldExpireTime.AsTime().UnixMicro(), revision+1,
	); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx,
		"INSERT INTO seat_claim (showtime_id, seat, booking_id) SELECT $1, unnest($2::text[]), $3",
		booking.ShowtimeId, request.Seats, booking.BookingId,
	); err != nil {
		return err
	}
	message, err := proto.Marshal(response)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx,
		`INSERT INTO stored_response (caller, rpc, request_id, digest, response, create_time)
		VALUES ($1, 'CreateBooking', $2, '', $3, $4)`,
		booking.UserId, request.RequestId, base64.StdEncoding.EncodeToString(message), created,
	); err != nil {
		return err
	}
	_, err = tx.Exec(ctx,
		"UPDATE showtime SET taken_seats = $2, revision = $3 WHERE showtime_id = $1",
		booking.ShowtimeId, takenSeats+int64(len(request.Seats)), revision+1)
	return err
}

func (t *textbook) newBooking(request *cinemav1.CreateBookingRequest, now time.Time) *cinemav1.Booking {
	seats := make([]*cinemav1.BookedSeat, len(request.Seats))
	for i, seat := range request.Seats {
		seats[i] = &cinemav1.BookedSeat{Seat: seat, Price: euros(seatPrice)}
	}
	return &cinemav1.Booking{
		BookingId:      uuid.Must(uuid.NewV7()).String(),
		UserId:         t.userID,
		ShowtimeId:     request.ShowtimeId,
		Seats:          seats,
		TotalPrice:     euros(seatPrice * int64(len(seats))),
		Status:         cinemav1.BookingStatus_BOOKING_STATUS_RESERVED,
		CreateTime:     timestamppb.New(now),
		HoldExpireTime: timestamppb.New(now.Add(holdTime)),
	}
}

func euros(cents int64) *cinemav1.Money {
	return &cinemav1.Money{CurrencyCode: "EUR", MinorUnits: cents}
}

// storedSeats returns the seats of a booking as the table keeps them.
func storedSeats(seats []string) (string, error) {
	rows := make([][]any, len(seats))
	for i, seat := range seats {
		rows[i] = []any{seat, seatPrice, "standard", "standard", "", true}
	}
	text, err := json.Marshal(rows)
	return string(text), err
}
