// Package telemetry makes the process visible from outside: the Prometheus
// metrics with their names, the traces, and the logger. It knows no other room;
// whoever has a number hands it in.
//
// No metric carries a tenant, an endpoint or a URL: their number has no bound,
// and /metrics is not a place to show customers. A trace may carry ids, never
// what was published, where it goes, or what came back.
package telemetry
