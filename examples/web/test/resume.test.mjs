// The seat map goes on after its stream is lost: cut or silent on the way, or because Envoy or the server starts again.
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { after, before, test } from "node:test";
import { card, choose, Shop, statusOf } from "./shop.mjs";

const shop = new Shop();
const cable = { sockets: new Set(), isWhole: true };
before(() => shop.open({}, "test/restarts.py"));
after(async () => {
  await shop.close();
  cable.server?.close();
});

/** Lay a cable to the API; returns the arguments of a Chromium that calls through it. */
async function layCable() {
  const html = await (await fetch(shop.address)).text();
  const { host, hostname, port } = new URL(/name="?api"? content="([^"]+)"/.exec(html)[1]);
  cable.server = createServer((near) => {
    if (!cable.isWhole) return near.destroy();
    const far = connect(Number(port), hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      cable.sockets.add(one);
      one.on("error", () => {}).on("close", () => other.destroy()).pipe(other);
    }
  });
  await new Promise((resolve) => cable.server.listen(0, "127.0.0.1", resolve));
  return [`--host-resolver-rules=MAP ${host} 127.0.0.1:${cable.server.address().port}`];
}

/** Carry nothing more over the connections that are there. */
function freeze() {
  for (const socket of cable.sockets) socket.unpipe();
}

function cut() {
  cable.isWhole = false;
  for (const socket of cable.sockets) socket.destroy();
  cable.sockets.clear();
}

const live = (page, isLive) => page.locator(`#live[data-live=${isLive}]`).waitFor();

/** Wait until a page watches seats from a revision that it knows: what follows the showtime_id of 36 characters. */
const resumed = (page) => page.waitForRequest((request) => {
  const body = request.url().endsWith("/WatchSeats") ? request.postDataBuffer() : null;
  return body !== null && body[5 + 2 + 36] === 0x10;
});

async function hold(page, labels) {
  await choose(page, labels);
  await page.locator("#hold").click();
  await card(page).getByText(`On hold: ${labels.join(" and ")}`).waitFor();
}

test("a seat map goes on after its stream is lost", async (t) => {
  const [ada, bob] = [await shop.newPage(undefined, await layCable()), await shop.newPage()];
  await Promise.all([shop.showBusyShowtime(ada), shop.showBusyShowtime(bob)]);

  await t.test("a stream that is cut: what was missed is there", async () => {
    await statusOf(ada, "D1", "available");
    cut();
    await live(ada, false);
    await hold(bob, ["D1", "D2"]);
    await statusOf(ada, "D1", "available");
    const again = resumed(ada);
    cable.isWhole = true;
    await Promise.all([again, live(ada, true), statusOf(ada, "D1", "held"), statusOf(ada, "D2", "held")]);
  });

  await t.test("a connection that falls silent: another takes its place", async () => {
    freeze();
    await hold(bob, ["C1", "C2"]);
    const again = resumed(ada);
    await live(ada, false);
    cut(); // idle connections of the browser, which are frozen too
    cable.isWhole = true;
    await Promise.all([again, live(ada, true), statusOf(ada, "C1", "held"), statusOf(ada, "C2", "held")]);
  });

  for (const [name, labels] of [["envoy", ["A1", "A2"]], ["cinema", ["B1", "B2"]]]) {
    await t.test(`${name} starts again: new changes are there`, async () => {
      await shop.tell(`stop ${name}`);
      await Promise.all([live(ada, false), live(bob, false)]);
      const again = Promise.all([resumed(ada), resumed(bob)]);
      await shop.tell(`start ${name}`);
      await Promise.all([again, live(ada, true), live(bob, true)]);
      await hold(bob, labels);
      await Promise.all(labels.map((label) => statusOf(ada, label, "held")));
      assert.equal(await ada.locator("[data-seat=D1]").getAttribute("data-status"), "held");
    });
  }
});
