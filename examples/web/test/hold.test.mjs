// A hold that is not paid for ends by itself.
import { after, before, test } from "node:test";
import { card, choose, Shop, statusOf } from "./shop.mjs";

const shop = new Shop();
before(() => shop.open({ CINEMA_HOLD_SECONDS: "10" }));
after(() => shop.close());

test("a hold ends when its countdown does, and both pages show its seats as free", async () => {
  const [ada, bob] = await Promise.all([shop.newPage(), shop.newPage()]);
  await Promise.all([shop.showBusyShowtime(ada), shop.showBusyShowtime(bob)]);
  await choose(ada, ["D1", "D2"]);
  await ada.locator("#hold").click();
  await card(ada).getByText("On hold: D1 and D2").waitFor();
  await statusOf(bob, "D1", "held");
  await card(ada).getByText("The hold has ended: D1 and D2").waitFor();
  await Promise.all([statusOf(ada, "D1", "available"), statusOf(bob, "D2", "available")]);
});
