// The customer's bookings of a showtime: the countdown of a hold, payment, tickets with their QR codes, cancelling.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Booking, BookedSeatStatus, BookingStatus, TicketStatus, type Ticket } from "../gen/cinema/v1/booking_pb";
import { bookings, once, tickets } from "./api";
import { byId, create, listed, money } from "./dom";
import { explain } from "./explain";

const AHEAD = "cinema.ahead"; // milliseconds that the server's clock is ahead of this one, which may be wrong by hours
let ahead = Number(sessionStorage.getItem(AHEAD));

/** Note the server's time: a booking that was made just now. */
export function setClock(booking: Booking): void {
  ahead = timestampMs(booking.createTime!) - Date.now();
  sessionStorage.setItem(AHEAD, `${ahead}`);
}

/** Return the seats that a booking has on hold or has paid for. */
export function seatsOf({ seats, status }: Booking): string[] {
  if (status !== BookingStatus.RESERVED && status !== BookingStatus.CONFIRMED) return [];
  return seats.filter((seat) => seat.status === BookedSeatStatus.ACTIVE).map(({ seat }) => seat);
}

/** A booking on the page. Its element shows its state at any time. */
export class BookingCard {
  readonly element = create("article", { className: "card booking" });
  readonly #changed: () => void;
  #timer = 0;
  booking: Booking;

  /** Show a booking; `changed` is called when its seats or its status may have changed. */
  constructor(booking: Booking, changed: () => void) {
    this.booking = booking;
    this.#changed = changed;
    void this.#show();
  }

  async #show(words = ""): Promise<void> {
    clearInterval(this.#timer);
    const { booking } = this;
    const seats = listed(booking.seats.map(({ seat }) => seat));
    const said = create("p", { className: "error", role: "alert" }, words);
    if (booking.status === BookingStatus.RESERVED) {
      this.element.replaceChildren(create("h3", {}, `On hold: ${seats}`), this.#countdown(), this.#payment(), said);
    } else if (booking.status === BookingStatus.CONFIRMED) {
      const drawn = create("div", { className: "tickets" });
      const cancel = create("button", { type: "button", onclick: () => this.#askToCancel() }, "Cancel booking");
      this.element.replaceChildren(create("h3", {}, `Paid: ${seats}`), drawn, cancel, said);
      const valid = booking.tickets.filter(({ status }) => status !== TicketStatus.VOID);
      drawn.append(...(await Promise.all(valid.map((ticket) => this.#draw(ticket)))));
    } else {
      const refund = booking.refund?.amount && ` ${money(booking.refund.amount)} will be paid back.`;
      const ended = booking.status === BookingStatus.EXPIRED ? "The hold has ended" : "Cancelled";
      this.element.replaceChildren(create("h3", {}, `${ended}: ${seats}`), create("p", {}, refund ?? ""), said);
    }
  }

  #countdown(): HTMLElement {
    const left = create("strong", { role: "timer" });
    const ends = timestampMs(this.booking.holdExpireTime!) - ahead;
    const showLeft = () => {
      const seconds = Math.max(0, Math.ceil((ends - Date.now()) / 1_000));
      left.textContent = `${Math.floor(seconds / 60)}:${`${seconds % 60}`.padStart(2, "0")}`;
      left.classList.toggle("soon", seconds <= 60);
    };
    showLeft();
    this.#timer = setInterval(() => (Date.now() < ends ? showLeft() : void this.#reload()), 1_000);
    return create("p", {}, "Pay within ", left, ".");
  }

  #payment(): HTMLElement {
    const card = create(
      "select",
      { name: "card" },
      create("option", { value: "tok_visa" }, "Test card"),
      create("option", { value: "tok_declined" }, "Test card that is declined"),
    );
    const pay = create("button", { className: "primary" }, `Pay ${money(this.booking.totalPrice!)}`);
    const back = create("button", { type: "button", onclick: () => this.#cancel() }, "Give seats back");
    const form = create("form", { className: "payment" }, create("label", {}, "Card ", card), pay, back);
    form.onsubmit = (event) => {
      event.preventDefault();
      void this.#change(async (requestId) => {
        const { bookingId } = this.booking;
        return (await bookings.confirmPayment({ bookingId, paymentToken: card.value, requestId })).booking!;
      });
    };
    return form;
  }

  async #draw({ ticketId, seat, code }: Ticket): Promise<HTMLElement> {
    const { image, mediaType } = await tickets.renderTicket({ bookingId: this.booking.bookingId, ticketId });
    const url = URL.createObjectURL(new Blob([new Uint8Array(image)], { type: mediaType }));
    const picture = create("img", { src: url, alt: `QR code of the ticket for seat ${seat}`, className: "qr" });
    picture.onload = () => URL.revokeObjectURL(url);
    const text = create("details", {}, create("summary", {}, "As text"), create("code", {}, code));
    return create("figure", { className: "ticket" }, picture, create("figcaption", {}, `Seat ${seat}`), text);
  }

  async #askToCancel(): Promise<void> {
    try {
      const quote = await bookings.getCancellationQuote({ bookingId: this.booking.bookingId });
      const back = `${money(quote.refundAmount!)} back (${quote.refundPercent}%)`;
      const dialog = byId<HTMLDialogElement>("cancel");
      byId("quote").textContent = `You get ${back}. The tickets become void.`;
      dialog.returnValue = "";
      dialog.onclose = () => dialog.returnValue === "yes" && void this.#cancel();
      dialog.showModal();
    } catch (error) {
      await this.#show(explain(error));
    }
  }

  async #cancel(): Promise<void> {
    await this.#change(async (requestId) => {
      return (await bookings.cancelBooking({ bookingId: this.booking.bookingId, requestId })).booking!;
    });
  }

  async #change(call: (requestId: string) => Promise<Booking>): Promise<void> {
    for (const button of this.element.querySelectorAll("button")) button.disabled = true;
    try {
      this.booking = await once(call);
      await this.#show();
    } catch (error) {
      await this.#reload(explain(error));
    }
    this.#changed();
  }

  async #reload(words = ""): Promise<void> {
    clearInterval(this.#timer);
    try {
      this.booking = (await bookings.getBooking({ bookingId: this.booking.bookingId })).booking!;
    } catch (error) {
      words ||= explain(error);
    }
    await this.#show(words);
    this.#changed();
  }
}
