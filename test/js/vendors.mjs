// Reads requests as NDJSON from standard input, verifies each with the library
// of the vendor whose signatures it has, and writes one line {"case":…,
// "ok":…,"error":…} for each. A request is {"case", "library", "secret", "at"
// (Unix seconds), "url", "headers" (names in lower case), "body" (base64)}.
// "ok": false is a refusal; what is no refusal has an error besides.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { verify as verifySHA256 } from "@octokit/webhooks-methods";
import { createVerifier, httpbis } from "http-message-signatures";
import Stripe from "stripe";

const require = createRequire(import.meta.url);
const { verify: verifySHA1 } = require("@octokit/webhooks-methods-sha1");
const { verifyRequestSignature } = require("@slack/events-api");
const { WebhooksHelper } = require("square");
const twilio = require("twilio");
require("@shopify/shopify-api/adapters/node");
const { LogSeverity, shopifyApi } = require("@shopify/shopify-api");

const stripe = new Stripe("sk_test_none");

// refusal runs a verifier that throws, and tells its refusals from its crashes.
function refusal(verify, matches) {
  try {
    verify();
    return true;
  } catch (error) {
    if (matches(error)) return false;
    throw error;
  }
}

// members are those of a form, a list where a name comes several times.
function members(form) {
  const out = {};
  for (const [name, value] of new URLSearchParams(form)) {
    out[name] = name in out ? [out[name], value].flat() : value;
  }
  return out;
}

const libraries = {
  stripe: (r, body) =>
    refusal(
      () => stripe.webhooks.constructEvent(body, r.headers["stripe-signature"], r.secret, 300, undefined, r.at * 1000),
      (error) => error instanceof Stripe.errors.StripeSignatureVerificationError,
    ),
  "github sha256": (r, body) => verifySHA256(r.secret, body.toString(), r.headers["x-hub-signature-256"]),
  "github sha1": (r, body) => verifySHA1(r.secret, body.toString(), r.headers["x-hub-signature"]),
  shopify: async (r, body) => {
    const shopify = shopifyApi({
      apiKey: "key",
      apiSecretKey: r.secret,
      hostName: "receiver.example",
      apiVersion: "2024-07",
      isEmbeddedApp: false,
      logger: { level: LogSeverity.Error },
    });
    const result = await shopify.webhooks.validate({
      rawBody: body.toString(),
      rawRequest: { method: "POST", url: "/", headers: r.headers },
      rawResponse: {},
    });
    if (!result.valid && result.reason !== "invalid_hmac") throw new Error(result.reason + " " + result.missingHeaders);
    return result.valid;
  },
  slack: (r, body) =>
    refusal(
      () =>
        verifyRequestSignature({
          signingSecret: r.secret,
          requestSignature: r.headers["x-slack-signature"],
          requestTimestamp: r.headers["x-slack-request-timestamp"],
          body: body.toString(),
        }),
      (error) => error.code === "SLACKHTTPHANDLER_REQUEST_SIGNATURE_VERIFICATION_FAILURE",
    ),
  "twilio form": (r, body) =>
    twilio.validateRequest(r.secret, r.headers["x-twilio-signature"], r.url, members(body.toString())),
  "twilio json": (r, body) =>
    twilio.validateRequestWithBody(r.secret, r.headers["x-twilio-signature"], r.url, body.toString()),
  square: (r, body) =>
    WebhooksHelper.isValidWebhookEventSignature(
      body.toString(),
      r.headers["x-square-hmacsha256-signature"],
      r.secret,
      r.url,
    ),
  // There is no library of REST Hooks: this is what its readers write.
  resthooks: (r, body) => {
    const want = Buffer.from(createHmac("sha256", r.secret).update(body).digest("hex"));
    const got = Buffer.from(r.headers["x-hook-signature"]);
    return got.length === want.length && timingSafeEqual(got, want);
  },
  // The library knows RFC 9421; the digest of RFC 9530 is the receiver's to compare.
  rfc9421: async (r, body) => {
    const digest = createHash("sha256").update(body).digest("base64");
    if (r.headers["content-digest"] !== `sha-256=:${digest}:`) return false;
    const verify = createVerifier(Buffer.from(r.secret, "base64"), "hmac-sha256");
    const config = {
      keyLookup: async ({ keyid }) => ({ id: keyid, algs: ["hmac-sha256"], verify }),
      requiredFields: ["@method", "@target-uri", "content-digest"],
      requiredParams: ["created", "keyid"],
      maxAge: 300,
      tolerance: 300,
    };
    try {
      return (await httpbis.verifyMessage(config, { method: "POST", url: r.url, headers: r.headers })) === true;
    } catch (error) {
      if (error.name === "ExpiredError" || error.constructor.name === "ExpiredError") return false;
      throw error;
    }
  },
  // Nobody's own: what its readers write.
  stamped: (r, body) => {
    const key = Buffer.from(r.secret, "hex");
    const mac = (hash, text) => createHmac(hash, key).update(text).update(body).digest("base64url");
    const time = r.headers["x-time"];
    const [t, ...signatures] = r.headers["x-signature"].split(",");
    const at = Number(t.slice("t=".length));
    return (
      Math.abs(Date.now() - Date.parse(time)) < 300_000 &&
      Math.abs(Date.now() - at) < 300_000 &&
      r.headers["x-signature-time"] === "v0=" + mac("sha256", `v0:${time}:${r.headers["x-event-time"]}:`) &&
      signatures.includes("v1=" + mac("sha512", `${at}.`))
    );
  },
};

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const request = JSON.parse(line);
  Date.now = () => request.at * 1000; // libraries ask the clock; the corpus has its own time
  const result = { case: request.case, ok: false };
  try {
    result.ok = await libraries[request.library](request, Buffer.from(request.body, "base64"));
  } catch (error) {
    result.error = `${error.name}: ${error.message}`;
  }
  process.stdout.write(JSON.stringify(result) + "\n");
}
