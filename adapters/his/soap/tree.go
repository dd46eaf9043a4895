package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"
)

// node is an element of a document: its text without that of its children, and these in their order. Names have no namespace: vendors change prefixes
// and addresses of theirs from release to release.
type node struct {
	name     string
	text     string
	children []*node
}

// Bounds of a document that is read.
const (
	mostDepth    = 24
	mostElements = 200_000
)

// readTree reads a whole document. There is no document type in it, and so no entity but XML's own: what might grow or fetch something is refused unread.
func readTree(document []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(document))
	d.CharsetReader = func(label string, _ io.Reader) (io.Reader, error) {
		return nil, fmt.Errorf("a document in %q", label) // it was put into UTF-8 before
	}
	var root *node
	var open []*node
	var texts []*strings.Builder // of the open ones
	elements := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && root != nil && len(open) == 0 {
			return root, nil
		}
		if err != nil {
			return nil, errors.New("not a whole XML document")
		}
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local}
			if elements++; elements > mostElements || len(open) == mostDepth {
				return nil, errors.New("the document is too large or too deep")
			}
			switch {
			case len(open) > 0:
				parent := open[len(open)-1]
				parent.children = append(parent.children, n)
			case root != nil:
				return nil, errors.New("two documents in one")
			default:
				root = n
			}
			open, texts = append(open, n), append(texts, &strings.Builder{})
		case xml.EndElement:
			last := len(open) - 1
			open[last].text = texts[last].String()
			open, texts = open[:last], texts[:last]
		case xml.CharData:
			if len(open) > 0 {
				_, _ = texts[len(open)-1].Write(t) // a builder takes everything
			} else if strings.TrimSpace(string(t)) != "" {
				return nil, errors.New("text outside the document")
			}
		case xml.Directive:
			return nil, errors.New("the document has a document type")
		}
	}
}

// value is the element's text without blanks around it; false where there is none, which is how vendors write that nothing is known.
func (n *node) value() (string, bool) {
	text := strings.TrimSpace(n.text)
	return text, text != ""
}

// all are the elements at a path below n, "." being n itself.
func (n *node) all(path string) []*node {
	if path == "." || path == "" {
		return []*node{n}
	}
	found := []*node{n}
	for step := range strings.SplitSeq(path, "/") {
		var next []*node
		for _, parent := range found {
			for _, child := range parent.children {
				if child.name == step {
					next = append(next, child)
				}
			}
		}
		found = next
	}
	return found
}

// one is the element at a path; nil where there is none. Two are an error: which of them is meant, nobody knows.
func (n *node) one(path string) (*node, error) {
	found := n.all(path)
	switch len(found) {
	case 0:
		return nil, nil //nolint:nilnil // absent
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("%s stands there %d times", path, len(found))
}

// charsets are what hospitals write. GBK and GB2312 are read as GB18030, which contains both.
var charsets = map[string]encoding.Encoding{"UTF-8": nil, "GBK": simplifiedchinese.GB18030, "GB2312": simplifiedchinese.GB18030, "GB18030": simplifiedchinese.GB18030}

// decoded puts a document into UTF-8. It is in the vendor's charset, whatever its declaration says: that one is written by a library, and often wrong.
// Bytes that are none of the charset's refuse the whole document.
func decoded(document []byte, charset string) ([]byte, error) {
	document = bytes.TrimPrefix(document, []byte("\xef\xbb\xbf"))
	if e := charsets[charset]; e != nil {
		out, _, err := transform.Bytes(e.NewDecoder(), document)
		if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
			return nil, fmt.Errorf("not in %s", charset)
		}
		document = out
	}
	if !utf8.Valid(document) {
		return nil, errors.New("not in UTF-8")
	}
	return undeclared(document), nil
}

// undeclared takes the XML declaration away.
func undeclared(document []byte) []byte {
	document = bytes.TrimLeft(document, " \t\r\n")
	if !bytes.HasPrefix(document, []byte("<?xml ")) {
		return document
	}
	end := bytes.Index(document, []byte("?>"))
	if end < 0 {
		return document
	}
	return document[end+2:]
}

// encoded puts a document into the vendor's charset. A character that it lacks is an error, never a question mark.
func encoded(document []byte, charset string) ([]byte, error) {
	e := charsets[charset]
	if e == nil {
		return document, nil
	}
	out, _, err := transform.Bytes(e.NewEncoder(), document)
	if err != nil {
		return nil, fmt.Errorf("a character that %s lacks", charset)
	}
	return out, nil
}

// legible leaves out of a text for people what a vendor lacks who reads GBK or GB2312, and no more: four bytes of GB18030 are garbage to him, for which the
// signature is wrong.
func legible(text, charset string) string {
	if charset != "GBK" && charset != "GB2312" {
		return text
	}
	gbk := simplifiedchinese.GBK.NewEncoder()
	return strings.Map(func(r rune) rune {
		b, err := gbk.Bytes([]byte(string(r)))
		if err != nil || (charset == "GB2312" && len(b) == 2 && (b[0] < 0xA1 || b[1] < 0xA1)) {
			return -1
		}
		return r
	}, text)
}

// write writes the element and what is below it.
func (n *node) write(b *bytes.Buffer) {
	b.WriteString("<" + n.name)
	if n.text == "" && len(n.children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	_ = xml.EscapeText(b, []byte(n.text)) // a buffer takes everything
	for _, child := range n.children {
		child.write(b)
	}
	b.WriteString("</" + n.name + ">")
}

func (n *node) String() string {
	var b bytes.Buffer
	n.write(&b)
	return b.String()
}

// add adds an element at a path, whose steps before the last are made where they are missing.
func (n *node) add(path string) *node {
	steps := strings.Split(path, "/")
	for i, step := range steps {
		var next *node
		for _, child := range n.children {
			if child.name == step {
				next = child
			}
		}
		if next == nil || i == len(steps)-1 {
			next = &node{name: step}
			n.children = append(n.children, next)
		}
		n = next
	}
	return n
}
