package core

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

const (
	maxPacked   = 64 << 20  // of a result, as it comes
	maxUnpacked = 256 << 20 // and unpacked
)

// file is a message about books and files; it names no person, so it has no area of insurance.
func (c *Client) file(infno, node string, input any) message {
	return message{infno: infno, msgID: c.MsgID(), input: map[string]any{node: input}, wait: c.cfg.Timeouts.Files}
}

// uploadFile is the list that 3202 compares (§4.4): setl_id, mdtrt_id, psn_no, medfee_sumamt, fund_pay_sumamt, acct_pay, refd_setl_flag. The number of
// an undone settlement is that of the settlement: the ledger has no other.
func (c *Client) uploadFile(rows []*own) []byte {
	p := &c.cfg.Profile.Statement
	end := "\n"
	if p.UploadCRLF {
		end = "\r\n"
	}
	if p.UploadTrailingTab {
		end = "\t" + end
	}
	if p.UploadExtension {
		end = "\t" + end
	}
	var out bytes.Buffer
	for _, o := range rows {
		a, sign, flag := c.cfg.Profile.stated(o.split), money.Fen(1), "0"
		if o.undone {
			sign, flag = -1, "1"
		}
		out.WriteString(strings.Join([]string{o.setlID, o.mdtrtID, o.personNo, (sign * a.total).String(), (sign * a.fund).String(),
			(sign * a.account).String(), flag}, "\t") + end)
	}
	return out.Bytes()
}

// packed is a ZIP with that one file.
func packed(name string, content []byte) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create(name)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// compareRows uploads our rows, has them compared and fetches the result: 9101, 3202, 9102.
func (c *Client) compareRows(ctx context.Context, day recon.Day, g Group, t *tally, list []byte) (*resultFile, error) {
	p := &c.cfg.Profile.Statement
	name := fmt.Sprintf("%s_%s_%s", c.cfg.FixmedinsCode, strings.ReplaceAll(day.String(), "-", ""), g)
	content, err := packed(name+".txt", list)
	if err != nil {
		return nil, err
	}
	up := uploadInput{In: fileBytes{content, p.UploadArray}, Name: name + ".zip", Institution: c.cfg.FixmedinsCode}
	var sent fileRef
	if _, err := c.send(ctx, c.file("9101", "fsUploadIn", up), &sent); err != nil {
		return nil, fmt.Errorf("9101: %w", c.notReady(err))
	}
	if sent.No == "" {
		return nil, fmt.Errorf("9101: %w", ErrUnreadable.Because(errors.New("no file_qury_no")))
	}
	in := detailInput{Agency: g.ClrOptins, FileNo: string(sent.No), Begin: day.String(), End: day.String(), Total: inYuan(t.total), Fund: inYuan(t.fund),
		Cash: inYuan(t.cash), Count: strconv.Itoa(t.count), ClrType: g.ClrType}
	in.Refunds, in.RefundsCap = p.refundFlag()
	if err := check(in); err != nil {
		return nil, fmt.Errorf("3202: %w", err)
	}
	var made detailOutput
	if _, err := c.send(ctx, c.file("3202", "data", in), &made); err != nil {
		return nil, fmt.Errorf("3202: %w", c.notReady(err))
	}
	if made.File.No == "" || made.File.Name == "" {
		return nil, fmt.Errorf("3202: %w", ErrUnreadable.Because(errors.New("no fileinfo")))
	}
	result, err := c.download(ctx, made.File)
	if err != nil {
		return nil, fmt.Errorf("9102: %w", c.notReady(err))
	}
	return result, nil
}

// download is 9102. Its success is the file itself, its failure JSON: the content decides, whatever the header says.
func (c *Client) download(ctx context.Context, f fileRef) (*resultFile, error) {
	in := downloadInput{FileNo: string(f.No), Name: string(f.Name), Institution: institutionOfFiles}
	if c.cfg.Profile.Statement.DownloadOwnCode {
		in.Institution = c.cfg.FixmedinsCode
	}
	if err := check(in); err != nil {
		return nil, err
	}
	m := c.file("9102", "fsDownloadIn", in)
	answer, err := c.exchange(ctx, m, maxPacked)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(bytes.TrimLeft(answer, " \t\r\n\ufeff"), []byte("{")) {
		if _, err := c.understand(m, answer, nil); err != nil {
			return nil, err
		}
		return nil, ErrUnreadable.Because(errors.New("a success without the file"))
	}
	return openResult(answer)
}

// resultFile is a result as it came: a ZIP with one text in it.
type resultFile struct{ text *zip.File }

// openResult looks at the outside of a result: one file, without a path, that says it is not larger than it may be.
func openResult(content []byte) (*resultFile, error) {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, badFile("not a ZIP")
	}
	if len(z.File) != 1 {
		return nil, badFile("a ZIP with %d files", len(z.File))
	}
	f := z.File[0]
	switch {
	case f.FileInfo().IsDir() || !f.Mode().IsRegular() || strings.ContainsAny(f.Name, `/\:`) || strings.Contains(f.Name, ".."):
		return nil, badFile("a ZIP whose file has a path")
	case f.Flags&1 != 0:
		return nil, badFile("a ZIP under a password")
	case f.UncompressedSize64 > maxUnpacked:
		return nil, badFile("more than 256 MB unpacked")
	}
	return &resultFile{f}, nil
}

// open gives the text, and breaks off where it is larger than it said.
func (r *resultFile) open() (io.ReadCloser, error) {
	in, err := r.text.Open()
	if err != nil {
		return nil, badFile("a ZIP that cannot be unpacked")
	}
	return &bounded{in, maxUnpacked}, nil
}

// copyTo writes the text as it is.
func (r *resultFile) copyTo(w io.Writer) error {
	in, err := r.open()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, in.Close())
}

// bounded reads so many bytes and no more. What breaks in the archive breaks the file's form.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read is io.Reader's; ErrForm beyond the bound, and where the archive is damaged.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	switch {
	case b.left < 0:
		return 0, badFile("more than 256 MB unpacked")
	case err != nil && !errors.Is(err, io.EOF):
		return n, badFile("a ZIP that cannot be unpacked")
	}
	return n, err
}
