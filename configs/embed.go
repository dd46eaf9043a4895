// Package configs carries the configuration files that the binary starts with when it is given none.
package configs

import "embed"

// FS holds sandbox.yaml, example.yaml and his-soap.yaml, the example of a vendor.
//
//go:embed sandbox.yaml example.yaml his-soap.yaml
var FS embed.FS
