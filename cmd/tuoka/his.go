package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func hisCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "his", Short: "connect a hospital's HIS (接入医院系统)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("参数有误：%w；用法见 %s --help", err, cmd.CommandPath())
	})
	cmd.AddCommand(hisExplain(), hisCertify())
	return cmd
}

// hisExplain shows how a sample answer is read.
func hisExplain() *cobra.Command {
	var mapping, speaks, operation, answer, request string
	cmd := &cobra.Command{Use: "explain", Short: "show value by value how a HIS's answer is read (逐项说明如何读取应答)", Args: noWords,
		Long: `Reads a sample answer of a HIS as the service would, with a mapping (docs/his-guide.md) or a FHIR profile (docs/his-fhir.md), and prints of
every value where it is from, what stands there, and what it becomes; then what nobody reads, and the answer in the words of docs/his-interface.md. The
signature is not checked. The sample is printed as it is: use one without patients' data. Exit code 1 when it cannot be read.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "operation", "answer"); err != nil {
				return err
			}
			return explain(cmd.OutOrStdout(), mapping, speaks, operation, answer, request)
		}}
	cmd.Flags().StringVar(&mapping, "mapping", "", "the mapping's or profile's file; by default that of the sandbox's HIS (对照文件)")
	cmd.Flags().StringVar(&speaks, "his", "soap", "without --mapping: which of the sandbox's HISes, soap or fhir (无对照文件时)")
	cmd.Flags().StringVar(&operation, "operation", "", "name in docs/his-interface.md: bills/pending, postings/post … (操作)")
	cmd.Flags().StringVar(&answer, "answer", "", "file with the answer's body as it came (应答样本)")
	cmd.Flags().StringVar(&request, "request", "", "file with the request's members as JSON, for what the HIS does not repeat (请求成员)")
	return cmd
}

// errNotRead is an answer that cannot be read; what is wrong was said.
var errNotRead = errors.New("应答无法读取")

func explain(out io.Writer, mappingFile, speaks, operation, answerFile, requestFile string) error {
	mapping, name, err := readExplainer(mappingFile, speaks)
	if err != nil {
		return fmt.Errorf("对照文件有误，请按提示改正：%w", err)
	}
	body, err := os.ReadFile(answerFile) //nolint:gosec // the operator's own file
	if err != nil {
		return fmt.Errorf("应答样本：%w", err)
	}
	var asked []byte
	if requestFile != "" {
		if asked, err = os.ReadFile(requestFile); err != nil { //nolint:gosec // the operator's own file
			return fmt.Errorf("请求成员：%w", err)
		}
	}
	e, wrong := mapping.Explain(operation, asked, body)
	if _, err := fmt.Fprintf(out, "%s · %s\n\n", name, operation); err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "接口成员\t对方元素\t原文\t读作\n") // Flush tells
	for _, s := range e.Steps {
		read := s.Value
		switch {
		case s.Err != nil:
			read = "✗ " + s.Err.Error()
		case s.Value == "":
			read = "—（未给出）"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Member, s.Element, s.Raw, read)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(e.Unread) > 0 {
		_, _ = fmt.Fprintf(out, "\n无人读取的元素：\n")
		for _, path := range e.Unread {
			_, _ = fmt.Fprintf(out, "  %s\n", path)
		}
	}
	if wrong != nil {
		_, err := fmt.Fprintf(out, "\n结果码 %q；不能采信：%v\n", e.Code, wrong)
		return errors.Join(err, errNotRead)
	}
	_, err = fmt.Fprintf(out, "\n结果码 %q，按接口写作（未核对签名）：\n%s\n", e.Code, e.JSON())
	return err
}
