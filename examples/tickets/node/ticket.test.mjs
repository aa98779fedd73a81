import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { Forged, Verifier } from "./ticket.mjs";

const vectors = JSON.parse(readFileSync(new URL("../vectors.json", import.meta.url), "utf8"));
const cinema = new Verifier({ keys: vectors.keys });

test("valid codes", () => {
  assert.ok(vectors.valid.length >= 8);
  for (const each of vectors.valid) {
    assert.deepEqual(cinema.verify(each.code), {
      ticketId: each.ticket_id,
      showtimeId: each.showtime_id,
      seat: each.seat,
      start: new Date(each.start_seconds * 1000),
      ticketType: each.ticket_type,
      typeIsCutOff: each.ticket_type_is_cut_off,
    });
  }
});

test("forgeries", () => {
  assert.ok(vectors.forgeries.length >= 40);
  for (const { name, code } of vectors.forgeries) {
    assert.throws(() => cinema.verify(code), Forged, name);
  }
});

test("without keys nothing is admitted", () => {
  assert.throws(() => new Verifier({}).verify(vectors.valid[0].code), Forged);
});
