package main

import (
	"go/ast"
	"go/token"
	"go/types"
)

func (w *finder) statement(s ast.Stmt, sig *types.Signature) {
	switch s := s.(type) {
	case *ast.IfStmt:
		w.condition(s.Cond)
		if b, ok := s.Else.(*ast.BlockStmt); ok {
			w.unrun("else", b.List)
		}
	case *ast.SwitchStmt:
		w.cases(s)
	case *ast.TypeSwitchStmt:
		for _, c := range s.Body.List {
			w.caseBody(c)
		}
	case *ast.ForStmt:
		w.unrun("for", s.Body.List)
	case *ast.RangeStmt:
		w.unrun("for", s.Body.List)
	case *ast.AssignStmt:
		w.operator(s.TokPos, s.Tok, s)
		if s.Tok != token.DEFINE {
			w.drop(s)
		}
	case *ast.IncDecStmt:
		w.operator(s.TokPos, s.Tok, s)
		w.drop(s)
	case *ast.ExprStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt:
		w.drop(s)
	case *ast.ReturnStmt:
		w.results(s, sig)
	}
}

// condition holds always, or never. What it names stays named, or the compiler would complain of it.
func (w *finder) condition(e ast.Expr) {
	w.change(e, "true || ("+w.source(e)+")", "true")
	w.change(e, "false && ("+w.source(e)+")", "false")
}

func (w *finder) cases(s *ast.SwitchStmt) {
	for _, c := range s.Body.List {
		w.caseBody(c)
		if c, ok := c.(*ast.CaseClause); ok && s.Tag == nil {
			for _, e := range c.List {
				w.condition(e)
			}
		}
	}
}

func (w *finder) caseBody(s ast.Stmt) {
	c, ok := s.(*ast.CaseClause)
	if !ok || len(c.Body) == 0 {
		return
	}
	head := "default"
	if len(c.List) > 0 {
		head = "case " + w.source(c.List[0])
	}
	w.unrun(head, c.Body)
}

// unrun leaves a body out.
func (w *finder) unrun(head string, list []ast.Stmt) {
	if len(list) == 0 {
		return
	}
	start, end := w.at(list[0].Pos()), w.at(list[len(list)-1].End())
	text := string(w.file.text[start:end])
	w.replace(start, end, "if false { "+text+"\n}", brief(head)+": "+brief(text)+" → nothing")
}

func (w *finder) operator(p token.Pos, op token.Token, s ast.Stmt) {
	if a, ok := s.(*ast.AssignStmt); ok && isString(w.info.TypeOf(a.Lhs[0])) {
		return
	}
	for _, other := range operators[op] {
		at := w.at(p)
		w.replace(at, at+len(op.String()), other.String(), brief(w.source(s))+" → "+other.String())
	}
}

// drop leaves a statement out. An assignment to nothing but blanks only calls; it goes, too.
func (w *finder) drop(s ast.Stmt) {
	if e, ok := s.(*ast.ExprStmt); ok {
		if c, ok := e.X.(*ast.CallExpr); ok && w.isWording(c) {
			return
		}
	}
	w.change(s, "", "nothing")
}

// results are given as zero values, one at a time; an error as nil.
func (w *finder) results(s *ast.ReturnStmt, sig *types.Signature) {
	if sig == nil || len(s.Results) != sig.Results().Len() {
		return // a bare return, or a call that gives them all
	}
	for i, e := range s.Results {
		zero := w.zero(sig.Results().At(i).Type())
		if is := w.source(e); zero == "" || is == zero || w.isZero(e) {
			continue
		}
		text := "return "
		for j, other := range s.Results {
			if j > 0 {
				text += ", "
			}
			if i == j {
				text += zero
			} else {
				text += w.source(other)
			}
		}
		w.change(s, text, text)
	}
}

func (w *finder) isZero(e ast.Expr) bool {
	if c, ok := e.(*ast.CompositeLit); ok && len(c.Elts) == 0 {
		_, isStruct := w.info.TypeOf(e).Underlying().(*types.Struct)
		return isStruct
	}
	v := w.info.Types[e]
	return v.IsNil() || (v.Value != nil && (v.Value.ExactString() == "0" || v.Value.ExactString() == `""`))
}

// zero is the zero value of a type as Go writes it, or nothing where the constants' own rule is enough.
func (w *finder) zero(t types.Type) string {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Info()&types.IsBoolean != 0:
			return "false"
		case u.Info()&types.IsString != 0:
			return `""`
		case u.Info()&types.IsNumeric != 0:
			return "0"
		}
	case *types.Struct:
		return types.TypeString(t, func(p *types.Package) string {
			if p.Name() == w.room.name {
				return ""
			}
			return p.Name()
		}) + "{}"
	case *types.Pointer, *types.Slice, *types.Map, *types.Chan, *types.Signature, *types.Interface:
		return "nil"
	}
	return ""
}
