package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// room is one mutated package: its parsed files and everything that could be changed in them.
type room struct {
	name    string
	files   []*source
	mutants []*mutant
	fset    *token.FileSet
	imports types.Importer
}

type source struct {
	path string // from the repository's root
	text []byte
	tree *ast.File
}

type listed struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
}

// load parses and type-checks the packages and finds their mutants.
func load(ctx context.Context, names []string) ([]*room, error) {
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles"}
	for _, n := range names {
		args = append(args, "./internal/"+n)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	files := map[string][]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
		files[p.ImportPath] = p.GoFiles
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var rooms []*room
	for _, n := range names {
		r := &room{name: n, fset: fset, imports: imports}
		if err := r.read(files["github.com/tuoka/tuoka/internal/"+n]); err != nil {
			return nil, fmt.Errorf("%s: %w", n, err)
		}
		rooms = append(rooms, r)
	}
	return rooms, nil
}

// read takes every file that a person wrote; go list has left the tests out already.
func (r *room) read(names []string) error {
	for _, name := range names {
		path := filepath.Join("internal", r.name, name)
		text, err := os.ReadFile(path) //nolint:gosec // go list named it
		if err != nil {
			return err
		}
		tree, err := parser.ParseFile(r.fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		r.files = append(r.files, &source{path: path, text: text, tree: tree})
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	if _, err := r.check(nil, nil, info); err != nil {
		return err
	}
	for _, f := range r.files {
		if !ast.IsGenerated(f.tree) {
			r.mutants = append(r.mutants, mutantsOf(r, f, info)...)
		}
	}
	tellApart(r.mutants)
	return nil
}

// check type-checks the package with one file in the place of another.
func (r *room) check(old *source, tree *ast.File, info *types.Info) (*types.Package, error) {
	trees := make([]*ast.File, len(r.files))
	for i, f := range r.files {
		trees[i] = f.tree
		if f == old {
			trees[i] = tree
		}
	}
	config := types.Config{Importer: r.imports}
	return config.Check("github.com/tuoka/tuoka/internal/"+r.name, r.fset, trees, info)
}

// compiles reports whether the mutated package is still Go. What the compiler refuses says nothing about the tests and is not counted.
func (r *room) compiles(m *mutant) bool {
	tree, err := parser.ParseFile(r.fset, m.file.path, m.mutated(), parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	_, err = r.check(m.file, tree, nil)
	return err == nil
}
