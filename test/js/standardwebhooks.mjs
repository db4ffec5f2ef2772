// Reads requests as NDJSON from standard input, verifies each with the npm
// library standardwebhooks, and writes one line {"case":…,"ok":…,"error":…}
// for each. A request is {"case", "secret", "at" (Unix seconds), "headers",
// "body" (base64)}.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const request = JSON.parse(line);
  Date.now = () => request.at * 1000; // the library asks the clock; the corpus has its own time
  const result = { case: request.case, ok: true };
  try {
    new Webhook(request.secret).verify(Buffer.from(request.body, "base64"), request.headers);
  } catch (error) {
    result.ok = false;
    result.error = `${error.name}: ${error.message}`;
  }
  process.stdout.write(JSON.stringify(result) + "\n");
}
