package wechatpay

import "testing"

// TestIDDigest: the published vectors (wechat-med-ins.md §b.0), the negative one too.
func TestIDDigest(t *testing.T) {
	t.Parallel()
	for number, want := range map[string]string{
		"44030019000101123X": "09eb26e839ff3a2e3980352ae45ef09e",
		"44030019000101123x": "09eb26e839ff3a2e3980352ae45ef09e",
	} {
		if got := idDigest(number); got != want {
			t.Errorf("digest of %s = %s, want %s", number, got, want)
		}
		if got := idDigest(number); got == "54e328219fbf1b7ba724df3c5f9f4033" {
			t.Errorf("digest of %s without upper-casing", number)
		}
	}
	if got := extended("130503670401001"); got != "130503196704010016" {
		t.Errorf("fifteen digits become %s", got)
	}
	if idDigest("130503670401001") != idDigest("130503196704010016") {
		t.Error("fifteen digits have a digest of their own")
	}
}
