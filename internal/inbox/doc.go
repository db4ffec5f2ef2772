// Package inbox is a webhook receiver to try Grapnel with: it verifies each
// request, answers as it is told to, and keeps the last requests to look at.
// The trial server and the inbox command use it; it plays the customer.
//
// Its verification follows the text of Standard Webhooks 1.0 and shares no
// code with the side that signs, so that "verified" is a second opinion.
package inbox
