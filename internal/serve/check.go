package serve

import (
	"errors"
	"log/slog"
	"time"

	"grapnel/internal/config"
	"grapnel/internal/keyring"
	"grapnel/internal/telemetry"
)

// CheckSettings checks what valid settings hold or name, before anything is
// made: the keys that seal secrets, the operator's dialects, the certificate,
// and what the environment says of traces. Its errors are joined
// *config.Errors, which never quote a secret; from may be nil.
func CheckSettings(settings *config.Config, now func() time.Time, getenv func(string) string, from config.Sources) error {
	var certificate error
	if settings.TLSCert != "" && settings.TLSKey != "" {
		_, err := openCertificate(settings, slog.New(slog.DiscardHandler), now)
		certificate = config.Located(err, from)
	}
	return errors.Join(checkSecretKey(settings), config.Located(checkDialects(settings), from), certificate, checkTracing(getenv))
}

func checkSecretKey(settings *config.Config) error {
	if settings.SecretKey == "" {
		return nil
	}
	if _, err := keyring.Open(keyring.Source{Env: settings.SecretKey, MustExist: true}); err == nil {
		return nil
	}
	setting := config.EnvSecretKey
	if settings.SecretKeyFile != "" {
		setting = "--secret-key-file"
	}
	return &config.Error{Setting: setting, Source: setting, Reason: "holds no key of 32 bytes in base64",
		Remedy: "make one with openssl rand -base64 32; several stand with commas between them, the newest first"}
}

func checkTracing(getenv func(string) string) error {
	var wrong *telemetry.VariableError
	if errors.As(telemetry.CheckTracing(getenv), &wrong) {
		return &config.Error{Setting: wrong.Variable, Source: wrong.Variable, Reason: wrong.Reason, Remedy: wrong.Remedy}
	}
	return nil
}
