// Two customers, each in a Chromium of their own, race for seats. With PICTURES=folder, screenshots go there.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import jsQR from "jsqr";
import { PNG } from "pngjs";
import { button, card, choose, seat, Shop, statusOf, words } from "./shop.mjs";

const shop = new Shop();
before(() => shop.open());
after(() => shop.close());

async function picture(page, name) {
  if (process.env.PICTURES === undefined) return;
  await mkdir(process.env.PICTURES, { recursive: true });
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${process.env.PICTURES}/${name}.png`, animations: "disabled" });
}

async function decode(image) {
  await image.evaluate((element) => element.decode());
  const { data, width, height } = PNG.sync.read(await image.screenshot());
  return jsQR(new Uint8ClampedArray(data), width, height)?.data;
}

test("two browsers race for seats", async (t) => {
  const [ada, bob] = await Promise.all([shop.newPage(), shop.newPage()]);
  await Promise.all([shop.showBusyShowtime(ada), shop.showBusyShowtime(bob)]);
  let winner, loser, taken;

  await t.test("a choice that strands a seat is explained, and the seat can be added", async () => {
    await choose(ada, ["A2", "A3"]);
    await ada.locator("#hold").click();
    await words(ada).getByText("leave A1 alone").waitFor();
    assert.ok((await seat(ada, "A1").getAttribute("class")).includes("pointed"));
    await button(ada, "Add A1").click();
    assert.equal(await seat(ada, "A1").getAttribute("aria-pressed"), "true");
    for (const label of ["A1", "A2", "A3"]) await button(ada, `Remove seat ${label}`).click();
  });

  await t.test("one gets the seats; the other sees them go, and gets others suggested", async () => {
    await Promise.all([choose(ada, ["C6", "C7"]), choose(bob, ["C6", "C7"])]);
    // Not click(), which would wait for the button: the seats may go before the slower browser gets to it.
    await Promise.all([ada, bob].map((page) => page.locator("#hold").dispatchEvent("click")));
    winner = await Promise.any([ada, bob].map((page) => card(page).waitFor().then(() => page)));
    loser = winner === ada ? bob : ada;
    await card(winner).getByText("On hold: C6 and C7").waitFor();
    await card(winner).locator("select:focus").waitFor();
    await words(loser).getByText("Somebody was faster: C6 and C7 just went.").waitFor();
    await Promise.all([statusOf(winner, "C6", "mine"), statusOf(loser, "C6", "held"), statusOf(loser, "C7", "held")]);
    assert.equal(await card(loser).count(), 0);
    await loser.locator(".option").first().waitFor();
    await picture(loser, "web-seats");
  });

  await t.test("a hold counts down", async () => {
    const timer = card(winner).getByRole("timer");
    const shown = await timer.textContent();
    assert.match(shown, /^(10:00|9:\d\d|8:\d\d)$/);
    await timer.filter({ hasNotText: shown }).waitFor();
  });

  await t.test("the other takes the first suggestion, and is declined, then pays", async () => {
    await loser.locator(".option").first().click();
    taken = await loser.locator("#chosen strong").allTextContents();
    assert.equal(taken.length, 2);
    await loser.locator("#hold").click();
    await Promise.all(taken.map((label) => statusOf(winner, label, "held")));
    await card(loser).getByLabel("Card").selectOption("tok_declined");
    await card(loser).getByRole("button", { name: /^Pay/ }).click();
    await card(loser).getByText("The card was declined").waitFor();
    await card(loser).getByLabel("Card").selectOption("tok_visa");
    await card(loser).getByRole("button", { name: /^Pay/ }).click();
    await Promise.all(taken.map((label) => statusOf(winner, label, "sold")));
  });

  await t.test("each ticket's QR code is shown and says what the ticket says", async () => {
    const tickets = card(loser).locator(".ticket");
    await tickets.nth(1).waitFor();
    const codes = [];
    for (const ticket of await tickets.all()) {
      const code = await ticket.locator("code").textContent();
      assert.equal(await decode(ticket.locator("img")), code);
      codes.push(code);
    }
    assert.equal(new Set(codes).size, 2);
  });

  await t.test("bookings are there after a reload, at phone width and in the dark too", async () => {
    await loser.setViewportSize({ width: 390, height: 844 });
    await loser.emulateMedia({ colorScheme: "dark" });
    await loser.evaluate(() => {
      const { refreshToken } = JSON.parse(sessionStorage["cinema.session"]);
      sessionStorage["cinema.session"] = JSON.stringify({ accessToken: "expired", refreshToken });
    });
    await loser.reload();
    await card(loser).locator(".ticket img").nth(1).waitFor();
    const [content, window] = await loser.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `the page is ${content} wide in a window of ${window}`);
    await statusOf(loser, taken[0], "mine");
    await loser.emulateMedia({ colorScheme: "light" });
    await card(loser).scrollIntoViewIfNeeded();
    if (process.env.PICTURES !== undefined) {
      await card(loser).screenshot({ path: `${process.env.PICTURES}/web-tickets.png` });
    }
  });

  await t.test("the best seats at once, and a paid booking that is cancelled", async () => {
    await winner.locator("#best").click();
    await winner.locator(".booking").nth(1).waitFor();
    await button(card(winner), "Give seats back").click();
    await card(winner).getByText("Cancelled:").waitFor();
    const first = winner.locator(".booking").nth(1);
    await first.getByRole("button", { name: /^Pay/ }).click();
    await first.locator(".ticket").nth(1).waitFor();
    await statusOf(loser, "C6", "sold");
    await button(first, "Cancel booking").click();
    await winner.getByText(/back \(100%\)/).waitFor();
    await button(winner.locator("dialog"), "Cancel booking").click();
    await first.getByText("Cancelled: C6 and C7").waitFor();
    await Promise.all([statusOf(loser, "C6", "available"), statusOf(winner, "C7", "available")]);
  });

  await t.test("the keyboard chooses seats", async () => {
    await seat(winner, "A1").focus();
    for (const key of ["ArrowDown", "ArrowRight", "Space"]) await winner.keyboard.press(key);
    assert.equal(await seat(winner, "B2").getAttribute("aria-pressed"), "true");
  });

  await t.test("Ctrl-C ends everything", async () => {
    const api = await winner.locator("meta[name=api]").getAttribute("content");
    assert.equal(await shop.end(), 0);
    await assert.rejects(fetch(api), "Envoy listens no more");
    await winner.locator("#live[data-live=false]").waitFor();
  });
});
