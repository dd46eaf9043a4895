package his

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestAmount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "1": 1, "1917": 1917, "1000000000000": 1_000_000_000_000, "1000000000001": -1,
		"-1": -1, "-0": -1, "01": -1, "1.0": -1, "1e3": -1, `"19"`: -1, `""`: -1, "null": -1, "9999999999999999": -1, "true": -1} {
		var got struct {
			Fen amount `json:"fen"`
		}
		err := json.Unmarshal([]byte(`{"fen":`+text+`}`), &got)
		if (want < 0) != (err != nil) || (want >= 0 && (int64(got.Fen.fen) != want || !got.Fen.present)) {
			t.Errorf("amount %s = %+v, %v", text, got.Fen, err)
		}
	}
}

func TestFigure(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{`"24"`: true, `"0.7988"`: true, `"150.5"`: true, `"0"`: true, `24`: false, `"0.79881"`: false,
		`"-1"`: false, `"+1"`: false, `"1e9"`: false, `"1e999999999"`: false, `"1,000"`: false, `"２４"`: false, `" 24"`: false, `"24."`: false,
		`".5"`: false, `"007"`: false, `""`: false, `null`: false, `"1234567890123"`: false} {
		var got figure
		if err := json.Unmarshal([]byte(text), &got); (err == nil) != ok {
			t.Errorf("figure %s = %v, %v", text, got, err)
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{`"2026-11-23T09:30:00+08:00"`: true, `"2026-11-23T01:30:00Z"`: true, `"2026-11-23 09:30:00"`: false,
		`"0001-01-01T00:00:00Z"`: false, `"2126-01-01T00:00:00Z"`: false, `1795397400`: false, `""`: false} {
		var got moment
		if err := json.Unmarshal([]byte(text), &got); (err == nil) != ok {
			t.Errorf("moment %s = %v, %v", text, got, err)
		}
	}
}

func TestDistinct(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}],"d":"a"}`: true,
		`{"a":"a","b":["a","a"]}`:                           true,
		`{"a":1,"a":1}`:                                     false,
		`{"a":1,"A":2}`:                                     false,
		`{"his":1,"hiſ":2}`:                                 false,
		`{"k":1,"\u212a":2}`:                                false,
		`{"a":{},"b":[],"a":0}`:                             false,
		`{"x":{"a":1,"b":2,"a":3}}`:                         false,
		`{"x":[{"a":1,"a":3}]}`:                             false,
		`{"a":1`:                                            false,
		`{} x`:                                              false,
		`{"a":1}{"a":2}`:                                    false,
		`{"state":1,"` + "\u017f" + `tate":2}`:              false, // long s, which encoding/json takes for an s
		`{"lock":1,"loc` + "\u212a" + `":2}`:                false, // the sign of kelvin
		"[" + strings.Repeat("0,", mostTokens) + "0]":       false,
		strings.Repeat("[", 17) + strings.Repeat("]", 17):   false,
		strings.Repeat("[", 16) + strings.Repeat("]", 16):   true,
	} {
		if err := distinct([]byte(text)); (err == nil) != ok {
			t.Errorf("distinct(%.60s) = %v", text, err)
		}
	}
}

func TestGuide(t *testing.T) {
	t.Parallel()
	lines := append([]string{"  请到西药房\n取药 ", "", "\x00"}, strings.Split(strings.Repeat("二楼,", 20), ",")...)
	lines = append(lines, strings.Repeat("长", 200))
	got := guide(lines)
	if len(got) != 8 || got[0] != "请到西药房 取药" {
		t.Errorf("guide = %q", got)
	}
	if long := guide([]string{strings.Repeat("长", 200)}); len([]rune(long[0])) != 120 {
		t.Errorf("a long line has %d characters", len([]rune(long[0])))
	}
}

func TestWireTime(t *testing.T) {
	t.Parallel()
	if got := wireTime(time.Time{}); got != nil {
		t.Errorf("no time is written as %s", *got)
	}
}
