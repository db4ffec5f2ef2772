// Does what Zapier, Make and n8n do with the definitions of automation.md, against a
// server: node automation.mjs PAGE URL KEY. What the platforms lend to a definition,
// such as z.request, is played here; the server and the requests are real.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';

const [page, url, key] = process.argv.slice(2);
const text = readFileSync(page, 'utf8');
const connection = { url, tenant: 'acme', key };
const type = 'invoice.paid';

const blocks = (language) => [...text.matchAll(new RegExp('^```' + language + '\\n([^]*?)^```$', 'gm'))].map((m) => m[1]);

// load runs a definition as the module that it is.
function load(name) {
  const source = blocks('js').find((b) => b.startsWith(`// ${name}:`));
  assert.ok(source, `no definition of ${name} in the page`);
  const module = { exports: {} };
  new Function('module', source)(module);
  return module.exports;
}

async function send(method, address, { query, headers, body } = {}) {
  const to = new URL(address);
  for (const [name, value] of Object.entries(query ?? {})) to.searchParams.set(name, value);
  const response = await fetch(to, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${address}: ${response.status} ${answer}`);
  return { status: response.status, data: answer === '' ? undefined : JSON.parse(answer) };
}

const admin = (method, path, body) => send(method, url + path, { headers: { Authorization: `Bearer ${key}` }, body });

// platform is where a platform's webhooks arrive. Each has its own address.
class Platform {
  static async start() {
    const p = new Platform();
    p.got = [];
    p.waiting = [];
    p.status = 200;
    p.server = createServer(async (req, res) => {
      let body = '';
      for await (const part of req) body += part;
      res.writeHead(p.status).end();
      p.got.push({ path: req.url, body: JSON.parse(body) });
      p.waiting.splice(0).forEach((wake) => wake());
    });
    p.server.listen(0, '127.0.0.1');
    await once(p.server, 'listening');
    return p;
  }

  address(path) {
    return `http://127.0.0.1:${this.server.address().port}${path}`;
  }

  async arrived(path, invoice) {
    for (;;) {
      const found = this.got.find((g) => g.path === path && g.body.data.invoice === invoice);
      if (found) return found.body;
      await new Promise((wake) => this.waiting.push(wake));
    }
  }
}

const z = {
  request: async ({ method = 'GET', url, params, headers, body }) => send(method, url, { query: params, headers, body }),
};

function zapier() {
  const { operation } = load('zapier');
  const bundle = { authData: connection };
  assert.equal(operation.type, 'hook');
  return {
    subscribe: async (targetUrl) => (bundle.subscribeData = await operation.performSubscribe(z, { ...bundle, targetUrl })),
    samples: () => operation.performList(z, bundle),
    receive: (body) => operation.perform(z, { ...bundle, cleanedRequest: body })[0],
    unsubscribe: () => operation.performUnsubscribe(z, bundle),
  };
}

// fill puts values into Make's {{places}}; a text that is one place alone becomes what stands there.
function fill(value, scope) {
  const at = (path) => path.trim().split('.').reduce((of, name) => of[name], scope);
  if (typeof value === 'string') {
    const whole = value.match(/^{{([^{}]*)}}$/);
    return whole ? at(whole[1]) : value.replace(/{{([^{}]*)}}/g, (_, path) => at(path));
  }
  if (Array.isArray(value)) return value.map((v) => fill(v, scope));
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fill(v, scope)]));
  return value;
}

function make() {
  const parts = blocks('json').map((b) => JSON.parse(b)).find((p) => p.attach);
  const scope = { connection, webhook: {} };
  const run = async ({ url, method, qs, headers, body, response }) => {
    const request = fill({ url, method, qs, headers, body }, scope);
    const { data } = await send(request.method, request.url, { query: request.qs, headers: request.headers, body: request.body });
    return { data, response };
  };
  return {
    subscribe: async (address) => {
      scope.webhook.url = address;
      const { data, response } = await run(parts.attach);
      Object.assign(scope.webhook, fill(response.data, { ...scope, body: data }));
      return { id: scope.webhook.externalHookId };
    },
    samples: async () => {
      const { data, response } = await run(parts.samples);
      return fill(response.iterate, { body: data }).map((item) => fill(response.output, { item }));
    },
    receive: (body) => body,
    unsubscribe: () => run(parts.detach),
  };
}

function n8n() {
  const { InvoicePaidTrigger } = load('n8n');
  const node = new InvoicePaidTrigger();
  const kept = {};
  let address, body;
  const self = {
    getCredentials: async () => connection,
    getNodeWebhookUrl: () => address,
    getWorkflowStaticData: () => kept,
    getBodyData: () => body,
    helpers: { httpRequest: async ({ method, url, headers, body }) => (await send(method, url, { headers, body })).data },
  };
  const methods = node.webhookMethods.default;
  return {
    subscribe: async (to) => {
      address = to;
      assert.equal(await methods.checkExists.call(self), false);
      assert.equal(await methods.create.call(self), true);
      const { endpoint } = kept;
      delete kept.endpoint;
      assert.equal(await methods.checkExists.call(self), true); // a restart of n8n finds it again
      assert.equal(kept.endpoint, endpoint);
      return { id: endpoint };
    },
    receive: async (got) => {
      body = got;
      return (await node.webhook.call(self)).workflowData[0][0].json;
    },
    unsubscribe: () => methods.delete.call(self),
  };
}

await admin('PUT', '/v1/tenants/acme', {});
await admin('PUT', `/v1/event-types/${type}`, { sample: { invoice: 17, total: 90 } });
const platform = await Platform.start();
const publish = (invoice) => admin('POST', '/v1/tenants/acme/events', { type, data: { invoice, total: 90 } });
const shape = (v) => (v && typeof v === 'object' ? Object.fromEntries(Object.entries(v).map(([k, w]) => [k, shape(w)])) : typeof v);

let invoice = 100;
for (const [name, as] of Object.entries({ zapier, make, n8n })) {
  const path = `/${name}`;
  const p = as();
  const { id } = await p.subscribe(platform.address(path));
  assert.ok(id, `${name}: no id`);
  await publish(++invoice);
  const body = await p.receive(await platform.arrived(path, invoice));
  assert.deepEqual(body.data, { invoice, total: 90 });
  if (p.samples) {
    const samples = await p.samples();
    assert.ok(samples.length > 0, `${name}: no samples`);
    for (const s of samples) assert.deepEqual(shape(s), shape(body), `${name}: a sample has another shape than what is delivered`);
    assert.deepEqual(samples[0].data, body.data);
  }
  await p.unsubscribe();
  await assert.rejects(admin('GET', `/v1/tenants/acme/endpoints/${id}`), /: 404 /);
  const { status } = await admin('DELETE', `/v1/tenants/acme/endpoints/${id}`);
  assert.equal(status, 204, `${name}: unsubscribed twice`);
  console.log(`${name}: ok`);
}

// Two workflows on one type both get it; one that is gone answers 410 (ZP-2, ZP-3).
const [one, two] = [zapier(), zapier()];
await one.subscribe(platform.address('/one'));
const { id } = await two.subscribe(platform.address('/two'));
await publish(++invoice);
await Promise.all([platform.arrived('/one', invoice), platform.arrived('/two', invoice)]);
await one.unsubscribe();
platform.status = 410;
await publish(++invoice);
await platform.arrived('/two', invoice);
for (;;) {
  const { data } = await admin('GET', `/v1/tenants/acme/endpoints/${id}`);
  if (data.state === 'disabled') break;
  await new Promise((wake) => setTimeout(wake, 20));
}
console.log('gone: ok');
platform.server.close();
