package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strconv"
	"strings"
)

// finder walks one file and gathers its mutants.
type finder struct {
	room  *room
	file  *source
	info  *types.Info
	in    string
	body  *ast.BlockStmt // of the function that is walked; nil outside
	void  bool           // it gives no results
	found []*mutant
}

// Left out, because nobody could say what a test should notice:
//   - texts: no string is changed, and nothing inside the arguments of what only makes a text or an error of them (wording);
//   - what is for logs: LogValue and GoString methods, calls of slog, the Detail of an event (it decides nothing, people read it);
//   - imports, types and tags: the compiler sees to them.
var (
	wording   = map[string]bool{"fmt.Errorf": true, "errors.New": true, "fault.New": true, "fmt.Sprintf": true, "fmt.Sprint": true}
	forLogs   = map[string]bool{"LogValue": true, "GoString": true}
	forPeople = map[string]bool{"Detail": true}
)

func mutantsOf(r *room, f *source, info *types.Info) []*mutant {
	w := &finder{room: r, file: f, info: info}
	for _, d := range f.tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil && !forLogs[d.Name.Name] {
				w.in, w.body, w.void = funcName(d), d.Body, d.Type.Results == nil
				w.walk(d.Body, signatureOf(info, d.Name))
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok {
					w.in, w.body = v.Names[0].Name, nil
					for _, e := range v.Values {
						w.walk(e, nil)
					}
				}
			}
		}
	}
	return w.found
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if s, ok := t.(*ast.StarExpr); ok {
		t = s.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + d.Name.Name
	}
	return d.Name.Name
}

func signatureOf(info *types.Info, name *ast.Ident) *types.Signature {
	if f, ok := info.Defs[name].(*types.Func); ok {
		return f.Signature()
	}
	return nil
}

// walk visits a body; sig is what its return statements give.
func (w *finder) walk(n ast.Node, sig *types.Signature) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			inner, _ := w.info.Types[n].Type.(*types.Signature)
			w.walk(n.Body, inner)
			return false
		case *ast.CallExpr:
			if w.isWording(n) {
				return false
			}
		case *ast.KeyValueExpr:
			if id, ok := n.Key.(*ast.Ident); ok && forPeople[id.Name] {
				return false
			}
		case ast.Stmt:
			w.statement(n, sig)
		case ast.Expr:
			w.expression(n)
		}
		return true
	})
}

// isWording reports whether a call only makes a text, an error or a line of a log out of its arguments.
func (w *finder) isWording(c *ast.CallExpr) bool {
	s, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	if !ok {
		return false
	}
	return wording[pkg.Name+"."+s.Sel.Name] || pkg.Name == "slog"
}

// change notes a mutant: the node becomes text. Words say what it becomes where the text is only how Go says it.
func (w *finder) change(n ast.Node, text, words string) {
	start, end := w.at(n.Pos()), w.at(n.End())
	w.replace(start, end, text, brief(string(w.file.text[start:end]))+" → "+brief(words))
}

func (w *finder) replace(start, end int, text, what string) {
	line := w.room.fset.File(w.file.tree.Pos()).Line(w.room.fset.File(w.file.tree.Pos()).Pos(start))
	m := &mutant{room: w.room, file: w.file, line: line, start: start, end: end, text: text, in: w.in, what: what, void: w.void}
	if w.body != nil {
		m.body = [2]int{w.at(w.body.Lbrace) + 1, w.at(w.body.Rbrace)}
	}
	w.found = append(w.found, m)
}

func (w *finder) at(p token.Pos) int { return w.room.fset.Position(p).Offset }

func (w *finder) source(n ast.Node) string { return string(w.file.text[w.at(n.Pos()):w.at(n.End())]) }

// brief is a text on one line, and not too much of it.
func brief(s string) string {
	const most = 90
	s = strings.Join(strings.Fields(s), " ")
	s = strings.ReplaceAll(s, "`", "'")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// operators are what an operator may become: its neighbour at the bound, its opposite, its twin.
var operators = map[token.Token][]token.Token{
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LAND: {token.LOR}, token.LOR: {token.LAND},
	token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},
	token.AND: {token.OR}, token.OR: {token.AND}, token.XOR: {token.AND}, token.SHL: {token.SHR}, token.SHR: {token.SHL},
	token.ADD_ASSIGN: {token.SUB_ASSIGN}, token.SUB_ASSIGN: {token.ADD_ASSIGN}, token.MUL_ASSIGN: {token.QUO_ASSIGN},
	token.QUO_ASSIGN: {token.MUL_ASSIGN}, token.INC: {token.DEC}, token.DEC: {token.INC},
}

func (w *finder) expression(e ast.Expr) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if t := w.info.Types[e].Type; e.Op == token.ADD && isString(t) {
			return
		}
		x, y := w.source(e.X), w.source(e.Y)
		for _, op := range operators[e.Op] {
			at := w.at(e.OpPos)
			what := brief(x+" "+e.Op.String()+" "+y) + " → " + op.String()
			w.replace(at, at+len(e.Op.String()), op.String(), what)
		}
	case *ast.UnaryExpr:
		switch e.Op {
		case token.NOT, token.SUB:
			w.change(e, "("+w.source(e.X)+")", w.source(e.X))
		}
	case *ast.BasicLit:
		if e.Kind != token.INT {
			return
		}
		if n, ok := constant.Int64Val(constant.MakeFromLiteral(e.Value, token.INT, 0)); ok {
			next := strconv.FormatInt(n+1, 10)
			w.change(e, next, next)
		}
	case *ast.Ident:
		switch w.info.Uses[e] {
		case types.Universe.Lookup("true"):
			w.change(e, "false", "false")
		case types.Universe.Lookup("false"):
			w.change(e, "true", "true")
		}
	}
}

func isString(t types.Type) bool {
	if t == nil { // the blank has none
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsString != 0
}
