package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"grapnel/internal/config"
)

type systemdUnitCmd struct {
	Socket  bool   `help:"Print the socket unit instead, which opens the port before the server runs and keeps it over restarts."`
	Program string `placeholder:"FILE" help:"The program to start (default: this one if it is below /usr or /opt, else /usr/local/bin/grapnel)."`
	Listen  string `default:":8080" placeholder:"ADDR" help:"Address to listen on, which names the port in the socket unit, and gives the service the right to one below 1024 (default ${default})."`
	Config  string `placeholder:"FILE" help:"Settings file that the server reads, such as /etc/grapnel/grapnel.yaml."`
}

// Help gives examples.
func (*systemdUnitCmd) Help() string {
	return `The unit runs grapnel serve as a user of its own that exists while it runs, with its data in
/var/lib/grapnel and nothing else to write to. Secrets and further settings go into
/etc/grapnel/grapnel.env, one GRAPNEL_NAME=value a line, which need not exist. It goes before
what the unit says itself. No setting of this shell goes into the unit.

Examples:

    grapnel systemd-unit > grapnel.service
    grapnel systemd-unit --socket --listen 0.0.0.0:443 > grapnel.socket
    grapnel systemd-unit --program /usr/bin/grapnel --config /etc/grapnel/grapnel.yaml`
}

// serviceUnit is the unit of the server. %[1]s is the command, %[2]s the
// capability that a port below 1024 needs, %[3]s the settings that the
// environment file may change: flags would go before it.
const serviceUnit = `[Unit]
Description=Grapnel webhook delivery
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart=%[1]s
Environment=%[3]s
EnvironmentFile=-/etc/grapnel/grapnel.env
Restart=on-failure
RestartSec=2
WatchdogSec=30
TimeoutStartSec=120
TimeoutStopSec=60
KillSignal=SIGTERM
LimitNOFILE=65536

DynamicUser=yes
StateDirectory=grapnel
StateDirectoryMode=0700
WorkingDirectory=%%S/grapnel
UMask=0077

AmbientCapabilities=%[2]s
CapabilityBoundingSet=%[2]s
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=prlimit64

[Install]
WantedBy=multi-user.target
`

// socketUnit is the unit that opens the port.
const socketUnit = `[Unit]
Description=Grapnel webhook delivery: the port

[Socket]
ListenStream=%s
NoDelay=yes
Backlog=4096

[Install]
WantedBy=sockets.target
`

// Run prints the unit.
func (c *systemdUnitCmd) Run(p *program) error {
	if err := checkListen(c.Listen); err != nil {
		return err
	}
	text := ""
	if c.Socket {
		text = fmt.Sprintf(socketUnit, listenStream(c.Listen))
	} else {
		command, err := c.command(p)
		if err != nil {
			return err
		}
		text = fmt.Sprintf(serviceUnit, command, c.capability(), c.environment())
	}
	if p.JSON {
		name := "grapnel.service"
		if c.Socket {
			name = "grapnel.socket"
		}
		return p.object(map[string]string{"name": name, "text": text})
	}
	return p.printf("%s", text)
}

func (c *systemdUnitCmd) command(p *program) (string, error) {
	program := c.Program
	if program == "" {
		program = installed
		if self, err := os.Executable(); err == nil && (strings.HasPrefix(self, "/usr/") || strings.HasPrefix(self, "/opt/")) {
			program = self
		} else {
			p.note("note: the unit starts %s: put the program there, or name another with --program (not one in a home or temporary folder, which the unit hides)", installed)
		}
	}
	args := []string{program, "serve"}
	if c.Config != "" {
		args = append(args, "--config", c.Config)
	}
	for flag, path := range map[string]string{"--program": program, "--config": c.Config} {
		if path != "" && !filepath.IsAbs(path) {
			return "", fail(exitUsage, "write it from / on", "%s: %q is no absolute path", flag, path)
		}
	}
	for i, a := range args {
		args[i] = unitQuote(a)
	}
	return strings.Join(args, " "), nil
}

// installed is where the unit looks for a program that it cannot start where it
// is.
const installed = "/usr/local/bin/grapnel"

// environment is what the service is told besides the environment file. The
// address is only there where it is not what it would be anyway, so that a
// settings file can say another.
func (c *systemdUnitCmd) environment() string {
	settings := "GRAPNEL_DATA=%S/grapnel"
	if c.Listen != config.Serve().Listen {
		settings += " GRAPNEL_LISTEN=" + unitQuote(c.Listen)
	}
	return settings
}

// unitQuote quotes a word of ExecStart where it needs that (systemd.service(5),
// "Command lines").
func unitQuote(s string) string {
	s = strings.NewReplacer("%", "%%", "$", "$$").Replace(s)
	if strings.ContainsAny(s, " \t\"'\\;") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	return s
}

// capability is what the service may do beyond others: nothing, but for ports
// below 1024.
func (c *systemdUnitCmd) capability() string {
	if port := portOf(c.Listen); port > 0 && port < 1024 {
		return "CAP_NET_BIND_SERVICE"
	}
	return ""
}

// listenStream is an address as ListenStream wants it: a port alone for all
// addresses.
func listenStream(listen string) string { return strings.TrimPrefix(listen, ":") }
