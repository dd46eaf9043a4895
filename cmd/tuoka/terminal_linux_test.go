package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tuoka/tuoka/internal/clock"
)

// pty is a terminal: what is written to the master was typed, what is read from it was shown.
func pty(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = master.Close(), terminal.Close() })
	return master, terminal
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// silent waits until the terminal does not echo.
func silent(t *testing.T, terminal *os.File) {
	t.Helper()
	for range 2000 {
		if !echoes(t, terminal) {
			return
		}
		if err := (clock.Real{}).Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the terminal still echoes")
}

// TestTerminal types a line, a password and another line on a real terminal.
func TestTerminal(t *testing.T) {
	t.Parallel()
	master, terminal := pty(t)
	keys, err := keyboardOf(terminal)
	if err != nil {
		t.Fatal(err)
	}
	if !isTerminal(terminal) || isTerminal(&strings.Builder{}) {
		t.Error("isTerminal is wrong")
	}
	if _, err := master.WriteString("wang\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := keys.line(t.Context()); text != "wang" || err != nil {
		t.Errorf("line() = %q, %v", text, err)
	}
	got := make(chan string, 1)
	go func() {
		text, err := keys.hidden(t.Context())
		got <- fmt.Sprint(text, err)
	}()
	silent(t, terminal)
	if _, err := master.WriteString("SECRET\n"); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "SECRET<nil>" {
		t.Errorf("hidden() = %q", text)
	}
	if !echoes(t, terminal) {
		t.Error("the echo did not come back")
	}
	if _, err := terminal.WriteString("end"); err != nil {
		t.Fatal(err)
	}
	shown := ""
	for b := make([]byte, 256); !strings.Contains(shown, "end"); {
		n, err := master.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		shown += string(b[:n])
	}
	if !strings.Contains(shown, "wang") || strings.Contains(shown, "SECRET") {
		t.Errorf("the terminal showed %q", shown)
	}
}

// TestTerminalInterrupted has its echo again.
func TestTerminalInterrupted(t *testing.T) {
	t.Parallel()
	_, terminal := pty(t)
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := tty{terminal}.hidden(ctx)
		ended <- err
	}()
	silent(t, terminal)
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("hidden() = %v", err)
	}
	if !echoes(t, terminal) {
		t.Error("the echo did not come back")
	}
}
