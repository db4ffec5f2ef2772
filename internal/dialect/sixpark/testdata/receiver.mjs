// A receiver by the words of the vendor's page, one that looks for the header in
// the case in which the page prints it.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const [host, port] = process.env.ADDR.split(":");

function genuine(rawHeaders, body) {
  const at = rawHeaders.findIndex((name, i) => i % 2 === 0 && name === "X-SixPark-Signature");
  if (at < 0) return false;
  const want = Buffer.from(createHmac("sha256", process.env.SECRET).update(body).digest("hex"));
  const given = Buffer.from(rawHeaders[at + 1]);
  return given.length === want.length && timingSafeEqual(given, want);
}

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    response.statusCode = genuine(request.rawHeaders, body) && JSON.parse(body).data.attributes.even_type ? 200 : 401;
    response.end();
  });
}).listen(Number(port), host);
