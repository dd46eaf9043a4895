// Package migrations holds the schema as numbered pairs of steps, one folder per SQL dialect, embedded in the binary.
//
// All dialects keep the same tables. Ids and amounts in fen are BIGINT; times are BIGINT microseconds since 1970 in UTC, 0 for none
// (columns …_us); marks of what is live or open are 1 or NULL, so that a unique key counts only the living. A file is never edited once
// it has been released: old code must run on the new schema (add, fill, then remove).
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql postgres/*.sql mysql/*.sql
var files embed.FS

// Of is the folder of steps for a dialect: sqlite, postgres or mysql.
func Of(dialect string) (fs.FS, error) { return fs.Sub(files, dialect) }
