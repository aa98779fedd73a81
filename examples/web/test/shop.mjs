// `make demo-web`, and customers with a Chromium each. Nothing is mocked: the page calls the server through Envoy.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.CHROMIUM ?? PLACES.find(existsSync);
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const PATIENCE = 60_000; // milliseconds; the machine may be busy

/** The demo, and the browsers that call it. */
export class Shop {
  #browsers = [];

  #lines;

  /** Start the demo, or another program that starts it, with settings of the server. */
  async open(settings = {}, program = "demo.py") {
    assert.ok(executablePath, "Chromium is needed: apt install chromium, or CHROMIUM=/path/to/it");
    const python = process.env.PYTHON ?? "../../.venv/bin/python";
    const options = { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...settings } };
    this.demo = spawn(python, [program, "--port", "0"], options);
    this.#lines = createInterface({ input: this.demo.stdout })[Symbol.asyncIterator]();
    this.address = /http:\S+/.exec(await this.#read())[0];
  }

  /** Have test/restarts.py stop or start "cinema" or "envoy". */
  async tell(order) {
    this.demo.stdin.write(`${order}\n`);
    assert.equal(await this.#read(), order);
  }

  async #read() {
    const { value, done } = await this.#lines.next();
    assert.ok(!done, "the demo has ended");
    return value;
  }

  /** Close the browsers, and end the demo as Ctrl-C does. */
  async close() {
    await Promise.all(this.#browsers.map((browser) => browser.close()));
    if (this.demo !== undefined) await this.end();
  }

  /** End the demo as Ctrl-C does; returns its exit code. */
  async end() {
    const ended = new Promise((resolve) => this.demo.once("exit", resolve));
    return this.demo.kill("SIGINT") ? ended : this.demo.exitCode; // it may have ended before
  }

  /** Open a browser with an empty page, and with further arguments. */
  async newPage(viewport = { width: 1280, height: 800 }, args = []) {
    const browser = await chromium.launch({ executablePath, args: [...QUIET, ...args] });
    this.#browsers.push(browser);
    const page = await browser.newPage({ viewport, colorScheme: "light", deviceScaleFactor: 1 });
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", (error) => assert.fail(error));
    return page;
  }

  /** Open the showtime of the Grand Hall with the fewest free seats, and wait until it is live. */
  async showBusyShowtime(page) {
    await page.goto(this.address);
    await page.locator("#live[data-live=true]").waitFor();
    const shown = await page.locator("#showtime option").allTextContents();
    const free = (text) => Number(/\((\d+) free\)/.exec(text)[1]);
    const [label] = shown.filter((text) => text.includes("Grand Hall")).sort((one, other) => free(one) - free(other));
    const watched = page.waitForResponse(/WatchSeats$/); // the seats of the showtime before are gone by then
    await page.locator("#showtime").selectOption({ label });
    await watched;
    await statusOf(page, "E11", "sold");
  }
}

export const seat = (page, label) => page.locator(`#map [data-seat=${label}]`);
export const statusOf = (page, label, status) => page.locator(`[data-seat=${label}][data-status=${status}]`).waitFor();
export const button = (page, name) => page.getByRole("button", { name, exact: true });
export const card = (page) => page.locator(".booking").first();
export const words = (page) => page.locator("#notice");

export async function choose(page, labels) {
  for (const label of labels) await seat(page, label).click();
  for (const label of labels) assert.equal(await seat(page, label).getAttribute("aria-pressed"), "true");
}
