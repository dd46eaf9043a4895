package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tuoka/tuoka/adapters/his/certify"
)

// simulatedHands arranges situations by the control of a HIS simulator (hissim).
type simulatedHands struct {
	base string
	wire http.RoundTripper
}

// Do asks the simulator's people.
func (s simulatedHands) Do(ctx context.Context, t certify.Task) (number string, err error) {
	type object = map[string]any
	items := []object{{"code": "W10231", "quantity": "24"}, {"code": "S80011", "quantity": "1"}}
	bill := "/bills/" + url.PathEscape(t.Bill)
	switch t.Do {
	case certify.WriteBill:
		return s.post(ctx, "/bills", object{"patient_id": t.Patient, "items": items}, "bill_no")
	case certify.OpenArchive:
		return s.post(ctx, "/patients", object{"name": "柳无名", "id_no": "110102197701010013"}, "patient_id")
	case certify.PayAtWindow:
		return s.post(ctx, bill+"/window-pay", nil, "")
	case certify.ChangeBill:
		return s.post(ctx, bill+"/change", object{"items": []object{{"code": "W10231", "quantity": "14"}}}, "")
	case certify.VoidBill:
		return s.post(ctx, bill+"/void", nil, "")
	case certify.HandOut:
		return s.post(ctx, bill+"/lines/"+url.PathEscape(t.Line)+"/hand-out", nil, "")
	case certify.AskRefund:
		return s.post(ctx, "/postings/"+url.PathEscape(t.Order)+"/ask-refund", object{"reason": "窗口退费"}, "")
	case certify.Maintenance:
		return s.post(ctx, "/faults/script", object{"op": "post", "fault": "refuse", "times": 1}, "")
	}
	return "", certify.ErrNobody
}

// post tells the simulator, and reads one member of what it says.
func (s simulatedHands) post(ctx context.Context, path string, in any, member string) (string, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return "", err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(s.base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := s.wire.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return "", err
	case res.StatusCode == http.StatusConflict:
		return "", certify.ErrRefused
	case res.StatusCode != http.StatusOK:
		return "", fmt.Errorf("模拟器应答 HTTP %d", res.StatusCode)
	case member == "":
		return "", nil
	}
	var out map[string]any
	if err := json.Unmarshal(said, &out); err != nil {
		return "", err
	}
	number, _ := out[member].(string)
	return number, nil
}

// askedHands has the person at the keyboard arrange situations in the hospital's system.
type askedHands struct {
	in  *bufio.Reader
	out io.Writer
}

// Do tells what to do and waits until it is done.
func (a *askedHands) Do(_ context.Context, t certify.Task) (number string, err error) {
	wanted := map[certify.Doing]string{
		certify.WriteBill:   "为患者号 " + t.Patient + " 开一张待缴费的测试单据（最好两项、其中一项数量大于一），输入单据号",
		certify.OpenArchive: "输入另一名测试患者的患者号（没有待缴费）",
		certify.PayAtWindow: "在窗口收取单据 " + t.Bill + " 的费用",
		certify.ChangeBill:  "请医生变更单据 " + t.Bill + " 的项目或数量，使总额不同",
		certify.VoidBill:    "作废单据 " + t.Bill,
		certify.HandOut:     "发出（或执行）单据 " + t.Bill + " 的第 " + t.Line + " 项",
		certify.AskRefund:   "在窗口为订单 " + t.Order + " 申请退费（由平台退款）",
		certify.Maintenance: "让系统进入日结或维护，拒绝下一次入账",
	}[t.Do]
	numbered := t.Do == certify.WriteBill || t.Do == certify.OpenArchive
	hint := "完成后输入 y；被系统拒绝输入 r；做不到直接回车"
	if numbered {
		hint = "做不到直接回车"
	}
	if _, err := fmt.Fprintf(a.out, "\n>> 请配合：%s（%s）：", wanted, hint); err != nil {
		return "", err
	}
	line, err := a.in.ReadString('\n')
	line = strings.TrimSpace(line)
	switch {
	case line == "" || (err != nil && line == ""):
		return "", certify.ErrNobody
	case numbered:
		return line, nil
	case strings.EqualFold(line, "r"):
		return "", certify.ErrRefused
	case strings.EqualFold(line, "y"):
		return "", nil
	}
	return "", certify.ErrNobody
}
