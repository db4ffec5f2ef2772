package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

// confirm lets a command that destroys something go on: with yes at once, on a
// terminal after the person there has agreed, and otherwise not. what says what
// would be done, such as "delete the tenant acme".
func (p *program) confirm(what string, yes bool) error {
	if yes {
		return nil
	}
	if !terminal(p.stdin) || !terminal(p.stderr) {
		return fail(exitUsage, "add --yes to do it", "this would %s, and there is no terminal to ask at", what)
	}
	fmt.Fprintf(p.stderr, "This will %s. Go on? [y/N] ", plain(what))
	answer, err := bufio.NewReader(p.stdin).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(p.stderr)
	}
	if errors.Is(err, errInterrupted) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return fail(exitFailure, "", "nothing was done")
}
