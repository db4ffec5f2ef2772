// Package offline works on a data folder while no server runs on it. What it
// gives has shapes of its own, so that no caller depends on the engine.
package offline
