// Browsers: the gRPC-Web protocol, which a proxy such as Envoy translates.
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { buySeats } from "./buySeats.js";

/** Buys seats by the proxy at a URL, such as https://cinema.example, and passes each step on to a function. */
export function buySeatsFromBrowser(baseUrl: string, report: (step: string) => void): Promise<void> {
  return buySeats(createGrpcWebTransport({ baseUrl }), report);
}
