package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// redisCluster is three masters with a replica each.
type redisCluster struct {
	site  *site
	ports []int
	procs []*process
}

func openRedis(ctx context.Context, s *site) (*redisCluster, error) {
	first, err := s.ports(12) // each has a second one for the cluster's own talk
	if err != nil {
		return nil, err
	}
	r := &redisCluster{site: s, procs: make([]*process, 6)}
	create := []string{"--cluster", "create"}
	for i := range r.procs {
		r.ports = append(r.ports, first+i)
		if err := s.folder(fmt.Sprint("redis", i), ""); err != nil {
			return nil, err
		}
		if err := r.start(i); err != nil {
			return nil, err
		}
		create = append(create, local(first+i))
	}
	for i := range r.procs {
		if err := s.until(ctx, "Redis answers", 10*time.Second, func(ctx context.Context) error { return r.ask(ctx, i, "PONG", "ping") }); err != nil {
			return nil, err
		}
	}
	if _, err := s.run(ctx, "", "redis-cli", append(create, "--cluster-replicas", "1", "--cluster-yes")...); err != nil {
		return nil, err
	}
	return r, s.until(ctx, "the Redis Cluster is whole", 30*time.Second, func(ctx context.Context) error {
		return r.ask(ctx, 0, "cluster_state:ok", "cluster", "info")
	})
}

func (r *redisCluster) start(i int) (err error) {
	dir := filepath.Join(r.site.dir, fmt.Sprint("redis", i))
	r.procs[i], err = r.site.launch(fmt.Sprint("redis", i), "", "redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(r.ports[i]), "--dir", dir,
		"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", strconv.Itoa(r.ports[i]+6), "--cluster-node-timeout", "2000",
		"--save", "", "--appendonly", "no")
	return err
}

// ask wants a word in what Redis answers.
func (r *redisCluster) ask(ctx context.Context, i int, want string, words ...string) error {
	out, err := r.site.run(ctx, "", "redis-cli", append([]string{"-p", strconv.Itoa(r.ports[i])}, words...)...)
	if err == nil && !strings.Contains(out, want) {
		err = fmt.Errorf("redis-cli %s: %s", strings.Join(words, " "), out)
	}
	return err
}

func (r *redisCluster) addrs() string {
	var all []string
	for _, port := range r.ports {
		all = append(all, local(port))
	}
	return strings.Join(all, ",")
}

// busiest is the master with the most keys.
func (r *redisCluster) busiest(ctx context.Context) (int, error) {
	best, most := -1, -1
	for i := range r.procs {
		if r.ask(ctx, i, "role:master", "info", "replication") != nil {
			continue
		}
		out, err := r.site.run(ctx, "", "redis-cli", "-p", strconv.Itoa(r.ports[i]), "dbsize")
		if err != nil {
			return 0, err
		}
		if n, err := strconv.Atoi(out); err == nil && n > most {
			best, most = i, n
		}
	}
	if best < 0 {
		return 0, errors.New("no Redis is a master")
	}
	return best, nil
}

// kill kills the busiest master; mend brings it back, as a replica.
func (r *redisCluster) kill() fault {
	victim := 0
	return fault{name: "Redis master killed", strike: func(ctx context.Context) (err error) {
		if victim, err = r.busiest(ctx); err != nil {
			return err
		}
		return r.procs[victim].end(ctx, syscall.SIGKILL)
	}, mend: func(context.Context) error { return r.start(victim) }}
}

// postgres is a primary and its synchronous standby.
type postgres struct {
	site    *site
	bin     string
	ports   [2]int
	procs   [2]*process
	primary int
}

func openPostgres(ctx context.Context, s *site) (*postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, errors.New("PostgreSQL is not installed: make servers")
	}
	first, err := s.ports(2)
	if err != nil {
		return nil, err
	}
	pg := &postgres{site: s, bin: found[len(found)-1], ports: [2]int{first, first + 1}}
	if err := s.folder("pg", "postgres"); err != nil {
		return nil, err
	}
	if _, err := s.run(ctx, "postgres", pg.program("initdb"), "-D", pg.data(0), "-U", "tuoka", "-A", "trust", "-E", "UTF8", "--locale=C"); err != nil {
		return nil, err
	}
	if err := pg.start(ctx, 0, false); err != nil {
		return nil, err
	}
	if _, err := pg.sql(ctx, 0, "CREATE DATABASE tuoka"); err != nil {
		return nil, err
	}
	return pg, pg.follow(ctx, 1)
}

func (pg *postgres) program(name string) string { return filepath.Join(pg.bin, name) }
func (pg *postgres) data(i int) string {
	return filepath.Join(pg.site.dir, "pg", fmt.Sprint("data", i))
}

// dsn names both servers; the driver takes the one that may be written to.
func (pg *postgres) dsn() string {
	return fmt.Sprintf("postgres://tuoka@%s,%s/tuoka?sslmode=disable&target_session_attrs=read-write", local(pg.ports[0]), local(pg.ports[1]))
}

// start starts a server: every commit is on its disk, and on its standby's when it waits for one.
func (pg *postgres) start(ctx context.Context, i int, waits bool) (err error) {
	names := ""
	if waits {
		names = "*"
	}
	pg.procs[i], err = pg.site.launch(fmt.Sprint("postgres", i), "postgres", pg.program("postgres"), "-D", pg.data(i), "-k", filepath.Dir(pg.data(i)), "-h", "127.0.0.1",
		"-p", strconv.Itoa(pg.ports[i]), "-c", "max_connections=200", "-c", "shared_buffers=128MB", "-c", "synchronous_standby_names="+names, "-c", "wal_retrieve_retry_interval=500ms")
	if err != nil {
		return err
	}
	return pg.site.until(ctx, "PostgreSQL answers", time.Minute, func(ctx context.Context) error {
		_, err := pg.sql(ctx, i, "SELECT 1")
		return err
	})
}

func (pg *postgres) sql(ctx context.Context, i int, statement string) (string, error) {
	return pg.site.run(ctx, "", pg.program("psql"), "-X", "-A", "-t", "-h", "127.0.0.1", "-p", strconv.Itoa(pg.ports[i]), "-U", "tuoka", "-d", "postgres", "-c", statement)
}

// follow makes a server the standby of the primary, and has the primary wait for it.
func (pg *postgres) follow(ctx context.Context, i int) error {
	if _, err := pg.site.run(ctx, "postgres", pg.program("pg_basebackup"), "-D", pg.data(i), "-R", "-X", "stream", "-c", "fast", "-h", "127.0.0.1",
		"-p", strconv.Itoa(pg.ports[pg.primary]), "-U", "tuoka"); err != nil {
		return err
	}
	if err := pg.start(ctx, i, false); err != nil {
		return err
	}
	if err := pg.procs[pg.primary].end(ctx, syscall.SIGINT); err != nil { // the option of its command line
		return err
	}
	if err := pg.start(ctx, pg.primary, true); err != nil {
		return err
	}
	return pg.site.until(ctx, "the standby is synchronous", time.Minute, func(ctx context.Context) error {
		out, err := pg.sql(ctx, pg.primary, "SELECT sync_state FROM pg_stat_replication")
		if err == nil && out != "sync" {
			err = fmt.Errorf("it is %q", out)
		}
		return err
	})
}

// crash restarts the primary as after a power cut: nothing is written down before.
func (pg *postgres) crash() fault {
	return fault{name: "PostgreSQL restarted after a crash", strike: func(ctx context.Context) error {
		if err := pg.procs[pg.primary].end(ctx, syscall.SIGQUIT); err != nil {
			return err
		}
		return pg.start(ctx, pg.primary, true)
	}}
}

// promote kills the primary for good and lets the standby take over.
func (pg *postgres) promote() fault {
	return fault{name: "primary killed, standby promoted", strike: func(ctx context.Context) error {
		if err := pg.procs[pg.primary].end(ctx, syscall.SIGKILL); err != nil {
			return err
		}
		pg.primary = 1 - pg.primary
		_, err := pg.sql(ctx, pg.primary, "SELECT pg_promote(true)")
		return err
	}}
}

// galera is three MariaDB servers that commit together.
type galera struct {
	site  *site
	ports [3]int
	procs [3]*process
}

const galeraLibrary = "/usr/lib/galera/libgalera_smm.so"

func openGalera(ctx context.Context, s *site) (*galera, error) {
	if _, err := os.Stat(galeraLibrary); err != nil {
		return nil, fmt.Errorf("galera is not installed: make servers: %w", err)
	}
	first, err := s.ports(12) // each has three more: for the group's talk, and for both ways of catching up
	if err != nil {
		return nil, err
	}
	g := &galera{site: s}
	if err := s.folder("my", "mysql"); err != nil {
		return nil, err
	}
	for i := range g.procs {
		g.ports[i] = first + 4*i
		if _, err := s.run(ctx, "mysql", "mariadb-install-db", "--no-defaults", "--datadir="+g.data(i), "--auth-root-authentication-method=normal", "--skip-test-db"); err != nil {
			return nil, err
		}
	}
	for i := range g.procs {
		if err := g.start(ctx, i, i == 0); err != nil {
			return nil, err
		}
	}
	_, err = g.sql(ctx, 0, "CREATE DATABASE tuoka")
	return g, err
}

func (g *galera) data(i int) string   { return filepath.Join(g.site.dir, "my", fmt.Sprint("data", i)) }
func (g *galera) dsn(i int) string    { return fmt.Sprintf("mysql://root@%s/tuoka", local(g.ports[i])) }
func (g *galera) member(i int) string { return local(g.ports[i] + 1) }
func (g *galera) options(i int) []string {
	var members []string
	for k := range g.ports {
		members = append(members, g.member(k))
	}
	return []string{"--no-defaults", "--datadir=" + g.data(i), "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(g.ports[i]),
		"--socket=" + g.data(i) + ".s", "--pid-file=" + g.data(i) + ".pid", "--max-connections=200", "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
		"--innodb-buffer-pool-size=128M", "--wsrep-on=ON", "--wsrep-provider=" + galeraLibrary, "--wsrep-cluster-name=tuoka",
		"--wsrep-cluster-address=gcomm://" + strings.Join(members, ","), "--wsrep-node-name=" + strconv.Itoa(i), "--wsrep-node-address=" + g.member(i),
		"--wsrep-sst-method=rsync", "--wsrep-sst-receive-address=" + local(g.ports[i]+2),
		fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://%s;ist.recv_addr=%s", g.member(i), local(g.ports[i]+3))}
}

// start starts a server, the first one of all with a new cluster, and waits until it has caught up.
func (g *galera) start(ctx context.Context, i int, first bool) (err error) {
	options := g.options(i)
	if first {
		options = append(options, "--wsrep-new-cluster")
	}
	if g.procs[i], err = g.site.launch(fmt.Sprint("mariadb", i), "mysql", "mariadbd", options...); err != nil {
		return err
	}
	return g.site.until(ctx, "MariaDB is in the cluster", 2*time.Minute, func(ctx context.Context) error { return g.synced(ctx, i) })
}

func (g *galera) synced(ctx context.Context, i int) error {
	out, err := g.sql(ctx, i, "SHOW STATUS LIKE 'wsrep_local_state_comment'")
	if err == nil && !strings.Contains(out, "Synced") {
		err = errors.New(out)
	}
	return err
}

func (g *galera) sql(ctx context.Context, i int, statement string) (string, error) {
	return g.site.run(ctx, "", "mariadb", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--port="+strconv.Itoa(g.ports[i]), "-u", "root", "--connect-timeout=3",
		"-N", "-e", statement)
}

// conflicts is how many transactions the cluster has given up, so far.
func (g *galera) conflicts(ctx context.Context) (sum int) {
	for i := range g.procs {
		out, err := g.sql(ctx, i, "SELECT SUM(variable_value) FROM information_schema.global_status WHERE variable_name IN ('wsrep_local_cert_failures', 'wsrep_local_bf_aborts')")
		if n, bad := strconv.Atoi(out); err == nil && bad == nil {
			sum += n
		}
	}
	return sum
}

// kill kills a server; mend brings it back, and it catches up.
func (g *galera) kill(i int) fault {
	return fault{name: "Galera server killed", strike: func(ctx context.Context) error { return g.procs[i].end(ctx, syscall.SIGKILL) },
		mend: func(ctx context.Context) error { return g.start(ctx, i, false) }}
}

// freeze lets a server stand still for so long that the others go on without it; then it finds its way back.
func (g *galera) freeze(i int) fault {
	return fault{name: "Galera server stands still", strike: func(context.Context) error {
		g.procs[i].signal(syscall.SIGSTOP)
		return nil
	}, mend: func(ctx context.Context) error {
		g.procs[i].signal(syscall.SIGCONT)
		return g.site.until(ctx, "MariaDB is back in the cluster", 2*time.Minute, func(ctx context.Context) error { return g.synced(ctx, i) })
	}}
}
