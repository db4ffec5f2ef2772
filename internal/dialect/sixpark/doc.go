// Package sixpark is the contract of Six Park: JSON:API bodies that are
// rendered for each webhook, and form posts to manage them with. The numbers
// SP-… are those of the requirement list.
package sixpark
