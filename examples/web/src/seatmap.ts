// The seat map: one button a seat, drawn once; later only what has changed is touched.
import { type Auditorium } from "../gen/cinema/v1/catalog_pb";
import { type Seat, SeatStatus } from "../gen/cinema/v1/showtime_pb";
import { create } from "./dom";

const STATUS_NAMES: Partial<Record<SeatStatus, string>> = {
  [SeatStatus.AVAILABLE]: "available",
  [SeatStatus.HELD]: "held",
  [SeatStatus.SOLD]: "sold",
  [SeatStatus.BLOCKED]: "blocked",
};

interface Drawn {
  button: HTMLButtonElement;
  row: number;
  column: number;
  status: SeatStatus;
  category: string;
  wheelchair: string; // "", "wheelchair space" or "companion seat"
}

/** The seats of one auditorium. */
export class SeatMap {
  readonly #seats = new Map<string, Drawn>();
  readonly #rows: string[][] = [];
  readonly #areas: string[];
  #chosen: ReadonlySet<string> = new Set();
  #mine: ReadonlySet<string> = new Set();

  /** Draw an auditorium into an element; `choose` is called with the label of a seat that was pressed. */
  constructor(parent: HTMLElement, auditorium: Auditorium, choose: (label: string) => void) {
    this.#areas = auditorium.areas.map(({ category }) => category);
    const categories = categoriesOf(auditorium);
    const wheelchair = wheelchairSeatsOf(auditorium);
    const rows = auditorium.rows.map(({ label, sections }) => {
      const labels: string[] = [];
      const drawn = sections.map((length) => {
        const section = create("span", { className: "section" });
        for (let place = 0; place < length; place++) {
          const seat = `${label}${labels.length + 1}`;
          const button = create("button", { type: "button", className: "seat", tabIndex: -1 }, `${labels.length + 1}`);
          button.dataset["seat"] = seat;
          section.append(button);
          this.#seats.set(seat, {
            button,
            row: this.#rows.length,
            column: labels.length,
            status: SeatStatus.UNSPECIFIED,
            category: categories.get(seat) ?? categories.get(label) ?? "standard",
            wheelchair: wheelchair.get(seat) ?? "",
          });
          labels.push(seat);
        }
        return section;
      });
      this.#rows.push(labels);
      return create("div", { className: "row" }, create("span", { className: "row-label" }, label), ...drawn);
    });
    parent.replaceChildren(...rows);
    parent.onclick = (event) => {
      const seat = (event.target as HTMLElement).closest<HTMLElement>(".seat")?.dataset["seat"];
      if (seat !== undefined && this.isFree(seat)) choose(seat);
    };
    parent.onkeydown = (event) => this.#move(event);
    this.#seats.values().next().value!.button.tabIndex = 0; // one tab stop for all; arrows move within
    for (const [label, drawn] of this.#seats) this.#show(label, drawn);
  }

  /** Take in seats of a frame; returns those that went from free to taken. */
  update(seats: readonly Seat[]): string[] {
    const taken = [];
    for (const { seat, status } of seats) {
      const drawn = this.#seats.get(seat);
      if (drawn === undefined || drawn.status === status) continue;
      if (drawn.status !== SeatStatus.UNSPECIFIED) this.#flash(drawn.button);
      if (drawn.status === SeatStatus.AVAILABLE) taken.push(seat);
      drawn.status = status;
      this.#show(seat, drawn);
    }
    return taken;
  }

  /** Show which seats are chosen, and which the customer has on hold or bought. */
  mark(chosen: ReadonlySet<string>, mine: ReadonlySet<string>): void {
    const before = new Set([...this.#chosen, ...this.#mine]);
    [this.#chosen, this.#mine] = [new Set(chosen), new Set(mine)];
    for (const label of new Set([...before, ...chosen, ...mine])) {
      const drawn = this.#seats.get(label);
      if (drawn !== undefined) this.#show(label, drawn);
    }
  }

  /** Point at seats, such as those that a choice would strand; none ends that. */
  point(labels: readonly string[]): void {
    for (const [label, { button }] of this.#seats) button.classList.toggle("pointed", labels.includes(label));
  }

  /** Return whether a seat is free, as far as is known here. */
  isFree(label: string): boolean {
    return this.#seats.get(label)?.status === SeatStatus.AVAILABLE;
  }

  /** Return the category of a seat. */
  categoryOf(label: string): string {
    return this.#seats.get(label)?.category ?? "standard";
  }

  /** Return by which number the style sheet knows the area of a category: "0" for standard, then "1", "2", ... */
  areaOf(category: string): string {
    return `${this.#areas.indexOf(category) + 1}`;
  }

  /** Return whether a seat is sold only with a wheelchair space, or is one. */
  isForWheelchairs(label: string): boolean {
    return this.#seats.get(label)?.wheelchair !== "";
  }

  /** Return labels in the order of the rows. */
  inOrder(labels: Iterable<string>): string[] {
    const place = (label: string) => {
      const { row, column } = this.#seats.get(label)!;
      return row * 1_000 + column;
    };
    return [...labels].sort((one, other) => place(one) - place(other));
  }

  #show(label: string, { button, status, category, wheelchair }: Drawn): void {
    const name = this.#mine.has(label) ? "mine" : (STATUS_NAMES[status] ?? "unknown");
    const isChosen = this.#chosen.has(label);
    button.dataset["status"] = name;
    button.dataset["area"] = this.areaOf(category);
    button.classList.toggle("wheelchair", wheelchair === "wheelchair space");
    button.setAttribute("aria-pressed", `${isChosen}`);
    button.setAttribute("aria-disabled", `${name !== "available"}`);
    const said = name === "mine" ? "yours" : name === "available" ? "free" : name;
    button.setAttribute("aria-label", [`Seat ${label}`, category, wheelchair, said].filter(Boolean).join(", "));
    button.title = button.getAttribute("aria-label")!;
  }

  #flash(button: HTMLElement): void {
    button.classList.remove("changed");
    void button.offsetWidth; // restarts the animation
    button.classList.add("changed");
  }

  #move(event: KeyboardEvent): void {
    const current = this.#seats.get((event.target as HTMLElement).dataset["seat"] ?? "");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (current === undefined || step === undefined) return;
    event.preventDefault();
    const row = this.#rows[current.row + step[0]!];
    if (row === undefined) return;
    const label = row[Math.min(current.column + step[1]!, row.length - 1)];
    const next = label === undefined ? undefined : this.#seats.get(label);
    if (next === undefined) return;
    current.button.tabIndex = -1;
    next.button.tabIndex = 0;
    next.button.focus();
  }
}

function categoriesOf({ areas }: Auditorium): Map<string, string> {
  const categories = new Map<string, string>();
  for (const { category, rows, seats } of areas) {
    for (const label of [...rows, ...seats]) categories.set(label, category);
  }
  return categories;
}

function wheelchairSeatsOf({ wheelchairSpaces }: Auditorium): Map<string, string> {
  const seats = new Map<string, string>();
  for (const { seat, companionSeats } of wheelchairSpaces) {
    seats.set(seat, "wheelchair space");
    for (const companion of companionSeats) seats.set(companion, "companion seat");
  }
  return seats;
}
