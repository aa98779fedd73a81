// Reads the answer of ListTicketKeys from a file and codes from standard input, one a line, and says for each whether it
// admits to a showtime. Whether the ticket is void, or was shown before, only the server or the door's list knows.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Forged, Verifier } from "./ticket.mjs";

const [file, showtimeId] = process.argv.slice(2);
if (showtimeId === undefined) {
  console.error("usage: node ticketcheck.mjs KEYS.json SHOWTIME_ID <codes");
  process.exit(2);
}
const cinema = new Verifier(JSON.parse(readFileSync(file, "utf8")));
for await (const code of createInterface({ input: process.stdin })) {
  try {
    const found = cinema.verify(code);
    if (found.showtimeId !== showtimeId) console.log("WRONG SHOWTIME", found.showtimeId);
    else console.log("ADMIT", found.seat, found.ticketType, found.start.toISOString(), found.ticketId);
  } catch (error) {
    if (!(error instanceof Forged)) throw error;
    console.log("FORGED");
  }
}
