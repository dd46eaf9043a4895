package nhsasim

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"
)

// file is what an institution uploaded, or what was made for it.
type file struct {
	No          string    `json:"file_qury_no"`
	Name        string    `json:"filename"`
	Institution string    `json:"fixmedins_code"`
	Result      bool      `json:"result,omitempty"`
	Until       time.Time `json:"dld_endtime"`
	Content     []byte    `json:"content"`
}

// maxUpload is the most that an uploaded text may unpack to.
const maxUpload = 64 << 20

// takeFile is 9101 (文件上传). Its output has no node.
func (s *Sim) takeFile(c call) (reply, error) {
	in, err := c.node("fsUploadIn", table9101)
	if err != nil {
		return reply{}, err
	}
	var node map[string]json.RawMessage
	if json.Unmarshal(c.input["fsUploadIn"], &node) != nil {
		return reply{}, refuse("交易输入节点[fsUploadIn]不能为空")
	}
	content, err := s.readBytes(node["in"])
	switch {
	case err != nil:
		return reply{}, err
	case in["fixmedins_code"] != c.institution:
		return reply{}, refuse("定点医药机构编号[fixmedins_code]与报文头不一致")
	case !strings.HasSuffix(strings.ToLower(in["filename"]), ".zip"):
		return reply{}, refuse("文件[filename]应为ZIP压缩文件")
	}
	if _, err := unpack(content); err != nil {
		return reply{}, err
	}
	f, err := s.keepFile(c, in["filename"], content, false)
	if err != nil {
		return reply{}, err
	}
	return reply{output: map[string]any{"file_qury_no": f.No, "filename": f.Name, "fixmedins_code": f.Institution, "dld_endtime": inChina(f.Until)}}, nil
}

// readBytes reads in of 9101 in the form of this area.
func (s *Sim) readBytes(raw json.RawMessage) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, refuse("[in]不能为空")
	}
	if s.oddities.Statements.UploadArray {
		var signed []int8
		if json.Unmarshal(raw, &signed) != nil {
			return nil, refuse("[in]应为字节数组")
		}
		content := make([]byte, len(signed))
		for i, b := range signed {
			content[i] = byte(b) //nolint:gosec // Java's bytes have a sign
		}
		return content, nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return nil, refuse("[in]应为字符型")
	}
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, refuse("[in]不是有效的BASE64编码")
	}
	return content, nil
}

// keepFile gives a file its number and the moment until which it can be fetched.
func (s *Sim) keepFile(c call, name string, content []byte, result bool) (*file, error) {
	long := time.Hour
	if m := s.oddities.Statements.DeadlineMinute; m > 0 {
		long = time.Duration(m) * time.Minute
	}
	f := &file{No: fmt.Sprintf("fsi/plc/%022x", s.source.ID()), Name: name, Institution: c.institution, Result: result, Until: c.now.Add(long), Content: content}
	return f, s.record(entry{Kind: "file", MsgID: c.msgID, File: f})
}

// giveFile is 9102 (文件下载): the file itself, without an envelope.
func (s *Sim) giveFile(c call) (reply, error) {
	in, err := c.node("fsDownloadIn", table9102)
	if err != nil {
		return reply{}, err
	}
	want := "plc"
	if s.oddities.Statements.OwnCode {
		want = c.institution
	}
	f := s.files[in["file_qury_no"]]
	switch {
	case in["fixmedins_code"] != want:
		return reply{}, refuse("定点医药机构编号[fixmedins_code]无权下载该文件")
	case f == nil || f.Institution != c.institution || !f.Result || f.Name != in["filename"]:
		return reply{}, refuse("文件[%s]不存在", in["filename"])
	case c.now.After(f.Until):
		return reply{}, refuse("文件[%s]已超过下载截止时间[%s]", in["filename"], inChina(f.Until))
	}
	return reply{file: f.Content}, nil
}

// unpack gives the one text of a ZIP.
func unpack(content []byte) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, refuse("文件不是有效的ZIP压缩文件")
	}
	if len(z.File) != 1 || !strings.HasSuffix(strings.ToLower(z.File[0].Name), ".txt") {
		return nil, refuse("压缩文件内应有且仅有一个TXT文件")
	}
	in, err := z.File[0].Open()
	if err != nil {
		return nil, refuse("压缩文件无法解压")
	}
	text, err := io.ReadAll(io.LimitReader(in, maxUpload+1))
	if err = errors.Join(err, in.Close()); err != nil || len(text) > maxUpload {
		return nil, refuse("压缩文件无法解压或过大")
	}
	return text, nil
}

// pack makes the ZIP of a result, with what is ordered to be wrong with it.
func (o StatementOddities) pack(text []byte) ([]byte, error) {
	if o.Bomb {
		return bomb()
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	names := []string{"result.txt"}
	if o.Path {
		names[0] = "../result.txt"
	}
	if o.SecondFile {
		names = append(names, "readme.txt")
	}
	for _, name := range names {
		w, err := z.Create(name)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// bomb is a true ZIP of some 300 KB that unpacks to 300 MB: a megabyte of zeros is deflated once and stands in it three hundred times.
func bomb() ([]byte, error) {
	const times = 300
	zeros := make([]byte, 1<<20)
	var one, out bytes.Buffer
	d, err := flate.NewWriter(&one, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := d.Write(zeros); err != nil {
		return nil, err
	}
	if err := d.Flush(); err != nil {
		return nil, err
	}
	last := []byte{1, 0, 0, 0xff, 0xff} // an empty block that ends the stream
	sum := uint32(0)
	for range times {
		sum = crc32.Update(sum, crc32.IEEETable, zeros)
	}
	z := zip.NewWriter(&out)
	w, err := z.CreateRaw(&zip.FileHeader{Name: "result.txt", Method: zip.Deflate, CRC32: sum, UncompressedSize64: times << 20,
		CompressedSize64: uint64(times*one.Len() + len(last))}) //nolint:gosec // some 300 KB
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(append(bytes.Repeat(one.Bytes(), times), last...)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
