// Buys three seats and cancels them: what a customer's client does, against a server without TLS. See docs/clients.md.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	cinemav1 "example.com/buyseats/gen/cinema/v1"
)

// Calls that got UNAVAILABLE are repeated. This is safe because each call that changes something has a request_id.
const retries = `{"methodConfig": [{
	"name": [{"service": "cinema.v1.ShowtimeService"}, {"service": "cinema.v1.BookingService"}],
	"retryPolicy": {"maxAttempts": 4, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}
}]}`

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: buyseats HOST:PORT")
	}
	connection, err := grpc.NewClient(os.Args[1],
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(retries))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := buySeats(ctx, connection); err != nil {
		log.Fatal(err)
	}
}

func buySeats(ctx context.Context, connection *grpc.ClientConn) error {
	auth := cinemav1.NewAuthServiceClient(connection)
	showtimes := cinemav1.NewShowtimeServiceClient(connection)
	bookings := cinemav1.NewBookingServiceClient(connection)

	name := "go-" + uuid.NewString()[:8]
	registered, err := auth.Register(ctx, &cinemav1.RegisterRequest{
		Username: name, Password: uuid.NewString(), FullName: "Ada", Email: name + "@example.com"})
	if err != nil {
		return err
	}
	fmt.Println("registered", registered.User.Username)
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+registered.Tokens.AccessToken)

	listed, err := showtimes.ListShowtimes(ctx, &cinemav1.ListShowtimesRequest{
		StartTimeFrom: timestamppb.New(time.Now().Add(48 * time.Hour)), PageSize: 3})
	if err != nil {
		return err
	}
	if len(listed.Showtimes) == 0 {
		return fmt.Errorf("there are no showtimes two days from now or later")
	}
	showtime := listed.Showtimes[0]
	fmt.Println("listed", len(listed.Showtimes), "showtimes")

	suggested, err := showtimes.SuggestSeats(ctx, &cinemav1.SuggestSeatsRequest{
		ShowtimeId: showtime.ShowtimeId, PartySize: 3, MaxOptions: 1})
	if err != nil {
		return err
	}
	if len(suggested.Options) == 0 || !suggested.Options[0].Together {
		return fmt.Errorf("three seats together are not free")
	}
	seats := suggested.Options[0].Seats
	fmt.Println("suggested", strings.Join(seats, ","))

	_, err = bookings.CreateBooking(ctx, &cinemav1.CreateBookingRequest{ // without the seat in the middle
		ShowtimeId: showtime.ShowtimeId, Seats: []string{seats[0], seats[2]}, RequestId: uuid.NewString()})
	refusal := errorInfo(err)
	fmt.Println("refused", refusal.GetReason(), "stranded_seats", refusal.GetMetadata()["stranded_seats"])

	hold := &cinemav1.CreateBookingRequest{ShowtimeId: showtime.ShowtimeId, Seats: seats, RequestId: uuid.NewString()}
	created, err := bookings.CreateBooking(ctx, hold)
	if err != nil {
		return err
	}
	booking := created.Booking
	fmt.Println("booked", len(booking.Seats), "seats for", booking.TotalPrice.MinorUnits, booking.TotalPrice.CurrencyCode)

	repeated, err := bookings.CreateBooking(ctx, hold) // the same request_id: as after a lost response
	if err != nil {
		return err
	}
	fmt.Println("repeated, same booking:", repeated.Booking.BookingId == booking.BookingId)

	paid, err := bookings.ConfirmPayment(ctx, &cinemav1.ConfirmPaymentRequest{
		BookingId: booking.BookingId, PaymentToken: "tok_visa", RequestId: uuid.NewString()})
	if err != nil {
		return err
	}
	fmt.Println("paid,", len(paid.Booking.Tickets), "tickets")

	watch, err := showtimes.WatchSeats(ctx, &cinemav1.WatchSeatsRequest{ShowtimeId: showtime.ShowtimeId})
	if err != nil {
		return err
	}
	if err := waitFor(watch, seats, cinemav1.SeatStatus_SEAT_STATUS_SOLD); err != nil {
		return err
	}
	cancelled, err := bookings.CancelBooking(ctx, &cinemav1.CancelBookingRequest{
		BookingId: booking.BookingId, RequestId: uuid.NewString()})
	if err != nil {
		return err
	}
	fmt.Printf("cancelled, %d%% refunded\n", cancelled.Booking.Refund.Percent)
	return waitFor(watch, seats, cinemav1.SeatStatus_SEAT_STATUS_AVAILABLE)
}

// waitFor reads frames until all of the seats have a status.
func waitFor(
	watch grpc.ServerStreamingClient[cinemav1.WatchSeatsResponse], seats []string, status cinemav1.SeatStatus,
) error {
	current := map[string]cinemav1.SeatStatus{}
	for {
		frame, err := watch.Recv()
		if err != nil {
			return err
		}
		for _, seat := range frame.Seats {
			current[seat.Seat] = seat.Status
		}
		reached := 0
		for _, seat := range seats {
			if current[seat] == status {
				reached++
			}
		}
		if reached == len(seats) {
			fmt.Println("watched", strings.Join(seats, ","), status)
			return nil
		}
	}
}

// errorInfo returns the reason of an error, and its metadata; nil if the error did not come from the service.
func errorInfo(err error) *errdetails.ErrorInfo {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}
