package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
)

// ErrNoNode is a database on which every node number is taken.
var ErrNoNode = fault.New(fault.Unavailable, "STORE_NO_NODE", sorry)

// NodeLease is a process's right to a node number, which keeps its ids apart from those of all other processes on the database.
type NodeLease struct {
	Node    int
	owner   string
	version int64
}

// How long a number is leased, and how long it rests after it was given back: the clocks of two machines may differ by a little.
const (
	nodeLife = time.Minute
	nodeRest = 10 * time.Second
)

type nodeRow struct {
	Node    int64  `gorm:"primaryKey;autoIncrement:false"`
	Owner   string `gorm:"size:64"`
	Version int64
	UntilUS int64
}

// TableName is the table's name.
func (nodeRow) TableName() string { return "node_lease" }

// LeaseNode takes the lowest number that nobody has, for a minute. It needs no vault. ErrNoNode.
func (db *DB) LeaseNode(ctx context.Context, owner string) (NodeLease, error) {
	g := db.writer.WithContext(ctx)
	for {
		rows, err := find[nodeRow](db, g.Order("node"))
		if err != nil {
			return NodeLease{}, fmt.Errorf("lease a node number: %w", err)
		}
		now := db.clock.Now()
		next := nodeRow{Owner: clip(owner, 64), Version: 1, UntilUS: micros(now.Add(nodeLife))}
		was := int64(0)
		for _, r := range rows {
			if r.Node == next.Node && now.Before(moment(r.UntilUS)) {
				next.Node++
				continue
			}
			if r.Node == next.Node { // its time is over
				was = r.Version
				next.Version = r.Version + 1
			}
			break
		}
		if next.Node >= clock.Nodes-2 { // the last two are a sandbox's
			return NodeLease{}, ErrNoNode
		}
		if was == 0 {
			err = insert(db, g, next)
		} else {
			err = move(db, g, &next, []string{"owner", "version", "until_us"}, "node = ? AND version = ?", next.Node, was)
		}
		switch {
		case err == nil:
			return NodeLease{Node: int(next.Node), owner: next.Owner, version: next.Version}, nil
		case !duplicate(err) && !errors.Is(err, job.ErrLost) && !errors.Is(err, errConflict): // somebody was faster
			return NodeLease{}, fmt.Errorf("lease a node number: %w", translated(err))
		}
	}
}

// RenewNode makes the lease last a minute from now, even one that is over, as long as nobody else has taken the number. job.ErrLost when somebody has.
func (db *DB) RenewNode(ctx context.Context, l NodeLease) error {
	return db.leaseUntil(ctx, l, nodeLife)
}

// ReturnNode gives the number back.
func (db *DB) ReturnNode(ctx context.Context, l NodeLease) error {
	return db.leaseUntil(ctx, l, nodeRest)
}

func (db *DB) leaseUntil(ctx context.Context, l NodeLease, life time.Duration) error {
	n, err := change(db.writer.WithContext(ctx), "UPDATE node_lease SET until_us = ? WHERE node = ? AND version = ? AND owner = ?",
		micros(db.clock.Now().Add(life)), l.Node, l.version, l.owner)
	if err == nil && n != 1 {
		err = job.ErrLost
	}
	if err != nil {
		return fmt.Errorf("node number %d: %w", l.Node, translated(err))
	}
	return nil
}

// Skew is how far the process's clock is ahead of the database's, as far as a question and its answer can tell. A SQLite file has no clock of its own.
func (db *DB) Skew(ctx context.Context) (time.Duration, error) {
	question := map[engine]string{postgresEngine: "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
		mysqlEngine: "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"}[db.engine]
	if question == "" {
		return 0, nil
	}
	var theirs int64
	asked := db.clock.Now()
	if err := db.read(ctx).Raw(question).Scan(&theirs).Error; err != nil {
		return 0, fmt.Errorf("the database's clock: %w", translated(err))
	}
	answered := db.clock.Now()
	return asked.Add(answered.Sub(asked) / 2).Sub(time.UnixMicro(theirs)), nil
}
