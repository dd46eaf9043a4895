package his

import "encoding/json"

// Step is how one value of an answer was read, for tuoka his explain.
type Step struct {
	Member  string // of the interface
	Element string // of the hospital's document, or where else it is from
	Raw     string
	Value   string
	Err     error
}

// Explained is how a sample answer is read.
type Explained struct {
	Code   string   // the hospital's
	Steps  []Step   // value by value, in the order of reading
	Unread []string // what nobody reads
	Answer Answer   // in the interface's words
}

// JSON is the answer as the interface would write it.
func (e *Explained) JSON() string {
	text, err := json.MarshalIndent(e.Answer, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
