// Package configs carries the configuration files that the binary starts with when it is given none.
package configs

import "embed"

// FS holds sandbox.yaml, example.yaml, his-soap.yaml and his-fhir.yaml (the examples of a vendor and of a FHIR server), and his-certify.yaml (what a HIS
// under test offers), and bank/, the examples of how banks write their statements.
//
//go:embed sandbox.yaml example.yaml his-soap.yaml his-fhir.yaml his-certify.yaml bank
var FS embed.FS
