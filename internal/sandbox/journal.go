// Package sandbox is what every simulator stands on: a journal that survives a kill, and a plan of faults.
//
// It knows no counterpart. Simulators import it; nothing that runs in production does.
package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Journal is a file of JSON lines. A simulator writes each effect before it answers, and replays the file when it starts, so that
// what it answered stays true after a kill.
type Journal struct {
	mu   sync.Mutex
	file *os.File // nil: kept in memory only, for tests
	size int64    // of the whole lines
}

// OpenJournal opens or creates the file and gives every whole line to replay, in order. A last line cut by a kill was never answered
// and is dropped. An empty path keeps nothing.
func OpenJournal(path string, replay func(line []byte) error) (*Journal, error) {
	if path == "" {
		return &Journal{}, nil
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, err
	}
	whole, err := replayLines(file, replay)
	if err == nil {
		err = file.Truncate(whole)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), file.Close())
	}
	return &Journal{file: file, size: whole}, nil
}

func replayLines(file io.Reader, replay func([]byte) error) (whole int64, err error) {
	r := bufio.NewReader(file)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		if err := replay(line); err != nil {
			return whole, fmt.Errorf("at byte %d: %w", whole, err)
		}
		whole += int64(len(line))
	}
}

// Append writes one entry and returns when the disk has it.
func (j *Journal) Append(entry any) error {
	line, err := json.Marshal(entry)
	if err != nil || j.file == nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	line = append(line, '\n')
	if _, err := j.file.WriteAt(line, j.size); err != nil {
		return err // what was cut off is written over by the next entry
	}
	j.size += int64(len(line))
	return j.file.Sync()
}

// Close closes the file.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}
