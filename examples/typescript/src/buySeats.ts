// Buys three seats and cancels them: what a customer's client does, in Node and in browsers. See docs/clients.md.
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { AuthService } from "../gen/cinema/v1/auth_service_pb.js";
import { BookingService } from "../gen/cinema/v1/booking_service_pb.js";
import { SeatStatus } from "../gen/cinema/v1/showtime_pb.js";
import { ShowtimeService, type WatchSeatsResponse } from "../gen/cinema/v1/showtime_service_pb.js";
import { type ErrorInfo, ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.js";

const HOURS = 3_600_000;
const DEADLINE = { timeoutMs: 40_000 }; // of each call: the payment provider may take 30 seconds
const uuid = () => crypto.randomUUID();

/** Goes through a customer's calls, and reports each step as a line of text. */
export async function buySeats(transport: Transport, report: (step: string) => void): Promise<void> {
  const auth = createClient(AuthService, transport);
  const showtimes = createClient(ShowtimeService, transport);
  const bookings = createClient(BookingService, transport);

  const username = `typescript-${uuid().slice(0, 8)}`;
  const registered = await auth.register(
    { username, password: uuid(), fullName: "Ada", email: `${username}@example.com` },
    DEADLINE,
  );
  const signedIn = { headers: { authorization: `Bearer ${registered.tokens!.accessToken}` }, ...DEADLINE };
  report(`registered ${registered.user!.username}`);

  const startTimeFrom = timestampFromMs(Date.now() + 48 * HOURS);
  const listed = await showtimes.listShowtimes({ startTimeFrom, pageSize: 3 }, DEADLINE);
  const showtimeId = listed.showtimes[0]?.showtimeId;
  if (showtimeId === undefined) throw new Error("there are no showtimes two days from now or later");
  report(`listed ${listed.showtimes.length} showtimes`);

  const suggested = await showtimes.suggestSeats({ showtimeId, partySize: 3, maxOptions: 1 }, DEADLINE);
  const option = suggested.options[0];
  if (!option?.together) throw new Error("three seats together are not free");
  const seats = option.seats;
  report(`suggested ${seats}`);

  try { // without the seat in the middle
    await bookings.createBooking({ showtimeId, seats: [seats[0]!, seats[2]!], requestId: uuid() }, signedIn);
  } catch (error) {
    const refusal = errorInfo(error);
    report(`refused ${refusal?.reason} stranded_seats ${refusal?.metadata.stranded_seats}`);
  }

  const hold = { showtimeId, seats, requestId: uuid() };
  const booking = (await bookings.createBooking(hold, signedIn)).booking!;
  const price = booking.totalPrice!;
  report(`booked ${booking.seats.length} seats for ${price.minorUnits} ${price.currencyCode}`); // a bigint

  const repeated = await bookings.createBooking(hold, signedIn); // the same request_id: as after a lost response
  report(`repeated, same booking: ${repeated.booking!.bookingId === booking.bookingId}`);

  const { bookingId } = booking;
  const paid = await bookings.confirmPayment({ bookingId, paymentToken: "tok_visa", requestId: uuid() }, signedIn);
  report(`paid, ${paid.booking!.tickets.length} tickets`);

  const stop = new AbortController();
  const frames = showtimes.watchSeats({ showtimeId }, { signal: stop.signal })[Symbol.asyncIterator]();
  await waitFor(frames, seats, SeatStatus.SOLD);
  report(`watched ${seats} ${SeatStatus[SeatStatus.SOLD]}`);
  const cancelled = await bookings.cancelBooking({ bookingId, requestId: uuid() }, signedIn);
  report(`cancelled, ${cancelled.booking!.refund!.percent}% refunded`);
  await waitFor(frames, seats, SeatStatus.AVAILABLE);
  report(`watched ${seats} ${SeatStatus[SeatStatus.AVAILABLE]}`);
  stop.abort();
}

/** Reads frames until all of the seats have a status. */
async function waitFor(frames: AsyncIterator<WatchSeatsResponse>, seats: string[], status: SeatStatus): Promise<void> {
  const current = new Map<string, SeatStatus>();
  while (!seats.every((seat) => current.get(seat) === status)) {
    const frame = await frames.next();
    if (frame.done) throw new Error("the stream has ended");
    for (const each of frame.value.seats) current.set(each.seat, each.status);
  }
}

/** Returns the reason of an error, and its metadata; undefined if the error did not come from the service. */
function errorInfo(error: unknown): ErrorInfo | undefined {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0];
}
