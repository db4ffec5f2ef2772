package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"grapnel/internal/config"
)

// TestPasswordInURL has no password of a URL shown, neither as a value nor in a
// complaint.
func TestPasswordInURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://me:hunter2@proxy:3128":    "http://[secret]@proxy:3128",
		"https://me:hunter2@example.com/": "https://[secret]@example.com/",
		"http://me:hunter2@proxy:%zz":     "http://[secret]@proxy:%zz",
		"http://me:a@b/hunter2@proxy":     "http://[secret]@proxy",
		"ftp://me:hunter2@proxy":          "ftp://[secret]@proxy",
		"me:hunter2@proxy:3128":           "[secret]@proxy:3128",
		"http://proxy:3128":               "http://proxy:3128",
	} {
		c := config.Serve()
		c.EgressProxy, c.PublicURL = raw, raw
		shown := map[string]string{}
		for _, v := range c.Values(nil) {
			shown[v.Name] = v.Text
		}
		for _, name := range []string{"egress-proxy", "public-url"} {
			if shown[name] != want {
				t.Errorf("%s is shown as %q, want %q", name, shown[name], want)
			}
		}
		if err := c.Validate(nil); err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the complaint has the password: %v", err)
		}
	}
}

// case 105: a database's URL is shown without its password, whatever that holds.
func TestPasswordOfTheStore(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"postgres://me:hunter2@h/d":                           "postgres://me:[secret]@h/d",
		"postgres://me:hunt?er#2@h/d?sslmode=require":         "postgres://me:[secret]@h/d?sslmode=require",
		"postgres://me:hunt@e?r@h/d":                          "postgres://me:[secret]@h/d",
		"postgres://h/d?user=me&password=hun@ter2&sslmode=no": "postgres://h/d?user=me&password=[secret]&sslmode=no",
		"postgres://me:hunt/er?2@h/d":                         "postgres://me:[secret]@h/d",
		"postgres://h:5432/d?user=me@azure":                   "postgres://h:[secret]@azure", // rather too much
		"postgres://me:p@h/d?user=me@azure":                   "postgres://me:[secret]@azure",
		"postgres://me@azure:hunt?er2@h/d":                    "postgres://me@azure:[secret]@h/d",
		"postgres://h:5432/d?password=hun@ter2&sslmode=no":    "postgres://h:[secret]&sslmode=no",
		"postgres://me:hunter2@h/d?a=b&sslpassword=hunter2":   "postgres://me:[secret]@h/d?a=b&sslpassword=[secret]",
		"postgres://me@h/d":                                   "postgres://me@h/d",
	} {
		if got := (&config.Config{Store: raw}).ShownStore(); got != want {
			t.Errorf("%s is shown as %s, want %s", raw, got, want)
		}
	}
}

// case 105: settings as a whole show nothing of themselves, wherever they are printed.
func TestSettingsHideThemselves(t *testing.T) {
	t.Parallel()
	c := config.Config{AdminKey: "canary", SecretKey: "canary", ProxyAuth: "u:canary", Store: "postgres://u:canary@h/d"}
	text, err := json.Marshal(struct{ C config.Config }{c})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "c", c, "p", &c)
	for _, out := range []string{string(text), log.String(), fmt.Sprintf("%v %+v %#v %s %d %v", c, c, c, c, c, &c), fmt.Sprintf("%+v", struct{ C config.Config }{c})} {
		if strings.Contains(out, "canary") || !strings.Contains(out, "[settings]") {
			t.Errorf("seen: %s", out)
		}
	}
}
