// What an error means to the customer.
import { reasonOf } from "./api";
import { listed } from "./dom";

const WORDS: Record<string, (metadata: Record<string, string>) => string> = {
  SEATS_UNAVAILABLE: ({ seats }) => `Somebody was faster: ${listed(labels(seats))} just went.`,
  SINGLE_SEAT_GAP: ({ stranded_seats: stranded }) =>
    `That would leave ${listed(labels(stranded))} alone, and nobody books a seat alone. Add it, or move by one seat.`,
  NO_SEATS_TOGETHER: ({ largest_group: largest }) =>
    largest === "0" ? "No such seats are left." : `At most ${largest} can sit side by side now.`,
  HOLD_LIMIT: ({ limit, held }) => `You hold ${held} of at most ${limit} seats. Pay for them or give them back first.`,
  ACCESSIBLE_ONLY: ({ seats }) => `${listed(labels(seats))}: only for guests with a wheelchair and their company.`,
  TOO_MANY_ATTEMPTS: () => "Too many attempts. Wait a little, then try again.",
  PAYMENT_DECLINED: () => "The card was declined. Your seats are still on hold: try another card.",
  PAYMENT_IN_PROGRESS: () => "A payment is in progress. Wait a moment.",
  PAYMENT_UNAVAILABLE: () => "It is not known yet whether the card was charged. This will be settled by itself.",
  HOLD_EXPIRED: () => "The hold has ended. Choose seats again.",
  SALES_CLOSED: () => "Sales have ended: the showtime has started.",
  SHOWTIME_CANCELLED: () => "The showtime was cancelled.",
  OVERLOADED: () => "The box office is very busy. Try again in a moment.",
};

/** Return text for the customer; for an error without words of its own, the message for developers. */
export function explain(error: unknown): string {
  const { reason, metadata, message } = reasonOf(error);
  return WORDS[reason]?.(metadata) ?? (reason === "" ? `The box office does not answer (${message}).` : message);
}

/** Return the labels of a list in an error's metadata. */
export function labels(list: string | undefined): string[] {
  return list ? list.split(",") : [];
}
