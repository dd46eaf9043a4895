package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// site is where a play's processes live: a folder, a row of ports, and their end.
type site struct {
	dir  string
	port int // the next free one
	real clock.Real

	mu  sync.Mutex
	all []*process
}

// process is a program in a process group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	over chan struct{}
}

func newSite() (*site, error) {
	dir, err := os.MkdirTemp("", "tuoka-cluster")
	if err != nil {
		return nil, err
	}
	return &site{dir: dir, port: 12000 + os.Getpid()%150*100}, os.Chmod(dir, 0o755) // #nosec G302 -- the database servers are other users
}

// ports gives so many ports in a row; below those that the machine gives to outgoing connections.
func (s *site) ports(n int) (int, error) {
	for first := s.port; first < 32000; first++ {
		free := true
		for i := range n {
			l, err := net.Listen("tcp", local(first+i)) //nolint:noctx // closed at once
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			s.port = first + n
			return first, nil
		}
	}
	return 0, errors.New("no ports are free")
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// folder makes a folder, of that user where we are root.
func (s *site) folder(name, owner string) error {
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	who, err := credential(owner)
	if err != nil || who == nil {
		return err
	}
	return os.Chown(dir, int(who.Uid), int(who.Gid))
}

// credential is the user that a server wants to be where we are root; nil for ourselves.
func credential(name string) (*syscall.Credential, error) {
	if name == "" || os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // ourselves
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// run runs a program to its end and gives what it says.
func (s *site) run(ctx context.Context, as, program string, args ...string) (string, error) {
	who, err := credential(as)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, program, args...) // #nosec G204 -- the plays' own programs
	cmd.Dir, cmd.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: who}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// launch starts a program; what it says goes to a file of its name.
func (s *site) launch(name, as, program string, args ...string) (*process, error) {
	who, err := credential(as)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) // #nosec G304 -- in the play's own folder
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()                                 // the process has its own
	cmd := exec.CommandContext(context.Background(), program, args...) // #nosec G204 -- the plays' own programs
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, over: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.over)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, p)
	return p, nil
}

// signal tells the process; its whole group when it is killed.
func (p *process) signal(sig syscall.Signal) {
	to := p.cmd.Process.Pid
	if sig == syscall.SIGKILL {
		to = -to
	}
	_ = syscall.Kill(to, sig) // it may be gone
}

// end signals and waits until it is over.
func (p *process) end(ctx context.Context, sig syscall.Signal) error {
	p.signal(sig)
	select {
	case <-p.over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", p.name, ctx.Err())
	}
}

// close ends everything, and takes the folder away unless its logs are wanted.
func (s *site) close(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		p.signal(syscall.SIGCONT)
		p.signal(syscall.SIGKILL)
		<-p.over
	}
	if !keep {
		_ = os.RemoveAll(s.dir)
	}
}

// until waits until something holds.
func (s *site) until(ctx context.Context, what string, most time.Duration, holds func(ctx context.Context) error) error {
	end := s.real.Now().Add(most)
	for {
		once, cancel := s.real.WithDeadline(ctx, 5*time.Second)
		err := holds(once)
		cancel()
		if err == nil {
			return nil
		}
		if s.real.Now().After(end) {
			return fmt.Errorf("in %s not: %s: %w", most, what, err)
		}
		if err := s.real.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
