package postgres

import (
	"fmt"
	"strings"
	"testing"

	"grapnel/internal/config"
)

// case 105: a database's URL is taken or refused, whatever it is, and neither the error
// nor the settings that are shown hold the password.
func FuzzURL(f *testing.F) {
	f.Add("grapnel", "hunter2-secret", "db.example:5432/grapnel?sslmode=require&pool_max_conns=4")
	f.Add("", "p@ss:w/ord?x#y", "/grapnel?host=/var/run")
	f.Add("a b", "%zz%00canary", "[::1]:99999/d")
	f.Add("u", "canary&password=x", "h/d?default_query_exec_mode=nonsense")
	f.Add("u", "canary 123", "h1:1,h2:2/d?target_session_attrs=any&connect_timeout=-1&password=other")
	f.Add("u", "canary\n123", "h/d?pool_max_conns=0&pool_max_conn_lifetime=x")
	f.Fuzz(func(t *testing.T, user, password, place string) {
		if strings.ContainsAny(user, "/?") { // what follows is no password any more
			return
		}
		for _, file := range []string{"passfile", "service", "ssl"} { // which is of the machine
			if strings.Contains(user+password+place, file) {
				return
			}
		}
		address := "postgres://" + user + ":" + password + "@" + place
		secret := len(password) >= 8 && !strings.Contains(user+place, password)
		shown := (&config.Config{Store: address}).ShownStore()
		if secret && strings.Contains(shown, password) {
			t.Errorf("%q is shown as %q", address, shown)
		}
		cfg, err := poolConfig(Options{URL: address, Conns: 8})
		if err != nil {
			if secret && strings.Contains(fmt.Sprintf("%+v", err), password) {
				t.Errorf("%q: the error tells it: %v", address, err)
			}
			return
		}
		// What is taken for the password by the driver is what must not be seen.
		if p := cfg.ConnConfig.Password; len(p) >= 8 && strings.Contains(shown, p) && !strings.Contains(cfg.ConnConfig.Host+cfg.ConnConfig.User+cfg.ConnConfig.Database, p) {
			t.Errorf("%q is shown as %q, and its password is %q", address, shown, p)
		}
		if cfg.MaxConns < 1 || cfg.ConnConfig.ConnectTimeout <= 0 || cfg.ConnConfig.RuntimeParams["application_name"] == "" {
			t.Errorf("%q: %d connections, %s to connect", address, cfg.MaxConns, cfg.ConnConfig.ConnectTimeout)
		}
	})
}
