package example;

import com.cinema.v1.AuthServiceGrpc;
import com.cinema.v1.Booking;
import com.cinema.v1.BookingServiceGrpc;
import com.cinema.v1.CancelBookingRequest;
import com.cinema.v1.ConfirmPaymentRequest;
import com.cinema.v1.CreateBookingRequest;
import com.cinema.v1.ListShowtimesRequest;
import com.cinema.v1.RegisterRequest;
import com.cinema.v1.SeatOption;
import com.cinema.v1.SeatStatus;
import com.cinema.v1.ShowtimeServiceGrpc;
import com.cinema.v1.SuggestSeatsRequest;
import com.cinema.v1.WatchSeatsRequest;
import com.cinema.v1.WatchSeatsResponse;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Timestamp;
import com.google.rpc.ErrorInfo;
import io.grpc.Channel;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Buys three seats and cancels them: what a customer's client does, against a server without TLS. See docs/clients.md. */
public final class BuySeats {
  // Calls that got UNAVAILABLE are repeated. This is safe because each call that changes something has a request_id.
  private static final Map<String, ?> RETRIES = Map.of("methodConfig", List.of(Map.of(
      "name", List.of(
          Map.of("service", "cinema.v1.ShowtimeService"), Map.of("service", "cinema.v1.BookingService")),
      "retryPolicy", Map.of("maxAttempts", 4.0, "initialBackoff", "0.2s", "maxBackoff", "2s", "backoffMultiplier", 2.0,
          "retryableStatusCodes", List.of("UNAVAILABLE")))));
  private static final Duration DEADLINE = Duration.ofSeconds(60); // for all calls of a stub, from its creation on

  public static void main(String[] arguments) throws InvalidProtocolBufferException {
    if (arguments.length != 1) {
      System.err.println("usage: BuySeats HOST:PORT");
      System.exit(2);
    }
    ManagedChannel channel = Grpc.newChannelBuilder(arguments[0], InsecureChannelCredentials.create())
        .defaultServiceConfig(RETRIES).enableRetry().build();
    try {
      buySeats(channel);
    } finally {
      channel.shutdownNow();
    }
  }

  private static void buySeats(Channel channel) throws InvalidProtocolBufferException {
    var auth = AuthServiceGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE);
    var showtimes = ShowtimeServiceGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE);

    String name = "java-" + newId().substring(0, 8);
    var registered = auth.register(RegisterRequest.newBuilder().setUsername(name).setPassword(newId())
        .setFullName("Ada").setEmail(name + "@example.com").build());
    System.out.println("registered " + registered.getUser().getUsername());
    Metadata signedIn = new Metadata();
    signedIn.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + registered.getTokens().getAccessToken());
    var bookings = BookingServiceGrpc.newBlockingStub(channel).withDeadlineAfter(DEADLINE)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(signedIn));

    long inTwoDays = Instant.now().plus(Duration.ofDays(2)).getEpochSecond();
    var listed = showtimes.listShowtimes(ListShowtimesRequest.newBuilder()
        .setStartTimeFrom(Timestamp.newBuilder().setSeconds(inTwoDays)).setPageSize(3).build());
    String showtimeId = listed.getShowtimes(0).getShowtimeId();
    System.out.println("listed " + listed.getShowtimesCount() + " showtimes");

    SeatOption option = showtimes.suggestSeats(SuggestSeatsRequest.newBuilder()
        .setShowtimeId(showtimeId).setPartySize(3).setMaxOptions(1).build()).getOptions(0);
    List<String> seats = option.getSeatsList();
    System.out.println("suggested " + String.join(",", seats));

    try { // without the seat in the middle
      bookings.createBooking(CreateBookingRequest.newBuilder().setShowtimeId(showtimeId)
          .addSeats(seats.get(0)).addSeats(seats.get(2)).setRequestId(newId()).build());
    } catch (StatusRuntimeException error) {
      ErrorInfo refusal = errorInfo(error);
      System.out.println("refused " + refusal.getReason()
          + " stranded_seats " + refusal.getMetadataOrDefault("stranded_seats", ""));
    }

    var hold = CreateBookingRequest.newBuilder()
        .setShowtimeId(showtimeId).addAllSeats(seats).setRequestId(newId()).build();
    Booking booking = bookings.createBooking(hold).getBooking();
    System.out.println("booked " + booking.getSeatsCount() + " seats for "
        + booking.getTotalPrice().getMinorUnits() + " " + booking.getTotalPrice().getCurrencyCode());

    Booking repeated = bookings.createBooking(hold).getBooking(); // the same request_id: as after a lost response
    System.out.println("repeated, same booking: " + repeated.getBookingId().equals(booking.getBookingId()));

    Booking paid = bookings.confirmPayment(ConfirmPaymentRequest.newBuilder().setBookingId(booking.getBookingId())
        .setPaymentToken("tok_visa").setRequestId(newId()).build()).getBooking();
    System.out.println("paid, " + paid.getTicketsCount() + " tickets");

    var frames = showtimes.watchSeats(WatchSeatsRequest.newBuilder().setShowtimeId(showtimeId).build());
    waitFor(frames, seats, SeatStatus.SEAT_STATUS_SOLD);
    Booking cancelled = bookings.cancelBooking(CancelBookingRequest.newBuilder()
        .setBookingId(booking.getBookingId()).setRequestId(newId()).build()).getBooking();
    System.out.println("cancelled, " + cancelled.getRefund().getPercent() + "% refunded");
    waitFor(frames, seats, SeatStatus.SEAT_STATUS_AVAILABLE);
  }

  /** Reads frames until all of the seats have a status. */
  private static void waitFor(Iterator<WatchSeatsResponse> frames, List<String> seats, SeatStatus status) {
    Map<String, SeatStatus> current = new HashMap<>();
    while (!seats.stream().allMatch(seat -> current.get(seat) == status)) {
      frames.next().getSeatsList().forEach(each -> current.put(each.getSeat(), each.getStatus()));
    }
    System.out.println("watched " + String.join(",", seats) + " " + status);
  }

  /** Returns the reason of an error, and its metadata; an empty one if the error did not come from the service. */
  private static ErrorInfo errorInfo(StatusRuntimeException error) throws InvalidProtocolBufferException {
    for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        return detail.unpack(ErrorInfo.class);
      }
    }
    return ErrorInfo.getDefaultInstance();
  }

  private static String newId() {
    return UUID.randomUUID().toString();
  }
}
