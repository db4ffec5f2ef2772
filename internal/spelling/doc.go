// Package spelling finds the word that a mistyped one stands for.
package spelling
