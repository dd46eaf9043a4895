// Command tuoka is the whole of Tuoka in one binary: the service, its sandbox, and the tools around them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal does not wait
	if err := root().ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errSaid) {
			fmt.Fprintln(os.Stderr, "tuoka: "+err.Error())
		}
		stop()
		os.Exit(1) //nolint:gocritic // the deferred stop has just been called
	}
}

// errSaid ends the program with exit code 1 after the command itself has said why.
var errSaid = errors.New("said already")

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "tuoka",
		Short:         "Tuoka (脱卡): pay a medical bill by medical insurance and WeChat Pay, without a card and without a window",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(serveCommand(), sandboxCommand(), payCommand(), simulateCommand(), benchCommand(), fillCommand(), migrateCommand(), staffCommand(), reviewCommand(), ledgerCommand(), reconcileCommand(), hisCommand(), versionCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "print version and build", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
		return err
	}}
}

// version is the module's version, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "tuoka (unknown build)"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " modified"
		}
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "development"
	}
	if revision != "" {
		v += " " + revision[:min(12, len(revision))] + dirty
	}
	return fmt.Sprintf("tuoka %s %s", v, info.GoVersion)
}
