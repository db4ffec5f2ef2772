package main

import (
	"strconv"
	"strings"
	"time"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/explain"
	"grapnel/internal/hook"
	"grapnel/internal/serve"
	"grapnel/verify"
)

// explain prints what verify --explain finds.
func (c *verifyCmd) explain(p *program, d *dialect.Dialect, secrets []hook.Secret, r *wireRequest, at time.Time) error {
	in := explain.Input{Dialect: d, Method: r.method, URL: r.url, Header: r.asCame, Body: r.body, At: at, Tolerance: verify.Tolerance}
	for i, s := range secrets {
		in.Secrets = append(in.Secrets, explain.Secret{Name: secretName(c.SecretFile[i], i+1), Value: s})
	}
	if registry, err := serve.Dialects(); err == nil {
		for _, name := range registry.Names() {
			other, _ := registry.Get(name)
			in.Others = append(in.Others, other)
		}
	}
	report := explain.Explain(in)
	if r.missing > 0 {
		report.Checks = append(report.Checks, explain.Check{Name: "body", Result: explain.Warning,
			Detail: "Content-Length is " + r.header.Get("Content-Length") + ": the body is not all there, or was changed"})
	}
	print := printReport
	if p.JSON {
		print = func(p *program, r *explain.Report) error { return p.object(r) }
	}
	if err := print(p, report); err != nil {
		return err
	}
	if !report.Valid && !p.JSON {
		return fail(exitSignature, "", "webhook not verified") // why has been said
	}
	if !report.Valid {
		return fail(exitSignature, report.Advice, "webhook not verified: %s", plain(report.Summary))
	}
	return nil
}

func printReport(p *program, r *explain.Report) error {
	t := p.newTable("CHECK", "RESULT", "WHAT WAS FOUND")
	for _, c := range r.Checks {
		if err := t.row(c.Name, string(c.Result), c.Detail); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	if len(r.Signatures) > 0 {
		if err := printSignatures(p, r); err != nil {
			return err
		}
	}
	for _, m := range r.Mistakes {
		if err := p.section("Found: " + string(m.Mistake)); err != nil {
			return err
		}
		if err := p.printf("%s.\n%s.\n", plain(sentence(m.Detail)), plain(sentence(m.Advice))); err != nil {
			return err
		}
	}
	if len(r.Mistakes) > 0 && !strings.Contains(r.Summary, "looks like") {
		return nil
	}
	if err := p.section("Result"); err != nil {
		return err
	}
	for _, text := range []string{r.Summary, r.Advice} {
		if text == "" {
			continue
		}
		if err := p.printf("%s.\n", plain(sentence(text))); err != nil {
			return err
		}
	}
	return nil
}

func printSignatures(p *program, r *explain.Report) error {
	if err := p.section("Signatures"); err != nil {
		return err
	}
	t := p.newTable("HEADER", "NO", "SIGNATURE", "FORM", "FITS")
	for _, s := range r.Signatures {
		form := s.Kind
		if form == "" {
			form = s.Problem
		}
		var fits []string
		for _, f := range s.Secrets {
			if f.Fits {
				fits = append(fits, f.Secret)
			}
		}
		if len(fits) == 0 {
			fits = []string{"no secret"}
		}
		if err := t.row(s.Header, strconv.Itoa(s.Number), s.Text, form, strings.Join(fits, ", ")); err != nil {
			return err
		}
	}
	return t.end()
}

// sentence begins a text with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
