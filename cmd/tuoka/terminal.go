package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	qr "github.com/piglig/go-qr"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// keyboard is where a person answers.
type keyboard interface {
	// line reads what is typed up to the next line.
	line(ctx context.Context) (string, error)
	// hidden is line without echo.
	hidden(ctx context.Context) (string, error)
}

var errNoTerminal = errors.New("这里没有可以输入的终端：请在终端里执行，或用 --login、--password-file、--code 等参数给出")

// keyboardOf is the terminal behind a command's input. What is piped in is no terminal: nobody knows who has read it before.
func keyboardOf(in io.Reader) (keyboard, error) {
	switch in := in.(type) {
	case keyboard:
		return in, nil
	case *os.File:
		if term.IsTerminal(int(in.Fd())) {
			return tty{in}, nil
		}
	}
	return nil, errNoTerminal
}

// tty is a real terminal.
type tty struct{ *os.File }

func (t tty) line(ctx context.Context) (string, error) {
	return typed(ctx, func() (string, error) {
		var text []byte
		for b := make([]byte, 1); ; { // byte by byte: what follows the line may be a password, and is not ours yet
			if _, err := t.Read(b); err != nil {
				return "", err
			}
			if b[0] == '\n' {
				return string(text), nil
			}
			text = append(text, b[0])
		}
	})
}

// hidden gives the terminal its echo back also when the command is interrupted.
func (t tty) hidden(ctx context.Context) (string, error) {
	fd := int(t.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	text, err := typed(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
	if ctx.Err() != nil {
		err = errors.Join(err, term.Restore(fd, before))
	}
	return text, err
}

// typed waits for a reading that cannot be cut off, until the context ends.
func typed(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		text, err := read()
		done <- answer{text, err}
	}()
	select {
	case a := <-done:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// ask puts a question on standard error, where it does not mix with a command's result, and gives the answer.
func ask(cmd *cobra.Command, question string) (string, error) {
	keys, err := keyboardOf(cmd.InOrStdin())
	if err != nil {
		return "", err
	}
	cmd.PrintErr(question)
	text, err := keys.line(cmd.Context())
	return strings.TrimSpace(text), err
}

// askSecret is ask without echo.
func askSecret(cmd *cobra.Command, question string) (sensitive.Key, error) {
	keys, err := keyboardOf(cmd.InOrStdin())
	if err != nil {
		return sensitive.Key{}, err
	}
	cmd.PrintErr(question)
	text, err := keys.hidden(cmd.Context())
	cmd.PrintErrln()
	return sensitive.NewKey(text), err
}

// askTwice asks for a password that is to be set.
func askTwice(cmd *cobra.Command, question string) (sensitive.Key, error) {
	first, err := askSecret(cmd, question+"（至少 12 位，输入时不显示）：")
	if err != nil {
		return sensitive.Key{}, err
	}
	second, err := askSecret(cmd, "再输入一次：")
	if err != nil {
		return sensitive.Key{}, err
	}
	if !first.Equal(second) {
		return sensitive.Key{}, errors.New("两次输入的密码不一致，请重新执行")
	}
	if first.IsZero() {
		return sensitive.Key{}, errors.New("密码为空，请重新执行")
	}
	return first, nil
}

// passwordFile reads a password from a file that nobody else can read.
func passwordFile(flag, path string) (sensitive.Key, error) {
	k, err := config.Secret(flag, path)
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("密码文件须不为空，且只有本人可读（chmod 600）：%w", err)
	}
	return k, nil
}

// drawQR draws a text as a QR code, two modules in a character. Light modules are drawn, since terminals are dark; colour makes sure of it.
func drawQR(text string, colour bool) (string, error) {
	code, err := qr.EncodeText(text, qr.Low)
	if err != nil {
		return "", err
	}
	const quiet = 2
	light := func(x, y int) bool { return !code.Module(x, y) } // beside the code all is light
	var b strings.Builder
	for y := -quiet; y < code.Size()+quiet; y += 2 {
		if colour {
			b.WriteString("\x1b[97;40m")
		}
		for x := -quiet; x < code.Size()+quiet; x++ {
			upper, lower := light(x, y), light(x, y+1) && y+1 < code.Size()+quiet
			switch {
			case upper && lower:
				b.WriteString("█")
			case upper:
				b.WriteString("▀")
			case lower:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		if colour {
			b.WriteString("\x1b[0m")
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// isTerminal reports whether a person looks at what is written.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
