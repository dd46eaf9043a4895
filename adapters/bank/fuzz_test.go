package bank_test

import (
	"errors"
	"os"
	"testing"

	"github.com/tuoka/tuoka/adapters/bank"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// sound checks what must hold of whatever is read: lines that are lines, or ErrForm.
func sound(t *testing.T, s *bank.Statements, file []byte, text bool) {
	t.Helper()
	d := day(t, "2026-11-23")
	lines, err := read(s, d, file)
	if err != nil && !errors.Is(err, recon.ErrForm) {
		t.Errorf("err = %v, want ErrForm", err)
	}
	at := int64(0)
	for _, l := range lines {
		end := l.Place.Offset + int64(l.Place.Length)
		switch {
		case l.Source != recon.Bank || l.Amount <= 0 || l.Amount > 2*money.Max || recon.DayOf(l.At) != d || l.Numbers[recon.BankNo] == "":
			t.Errorf("%+v is no line", l)
		case (l.Leg == recon.Foreign) != (l.Kind == recon.Other) || (l.Leg == recon.Foreign && l.Numbers[recon.FlowNo] != ""):
			t.Errorf("%+v is neither ours nor another's", l)
		case l.Place.Offset < at || (text && (end <= l.Place.Offset || end > int64(len(file)))):
			t.Errorf("%+v stands nowhere", l.Place)
		}
		at = max(end, l.Place.Offset+1)
	}
}

func FuzzCSV(f *testing.F) {
	for i, e := range examples[:2] {
		file, err := os.ReadFile("testdata/" + e.file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, file)
	}
	f.Add(2, []byte(plainHead+"2026-11-23;10:00:00;1.00;;101.00;N1;财付通;\"单号\n\"\"A1\"\n合计;;;;101.00\n"))
	all := []*bank.Statements{statements(f, exampleMapping(f, "csv-signed"), examples[0].account), statements(f, exampleMapping(f, "csv-two-columns"), examples[1].account),
		statements(f, plain, "")}
	f.Fuzz(func(t *testing.T, which int, file []byte) {
		if which >= 0 && which < len(all) {
			sound(t, all[which], file, true)
		}
	})
}

func FuzzSheet(f *testing.F) {
	s := statements(f, sheetMapping, "")
	f.Add(inSheet(sheetHead+inline(2, "#46349.5", "", "#33.299999999999997", "N1", "财付通")), "")
	f.Add(inSheet(sheetHead+`<row r="4"><c r="A4"><f>TODAY()</f><v>46349</v></c><c r="C4" s="0" t="n"><v>-1E2</v></c><c r="D4" t="str"><v>N1</v></c><c r="E4" t="s"><v>0</v></c></row>`),
		`<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><r><t>财</t></r><r><t>付通</t></r></si></sst>`)
	f.Fuzz(func(t *testing.T, sheet, shared string) { sound(t, s, workbook(t, sheet, shared), false) })
}

func FuzzWorkbook(f *testing.F) {
	file, err := os.ReadFile("testdata/workbook.xlsx")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(workbook(f, inSheet(sheetHead), ""))
	s := statements(f, exampleMapping(f, "workbook"), examples[2].account)
	f.Fuzz(func(t *testing.T, file []byte) { sound(t, s, file, false) })
}

func FuzzMapping(f *testing.F) {
	for _, e := range examples {
		f.Add([]byte(exampleMapping(f, e.mapping)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := bank.ParseMapping(text)
		if err == nil && (m == nil || m.Name == "") {
			t.Error("a mapping without a name")
		}
	})
}
