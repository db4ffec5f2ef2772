//go:build unix

package pgserver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// credential is who runs the server: the user postgres if we run as root,
// whom PostgreSQL refuses.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// giveAway makes a file that of who runs the server.
func giveAway(path string) error {
	who, err := credential()
	if err != nil || who == nil {
		return err
	}
	return os.Chown(path, int(who.Uid), int(who.Gid))
}

// attributes are those of PostgreSQL's programs. They have a group of their own:
// an interrupt from the keyboard is for who started them, and ends them then.
func attributes() (*syscall.SysProcAttr, error) {
	who, err := credential()
	return &syscall.SysProcAttr{Credential: who, Setpgid: true}, err
}
