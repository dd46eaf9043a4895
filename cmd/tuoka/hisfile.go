package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/fhir"
	"github.com/tuoka/tuoka/adapters/his/soap"
	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// readMapping reads a vendor's mapping; without a file that of the sandbox's vendor.
func readMapping(path string) (*soap.Mapping, error) {
	text, err := configs.FS.ReadFile("his-soap.yaml")
	if path != "" {
		text, err = os.ReadFile(path) //nolint:gosec // the operator's own file
	}
	if err != nil {
		return nil, err
	}
	return soap.ParseMapping(text)
}

// readProfile reads a FHIR server's profile; without a file that of the sandbox's.
func readProfile(path string) (*fhir.Profile, error) {
	text, err := configs.FS.ReadFile("his-fhir.yaml")
	if path != "" {
		text, err = os.ReadFile(path) //nolint:gosec // the operator's own file
	}
	if err != nil {
		return nil, err
	}
	return fhir.ParseProfile(text)
}

// explainer is a mapping or a profile, which tells how a sample answer is read.
type explainer interface {
	Explain(operation string, asked, body []byte) (his.Explained, error)
}

// readExplainer reads a mapping or a profile, whichever the file is, and its name; without a file, that of the sandbox's HIS which speaks so.
func readExplainer(path, speaks string) (explainer, string, error) {
	text := []byte(nil)
	if path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil { //nolint:gosec // the operator's own file
			return nil, "", err
		}
	}
	if profiled.Match(text) || (path == "" && speaks == "fhir") {
		p, err := readProfile(path)
		if err != nil {
			return nil, "", err
		}
		return p, p.Name, nil
	}
	m, err := readMapping(path)
	if err != nil {
		return nil, "", err
	}
	return m, m.Name, nil
}

// profiled is what a profile has and a mapping has not.
var profiled = regexp.MustCompile(`(?m)^shapes:`)

// fhirServer makes the client of a HIS that is a FHIR server.
func (h *house) fhirServer(of *config.Institution, s *secrets, common his.Config, token sensitive.Key, wire http.RoundTripper) (*his.Client, error) {
	in := of.FHIR
	profile, err := readProfile(in.Profile)
	if err == nil && of.Link != nil {
		if lacks := profile.Links(); lacks != nil {
			err = fmt.Errorf("his_insurance needs all of insurance/*: %w", lacks)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("his_fhir.profile_file: %w", err)
	}
	if in.Certificate != "" || in.CA != "" {
		if wire, err = known(in, s.read("his_fhir.client_key_file", in.Key)); err != nil {
			return nil, fmt.Errorf("his_fhir: %w", err)
		}
	}
	client, err := fhir.New(fhir.Config{Config: common, BaseURL: in.BaseURL, Profile: profile, Token: token}, wire)
	if err != nil {
		return nil, err
	}
	return client.Client, nil
}

// known is a wire on which we show our certificate, and believe servers that the hospital's own authority signed.
func known(in *config.HISFHIR, key sensitive.Key) (http.RoundTripper, error) {
	own, ok := transport().(*http.Transport)
	if !ok {
		return nil, errors.New("this wire has no TLS")
	}
	own.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if in.Certificate != "" {
		certificate, err := os.ReadFile(in.Certificate)
		if err != nil {
			return nil, fmt.Errorf("client_certificate_file: %w", err)
		}
		pair, err := tls.X509KeyPair(certificate, []byte(key.Reveal()))
		if err != nil {
			return nil, errors.New("client_certificate_file and client_key_file are no pair")
		}
		own.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if in.CA != "" {
		text, err := os.ReadFile(in.CA)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		own.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !own.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New("ca_file has no certificate in it")
		}
	}
	return own, nil
}
