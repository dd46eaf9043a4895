// Package configs carries the configuration files that the binary starts with when it is given none.
package configs

import "embed"

// FS holds sandbox.yaml and example.yaml.
//
//go:embed sandbox.yaml example.yaml
var FS embed.FS
