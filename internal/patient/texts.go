package patient

import (
	"crypto/sha256"
	_ "embed" // the wording of the consents
	"encoding/hex"
	"strings"
)

// TextVersion is the version of the wording that comes with the program. Whoever changes a word in texts/ raises it: everybody is asked
// again.
const TextVersion = "2026-11-25"

//go:embed texts/privacy.txt
var privacyText string

//go:embed texts/insurance.txt
var insuranceText string

//go:embed texts/guardian.txt
var guardianText string

// NewText is one version of a consent's wording with its digest.
func NewText(kind ConsentKind, version, title, body string) Text {
	sum := sha256.Sum256([]byte(title + "\n" + body))
	return Text{Kind: kind, Version: version, Title: title, Body: body, Digest: hex.EncodeToString(sum[:])}
}

// StandardTexts is the wording that comes with the program, for one hospital: what is processed, who receives it and why (PIPL 14, 17, 23,
// 29, 30, 31). contact is where a person asks about his data: a telephone number, an address. A hospital whose lawyers want other
// words gives its own Texts.
func StandardTexts(hospital, contact string) []Text {
	fill := strings.NewReplacer("{{hospital}}", hospital, "{{contact}}", contact)
	text := func(kind ConsentKind, title, body string) Text {
		return NewText(kind, TextVersion, title, strings.TrimSpace(fill.Replace(body)))
	}
	return []Text{
		text(ConsentPrivacy, "用户服务与隐私协议", privacyText),
		text(ConsentInsurance, "医保信息授权书", insuranceText),
		text(ConsentGuardian, "监护人同意书", guardianText),
	}
}
