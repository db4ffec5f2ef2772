// Package smake is the contract of Smake: bodies in PHP's JSON with the payload
// of the API version that the app had when the event occurred, and a REST API
// in two versions to manage webhooks with. The numbers SM-… are those of the
// requirement list.
//
// # Which version a client sees
//
// The API has the shapes of 2021-02-23 and those of 2022-02-01. A request is
// answered in the version of its header X-Api-Version; without one in the app's,
// which is the tenant's api_version, else what its dialect has behind "@"; else
// in 2021-02-23. A version between two has the shapes of the earlier one. None
// of this changes what is delivered: a payload has the version that the app
// itself had when the event occurred (SM-V1).
package smake
