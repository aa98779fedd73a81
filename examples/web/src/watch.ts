// A showtime's seats, live: WatchSeats, again and again from where the last stream ended.
import { Code, ConnectError } from "@connectrpc/connect";
import type { WatchSeatsResponse } from "../gen/cinema/v1/showtime_service_pb";
import { pause, showtimes } from "./api";

/** Milliseconds without a frame after which the connection is dead: the server sends one at least every 15 seconds. */
const LONGEST_SILENCE = 20_000;

/** What a watcher is told. */
export interface Watcher {
  frame(frame: WatchSeatsResponse): void;
  /** Whether frames come; false while the connection is down. */
  live(isLive: boolean): void;
  /** The showtime was cancelled or is over, or does not exist. */
  ended(): void;
}

/** Watch a showtime until `signal` ends it. */
export async function watchSeats(showtimeId: string, watcher: Watcher, signal: AbortSignal): Promise<void> {
  let afterRevision = 0n;
  for (let failures = 0; !signal.aborted; failures++) {
    const silence = new AbortController();
    const wait = () => setTimeout(() => silence.abort(), LONGEST_SILENCE);
    let timer = wait();
    try {
      const options = { signal: AbortSignal.any([signal, silence.signal]), timeoutMs: 0 }; // a stream has no deadline
      for await (const frame of showtimes.watchSeats({ showtimeId, afterRevision }, options)) {
        clearTimeout(timer);
        timer = wait();
        afterRevision = frame.revision;
        failures = 0;
        watcher.frame(frame);
        watcher.live(true);
      }
      if (!signal.aborted) watcher.ended();
      return; // OK: cancelled, or over
    } catch (error) {
      if (signal.aborted) return;
      if (ConnectError.from(error).code === Code.NotFound) return watcher.ended();
      watcher.live(false);
      await pause(Math.min(500 * 2 ** failures, 10_000) * (0.5 + Math.random() / 2));
    } finally {
      clearTimeout(timer);
    }
  }
}
