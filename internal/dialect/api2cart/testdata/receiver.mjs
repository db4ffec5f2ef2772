// The vendor's PHP in JavaScript, step by step.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

// phpEncode is PHP's json_encode of an object of texts.
function phpEncode(headers) {
  if (Object.keys(headers).length === 0) return "[]";
  return JSON.stringify(headers)
    .replaceAll("/", "\\/")
    .replace(/[\u0080-\uffff]/g, (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"));
}

function authentic(rawHeaders, body, storeKey) {
  const gathered = [];
  let signature = "";
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name, value] = [rawHeaders[i], Buffer.from(rawHeaders[i + 1], "latin1").toString("utf8")];
    if (name === "X-Webhook-Signature") signature = value;
    else if (name.startsWith("X-Webhook-")) gathered.push([name, value]);
  }
  gathered.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const mac = createHmac("sha256", storeKey).update(phpEncode(Object.fromEntries(gathered)), "utf8").update(body);
  const want = Buffer.from(mac.digest("base64"));
  const got = Buffer.from(signature);
  return got.length === want.length && timingSafeEqual(got, want);
}

const [host, port] = process.env.ADDR.split(":");
createServer((req, res) => {
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", () => {
    res.writeHead(authentic(req.rawHeaders, Buffer.concat(parts), process.env.SECRET) ? 200 : 403);
    res.end();
  });
}).listen(port, host);
