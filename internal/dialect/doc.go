// Package dialect says what a wire contract is: how an event looks as a
// request to one endpoint, how it is signed, what an answer means, and when to
// try again. A contract is a file, dialect.yaml; this package reads such files
// and does what they say. It is pure: bytes and times in, bytes and verdicts
// out.
//
// # The file
//
// Every key is listed here; an unknown one is refused, as is one that would
// do nothing, each with file and line. Anchors, aliases and tags are not used. A
// file has up to 64 KiB of UTF-8, 2000 keys and 64 levels.
//
//	name: standard                # in URLs and settings: a-z 0-9 _ - . @, a letter or a digit first
//	title: Standard Webhooks      # for people
//
//	request:
//	  method: POST                # the default; POST, PUT or PATCH
//	  http: "1.1"                 # only where the contract needs a header's case; the default is any
//	  timeout: 20s                # of a whole attempt
//	  headers:                    # sent in this order and in this case, signatures after them
//	    Content-Type: application/json
//	    User-Agent: Grapnel
//	    webhook-id: "{event.id}"
//	    X-Try: "{attempt.retry|}"  # left out when it comes out empty; see below
//	  query: {hash: "{body.sha256}"}   # what is added to the query of the endpoint's URL
//	  body: {json: …}             # or {form: …}; see below
//
//	events: {client_deleted: client_updated}   # names that differ in the contract: ours to theirs
//	subscription: any             # event types of an endpoint: any | one | all (it cannot choose)
//	catalogue: [client_created]   # the contract's events; without it any may be subscribed to
//	ids: number                   # what the vendor calls an endpoint: own (the default) | number | uuid
//	limits: {endpoints_per_type: 10}   # of one tenant
//	match: {metadata: store_id, setting: store_id, default: "1"}   # an endpoint gets events of its own store alone
//	suppress: true                # a publisher's suppress counts; the default is false
//
//	secret:
//	  owner: endpoint             # endpoint | tenant (one for all endpoints of a tenant)
//	  made: always                # always: made when none is given | optional: unsigned without one | never: the contract knows no secret
//	  forms: [whsec, whsk]        # what a secret looks like; a new one has the first form
//	  new: {bytes: 20, encoding: hex}   # what a new one is; encoding is for the form text alone: hex | base64 | base64url
//	  unique: true                # for tenants alone: no two have the same, so that it finds the tenant
//
//	sign:                         # one entry for each signature header
//	  - header: webhook-signature
//	    over: "{event.id}.{attempt.unix}.{body}"
//	    with:                     # one for each form in secret.forms
//	      - {key: whsec, algorithm: hmac-sha256, encoding: base64, text: "v1,{signature}"}
//	      - {key: whsk, algorithm: ed25519, encoding: base64, text: "v1a,{signature}"}
//	    join: " "                 # between the texts of several keys; without it only the newest key signs
//	    value: "{signatures}"     # the default; around what was joined
//	  - …                         # any number of signatures at once
//
//	success: [2xx]                # statuses that acknowledge
//	success_body: '"ok":true'     # and the text that the answer's body must hold for it; the default is any body
//	retry:
//	  on: any                     # any | none | a list of statuses and no_answer
//	  waits: [5s, 5m, 30m]        # since the previous attempt ended; or:
//	  exponential: {first: 1m, factor: 2, cap: 6h, retries: 12}   # cap, and retries or deadline, as wanted
//	  jitter: 0.2                 # a wait w becomes w to w × 1.2
//	  deadline: 24h               # no retry begins later than this after the first attempt
//	  retry_after_max: 24h        # Retry-After is obeyed between the wait and this; without it, not at all
//
//	answers:                      # what else a status does
//	  disable: [410]              # the endpoint
//	  unsubscribe: [410]          # removes the endpoint
//	  throttle: [429, 502, 504]   # slows the endpoint down
//	on_inactive: hold             # hold | cancel what is waiting while an endpoint is inactive
//
//	sample:                       # an event that fits the contract, for tests of endpoints and for people
//	  type: client_created        # by our name
//	  data: {id: 4711, name: Ada}   # or any other value; it must make a body. Braces are no placeholders here
//	  metadata: {store_id: "1"}   # only where it has some
//	  previous: {id: 4711}        # the data before the change, likewise
//
// A status is a number, a class such as 5xx, or a range such as "500-504".
//
// # Templates
//
// Texts in headers, query, over, text, value and body hold placeholders in
// braces; {{ and }} stand for the braces themselves.
//
//	{event.id} {event.type}       everywhere; the type is the contract's name
//	{event.unix} {event.unix_ms}  everywhere; when the event happened, in Unix seconds and in milliseconds
//	{attempt.unix} {attempt.unix_ms} {attempt.number}   headers, over and value
//	{attempt.time}                headers, over and value; 2006-01-02T15:04:05Z
//	{attempt.retry|default}       headers; 1 at the second attempt, no value at the first
//	{event.entity} {event.action}     headers; before and behind the last dot of the type
//	{event.metadata.PATH|default} {event.data.PATH|default}   headers and body
//	{notice.PATH|default}         headers; of the metadata of the server's own events (grapnel.connection.lost), which no
//	                              publisher can publish; no value in any other event
//	{endpoint.setting.NAME|default} {tenant.setting.NAME|default}   headers and body
//	{endpoint.vendor_id}          headers and body; what the vendor calls the endpoint
//	{tenant.vendor_id}            body; the tenant's setting vendor_id, a number; or its number with us
//	{event.time}                  body; 2006-01-02T15:04:05.000Z
//	{event.time_offset}           body; 2006-01-02T15:04:05+00:00
//	{event.data}                  body; the bytes that were published, or what the tenant's API version makes of them
//	{event.metadata|default}      body; the bytes that were published; the default counts for an empty object too
//	{event.changed}               body; the data's changed_attributes, or the names of the members that differ from the
//	                              previous data: those of the data in its order, then those that went; [] if nothing is known
//	{endpoint.id}                 headers and body
//	{delivery.number} {endpoint.number} {tenant.id} {tenant.number} {public_url}   body
//	{body.sha256} {body.sha256_base64}   headers, query and over; in hex and in base64
//	{body} {request.url} {request.method}   over; the URL includes what query adds
//	{header.NAME}                 over; the value of one of request.headers, as it is sent
//	{header.NAME:TEXT}            over; what stands in it behind the text that it begins with
//	{headers_php_json:PREFIX}     over; see below
//	{form_sorted}                 over; the form's members by their names, each name with its value behind it
//	{signature}                   text
//	{signatures}                  value
//
// A PATH is of names with dots between them. "|default" is the text that
// stands where there is no value: in headers it must be said, and an empty one
// ("|" and nothing) leaves out a header that comes out empty. What data,
// metadata and settings put into a header is made sendable before anything is
// signed: control characters become spaces, bad UTF-8 becomes U+FFFD, and
// white space at the ends goes (A2-S3). Headers see the data as it was
// published.
//
// {headers_php_json:X-Webhook-} is what PHP's json_encode makes of all headers
// of the request whose names begin so, the endpoint's own included and the
// signatures left out, sorted by name; [] where there are none (A2-S1, A2-S2).
//
// What over says must change with the body: it holds {body} or {form_sorted},
// or a hash of the body itself or in a header or the query that it signs.
// It must be readable in one way only: behind a placeholder whose value the
// request tells stands a text such as a dot, or before it if it comes after the
// body. The URL, hashes of the body, {attempt.time} and
// {headers_php_json:PREFIX}, which comes before the body, need none.
//
// # The body
//
// A body is json or form, and of JSON also:
//
//	body:
//	  json: {content: "{event.data}", event: "{event.type}"}
//	  style: verbatim             # the default | compact | js | php
//	  project: true               # {event.data} holds what the endpoint's fields choose; the default is false
//	  id_strings: true            # identifiers in the data are strings; the default is false
//	  only_texts: true            # what lies at a path is a text or a number; the default is false
//	  add:                        # members at the end of the body's object, for some events
//	    - {events: [client_updated], name: changed_attributes, value: "{event.changed}"}
//	  empty_body_for: [grapnel.connection.lost]   # event types, by our names, that have no body at all
//
// The value of json is written as JSON, compact and with its keys in the
// order of the file. A text that is one placeholder alone takes that
// placeholder's own kind: {event.data} becomes the published bytes, what lies
// at a path is JSON as it is there, a number stays a number. So json:
// "{event.data}" sends the object itself. {endpoint.vendor_id} is a number with
// ids: number. Within a longer text a value is its text; null counts as no
// value there, and an object or a list cannot be rendered. The default of what
// is JSON must be JSON where it stands alone: "{event.data.tags|[]}",
// '{event.data.name|"none"}', "{event.data.x|{}}".
//
// A path goes through objects, not through lists. Of a name that stands twice
// in an object the last one counts. Where there is no value and no default the
// body cannot be rendered, and the delivery is held with a sentence about what
// is missing.
//
// A style is how strings and white space are written, the contract's own
// included. verbatim leaves the published bytes as they are, compact leaves out
// white space, js writes as JSON.stringify does, php as PHP's json_encode does
// without flags. None changes the digits of a number, the order of keys, or {}
// into [].
//
// Fields are dotted paths, such as price.value; through a list they choose of
// each element. What they do not name is left out, those that the data does not
// have count for nothing, and force_all means everything, as does no field at
// all. The order is the data's. Objects and lists on a path stand there even if
// nothing of them was chosen, and null stays null; data that is no object and
// no list is sent as it is.
//
// With id_strings a member of the data that is named id or ids, or something
// that ends in _id or _ids, and is a number becomes a string of the same
// digits; if it is a list, the numbers in it do (A2-D2).
//
// With only_texts, true, false, an object and a list at a path cannot be
// rendered, and null counts as no value (SP-D1).
//
// add names the contract's events. It adds nothing where the body has a member
// of that name already, so that a producer's own counts (PS-D2).
//
// The members of a form are texts, written as
// application/x-www-form-urlencoded in the order of the file.
//
// A body never depends on the attempt.
//
// # Secrets
//
// The forms are whsec and whsk of Standard Webhooks (SW-3); text: UTF-8 of any
// length, whose bytes are the key as they are; hex and base64: the key's bytes,
// written so. Of text, hex and base64 a contract has one, since nothing tells
// them apart.
//
// The encodings of signatures are hex, base64, and base64url, which has no
// padding.
//
// # Answers
//
// An answer that lacks the text of success_body is like no answer. Only what
// the server keeps of a body is looked at, which is its beginning.
//
// # Message signatures
//
// Those of RFC 9421 need nothing else: Signature-Input is one of
// request.headers, and the last line of over is {header.Signature-Input:sig1=}.
// In the repository, internal/dialect/dialecttest/interop/testdata/rfc9421.yaml
// is such a contract.
package dialect
