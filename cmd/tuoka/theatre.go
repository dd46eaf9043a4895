package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/vault"
)

// theatre is what the seeds of one thread share: keys, the database, which every seed finds empty, and what is written down.
type theatre struct {
	stage  stage
	config *config.Config
	route  string
	plant  string
	log    io.Writer // what happens, step by step; nil: nobody reads
	now    *turning
	source *clock.Source // of the database
	db     *store.DB
	vault  *vault.Vault
	broom  *broom
}

// turning is the clock of the seed that plays.
type turning struct{ clock.Clock }

// opening is when every seed begins: a morning on which the year's limits are half used.
var opening = time.Date(2026, 6, 15, 9, 0, 0, 0, clock.Shanghai)

// What a seed may take, in virtual time. Calm is when the faults end; after it, nothing that is due may be left undone for long.
const (
	seedLife    = 24 * time.Hour
	calm        = 40 * time.Minute
	backlogLife = 5 * time.Minute
)

// newTheatre makes the keys in the stage's folder, and opens the database: with an empty DSN in that folder, too.
func newTheatre(ctx context.Context, at stage, route string) (*theatre, error) {
	at.base, at.memory = 1000, true
	t := &theatre{stage: at, route: route, now: &turning{clock.NewFake(opening)}}
	t.source = clock.NewSeeded(t.now, clock.Nodes-2, 0)
	var err error
	if t.config, err = t.stage.sandboxConfig(""); err != nil {
		return nil, err
	}
	t.config.TimeScale = 1
	t.config.Stage = nil // nobody but those of the seed
	if route != "all" && !slices.ContainsFunc(t.config.Institutions, func(in config.Institution) bool { return in.Route == route }) {
		return nil, fmt.Errorf("--route %s: no hospital of the sandbox is on it", route)
	}
	if err := t.stage.claim(hospitalsOf(t.config)); err != nil {
		return nil, err
	}
	if t.db, t.vault, err = openDatabase(ctx, t.config, t.now, t.source); err != nil {
		return nil, errors.Join(err, t.stage.release())
	}
	if t.broom, err = newBroom(t.config.Database.DSN); err != nil {
		return nil, errors.Join(err, t.db.Close(), t.stage.release())
	}
	return t, nil
}

func (t *theatre) close() error { return errors.Join(t.broom.Close(), t.db.Close(), t.stage.release()) }

// sweep empties the database.
func (t *theatre) sweep(ctx context.Context) error {
	t.db.Forget()
	return t.broom.sweep(ctx)
}
