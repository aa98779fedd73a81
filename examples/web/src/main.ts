// The page: a showtime's seats, live; choosing them by hand or from suggestions; holding them.
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Booking, BookingStatus } from "../gen/cinema/v1/booking_pb";
import { type SeatOption, SeatOptionReason, type Showtime } from "../gen/cinema/v1/showtime_pb";
import { bookings, catalog, hasSession, once, reasonOf, showtimes } from "./api";
import { BookingCard, seatsOf, setClock } from "./bookings";
import { byId, create, listed, localTime, money } from "./dom";
import { explain, labels } from "./explain";
import { SeatMap } from "./seatmap";
import { watchSeats } from "./watch";

const MAX_SEATS = 10;
const REASONS: Partial<Record<SeatOptionReason, string>> = {
  [SeatOptionReason.TOGETHER]: "side by side",
  [SeatOptionReason.SPLIT_IN_TWO]: "in two rows",
  [SeatOptionReason.SPLIT_IN_MORE]: "in several rows",
  [SeatOptionReason.CENTRAL]: "central",
  [SeatOptionReason.BEST_ROW]: "best row",
};

let showtime: Showtime;
let map: SeatMap;
let watching = new AbortController();
let holding = false; // a claim is under way, so seats that go now may be ours
const chosen = new Map<string, string>(); // seat: ticket type
const cards: BookingCard[] = [];

const party = byId<HTMLSelectElement>("party");
const wheelchair = byId<HTMLInputElement>("wheelchair");

async function open(showtimeId: string): Promise<void> {
  watching.abort();
  const { signal } = (watching = new AbortController());
  const { showtime: found } = await showtimes.getShowtime({ showtimeId }, { signal });
  const { auditorium } = await catalog.getAuditorium({ auditoriumId: found!.auditoriumId }, { signal });
  showtime = found!;
  chosen.clear();
  say("");
  showOptions([]);
  byId("title").textContent = showtime.movie!.title;
  const when = localTime(showtime.startTime!, showtime.cinema!.timeZone);
  byId("about").textContent = `${when}, ${showtime.auditoriumName}, ${showtime.cinema!.name}`;
  map = new SeatMap(byId("map"), auditorium!, toggle);
  const scroller = byId("scroller");
  scroller.scrollLeft = (scroller.scrollWidth - scroller.clientWidth) / 2;
  const watcher = {
    frame(frame: Parameters<Parameters<typeof watchSeats>[1]["frame"]>[0]) {
      const went = map.update(frame.seats).filter((seat) => chosen.has(seat));
      byId("free").textContent = `${frame.availableSeats} of ${showtime.totalSeats} seats are free`;
      if (went.length > 0 && !holding) void lost(went);
    },
    live(isLive: boolean) {
      byId("live").textContent = isLive ? "live" : "reconnecting";
      byId("live").dataset["live"] = `${isLive}`;
    },
    ended() {
      byId("live").textContent = "ended";
      say("This showtime is over or was cancelled.");
    },
  };
  listAreas();
  void watchSeats(showtimeId, watcher, signal);
  await listBookings();
}

async function listBookings(): Promise<void> {
  cards.length = 0;
  if (hasSession()) {
    const { bookings: own } = await bookings.listBookings({ showtimeId: showtime.showtimeId });
    const shown = own.filter(({ status }) => status === BookingStatus.RESERVED || status === BookingStatus.CONFIRMED);
    cards.push(...shown.map((booking) => new BookingCard(booking, show)));
  }
  byId("bookings").replaceChildren(...cards.map(({ element }) => element));
  show();
}

function toggle(seat: string): void {
  say("");
  if (chosen.delete(seat)) return show();
  if (chosen.size === MAX_SEATS) return say(`A booking has at most ${MAX_SEATS} seats.`);
  chosen.set(seat, ticketTypes(seat)[0]!.ticketType);
  show();
}

function choose(seats: readonly string[]): void {
  chosen.clear();
  for (const seat of seats) chosen.set(seat, ticketTypes(seat)[0]!.ticketType);
  showOptions([]);
  say("");
  show();
}

function ticketTypes(seat: string) {
  return showtime.prices.filter(({ category }) => category === map.categoryOf(seat));
}

/** Seats of the choice went to others: say so, and offer as many elsewhere. */
async function lost(seats: readonly string[]): Promise<void> {
  const size = chosen.size;
  for (const seat of seats) chosen.delete(seat);
  show();
  say(`Somebody was faster: ${listed(seats)} just went.`);
  await suggest(size);
}

async function hold(): Promise<void> {
  const choices = [...chosen].map(([seat, ticketType]) => ({ seat, ticketType }));
  const forWheelchairs = choices.some(({ seat }) => map.isForWheelchairs(seat));
  await claim({ choices, wheelchair: forWheelchairs });
}

async function holdBest(): Promise<void> {
  const ticketType = showtime.prices[0]!.ticketType;
  const best = { ticketTypes: Array<string>(Number(party.value)).fill(ticketType), allowSplit: true };
  await claim({ best: { ...best, categories: categories(), wheelchairSpaces: wheelchair.checked ? 1 : 0 } });
}

async function claim(what: Parameters<typeof bookings.createBooking>[0]): Promise<void> {
  holding = true;
  say("");
  show();
  const size = chosen.size;
  try {
    const { showtimeId } = showtime;
    const { booking } = await once((requestId) => bookings.createBooking({ ...what, showtimeId, requestId }));
    setClock(booking!);
    if ("choices" in what) chosen.clear();
    showOptions([]);
    addCard(booking!);
  } catch (error) {
    const { reason, metadata } = reasonOf(error);
    for (const seat of labels(metadata["seats"])) chosen.delete(seat);
    say(explain(error));
    if (reason === "SINGLE_SEAT_GAP") offerStranded(labels(metadata["stranded_seats"]));
    if (reason === "SEATS_UNAVAILABLE") void suggest(size);
  } finally {
    holding = false;
    for (const seat of chosen.keys()) if (!map.isFree(seat)) chosen.delete(seat);
    show();
  }
}

function addCard(booking: Booking): void {
  const card = new BookingCard(booking, show);
  cards.unshift(card);
  byId("bookings").prepend(card.element);
  card.element.querySelector<HTMLElement>("select")?.focus({ preventScroll: true });
  card.element.scrollIntoView({ block: "nearest" });
}

function offerStranded(stranded: readonly string[]): void {
  map.point(stranded);
  if (chosen.size + stranded.length > MAX_SEATS) return;
  const add = create("button", { type: "button" }, `Add ${listed(stranded)}`);
  add.onclick = () => choose(map.inOrder([...chosen.keys(), ...stranded]));
  byId("notice").append(" ", add);
}

async function suggest(partySize: number): Promise<void> {
  try {
    const request = { showtimeId: showtime.showtimeId, partySize, categories: categories() };
    const { options } = await showtimes.suggestSeats({ ...request, wheelchairSpaces: wheelchair.checked ? 1 : 0 });
    showOptions(options);
    if (options.length === 0) say("No such seats are left. Try fewer, or another area.");
  } catch (error) {
    say(explain(error));
  }
}

function categories(): string[] {
  const { value } = byId<HTMLSelectElement>("area");
  return value === "" ? [] : [value];
}

function showOptions(options: readonly SeatOption[]): void {
  const items = options.map(({ seats, reasons, totalPrice }) => {
    const why = reasons.map((reason) => REASONS[reason]).filter(Boolean).join(", ");
    const button = create("button", { type: "button", className: "option" }, create("strong", {}, listed(seats)));
    button.append(create("span", {}, `${why}${why && " · "}${money(totalPrice!)}`));
    button.onclick = () => choose(seats);
    return create("li", {}, button);
  });
  byId("options").replaceChildren(...items);
}

/** Say what happened; the empty text ends what was said before. */
function say(words: string): void {
  byId("notice").replaceChildren(words);
  if (words !== "") byId("notice").scrollIntoView({ block: "nearest" });
  map?.point([]);
}

/** Show the choice and whose seats are whose. */
function show(): void {
  const seats = map.inOrder(chosen.keys());
  map.mark(new Set(seats), new Set(cards.flatMap(({ booking }) => seatsOf(booking))));
  byId("chosen").replaceChildren(...seats.map(choiceOf));
  const lines = seats.map((seat) => ticketTypes(seat).find(({ ticketType }) => ticketType === chosen.get(seat))!);
  const prices = lines.map(({ price }) => price!);
  const total = prices.reduce((sum, { minorUnits }) => sum + minorUnits, 0n);
  byId<HTMLButtonElement>("best").disabled = holding;
  const button = byId<HTMLButtonElement>("hold");
  button.disabled = holding || seats.length === 0;
  button.textContent = seats.length === 0 ? "Choose seats" : `Hold for ${money({ ...prices[0]!, minorUnits: total })}`;
}

function choiceOf(seat: string): HTMLElement {
  const select = create("select", { ariaLabel: `Ticket for seat ${seat}` });
  for (const { ticketType, price } of ticketTypes(seat)) {
    const selected = ticketType === chosen.get(seat);
    select.append(create("option", { value: ticketType, selected }, `${ticketType}, ${money(price!)}`));
  }
  select.onchange = () => {
    chosen.set(seat, select.value);
    show();
  };
  const drop = create("button", { type: "button", ariaLabel: `Remove seat ${seat}` }, "✕");
  drop.onclick = () => toggle(seat);
  return create("li", {}, create("strong", {}, seat), select, drop);
}

function listAreas(): void {
  const anywhere = create("option", { value: "" }, "Anywhere");
  const names = [...new Set(showtime.prices.map(({ category }) => category))];
  byId("area").replaceChildren(anywhere, ...names.map((name) => create("option", { value: name }, name)));
  const items = names.map((name) => {
    const sample = create("span", { className: "seat" });
    sample.dataset["status"] = "available";
    sample.dataset["area"] = map.areaOf(name);
    const { price } = showtime.prices.find(({ category }) => category === name)!;
    return create("li", {}, sample, `${name}, ${money(price!)}`);
  });
  byId("areas").replaceChildren(...items);
}

async function start(): Promise<void> {
  for (let size = 1; size <= MAX_SEATS; size++) {
    party.append(create("option", { selected: size === 2 }, `${size}`));
  }
  const { showtimes: listing } = await showtimes.listShowtimes({ startTimeFrom: timestampNow(), pageSize: 200 });
  const select = byId<HTMLSelectElement>("showtime");
  for (const each of listing) {
    const when = localTime(each.startTime!, each.cinema!.timeZone);
    const words = `${when} · ${each.movie!.title} · ${each.auditoriumName} (${each.availableSeats} free)`;
    select.append(create("option", { value: each.showtimeId }, words));
  }
  const go = async () => {
    const wanted = location.hash.slice(1) || listing[0]?.showtimeId;
    if (wanted === undefined) return say("There are no showtimes.");
    select.value = wanted;
    await open(wanted);
  };
  select.onchange = () => (location.hash = select.value);
  const guarded = () =>
    go().catch((error) => {
      if (ConnectError.from(error).code !== Code.Canceled) say(explain(error)); // another showtime was chosen meanwhile
    });
  window.onhashchange = guarded;
  byId("suggest").onsubmit = (event) => {
    event.preventDefault();
    say("");
    void suggest(Number(party.value));
  };
  byId("best").onclick = holdBest;
  byId("choice").onsubmit = (event) => {
    event.preventDefault();
    void hold();
  };
  await guarded();
}

start().catch((error) => say(explain(error)));
