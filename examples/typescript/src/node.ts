// Node: the gRPC protocol over HTTP/2.
import { createGrpcTransport } from "@connectrpc/connect-node";
import { buySeats } from "./buySeats.js";

const address = process.argv[2];
if (address === undefined) {
  console.error("usage: npm start HOST:PORT");
  process.exit(2);
}
await buySeats(createGrpcTransport({ baseUrl: `http://${address}` }), console.log);
