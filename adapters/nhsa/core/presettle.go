package core

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/settlement"
)

// everyBatch is the chrg_bchno of 2205 that names every unsettled row of a visit.
const everyBatch = "0000"

// Presettle registers, uploads and asks for the split: 1101, 2201, 2203A, 2204, 2206, each only where it is still wanted. It moves no
// money. An error names the step; the result's Visit tells how far it came.
func (c *Client) Presettle(ctx context.Context, claim settlement.Claim) (settlement.Presettlement, error) {
	at := claim.Visit
	v, err := visitOf(claim.Bills)
	if err != nil {
		return settlement.Presettlement{Visit: at}, err
	}
	if at.MdtrtID == "" && v.InsurerVisitID != "" { // registered by the HIS
		at.MdtrtID, at.PersonNo, at.InsuranceType, at.CoverageArea, at.Ours = v.InsurerVisitID, v.PersonNo, v.InsuranceType, v.CoverageArea, false
		defaults(&at.VisitNo, v.No)
	}
	if err := c.ready(claim, v); err != nil {
		return settlement.Presettlement{Visit: at}, fmt.Errorf("presettle: %w", err)
	}
	for _, step := range []struct {
		name string
		run  func(context.Context, settlement.Claim, *bill.Visit, *settlement.Visit) error
	}{{"1101 person", c.findPerson}, {"2201 registration", c.register}, {"2205 withdrawal", c.withdrawOld}, {"2203A visit", c.uploadVisit},
		{"2204 fees", c.uploadRows}} {
		if err := step.run(ctx, claim, v, &at); err != nil {
			return settlement.Presettlement{Visit: at}, fmt.Errorf("presettle, %s: %w", step.name, err)
		}
	}
	claim.Visit = at
	return c.Repeat(ctx, claim)
}

// ready refuses at home, before the first message, what no platform would take: the visit's and the rows' texts and sums. The insurer's
// numbers are not known yet and have stand-ins.
func (c *Client) ready(claim settlement.Claim, v *bill.Visit) error {
	standIn := settlement.Visit{MdtrtID: "-", PersonNo: "-"}
	_, _, err := c.visitNodes(v, standIn)
	if err != nil {
		return err
	}
	_, err = c.rows(claim, standIn)
	return err
}

// Repeat is 2206 on the batch as it stands.
func (c *Client) Repeat(ctx context.Context, claim settlement.Claim) (settlement.Presettlement, error) {
	result := settlement.Presettlement{Visit: claim.Visit}
	v, err := visitOf(claim.Bills)
	if err != nil {
		return result, err
	}
	in, err := c.settleInput(claim, v, claim.Visit)
	if err == nil {
		err = check(in)
	}
	if err != nil {
		return result, fmt.Errorf("presettle, 2206: %w", err)
	}
	var out settleOutput
	msgID := c.MsgID()
	if _, err := c.send(ctx, c.about(claim, "2206", msgID, "data", in), &out); err != nil {
		return result, fmt.Errorf("presettle, 2206: %w", err)
	}
	a, err := c.read(out, claim, msgID)
	if err != nil {
		return result, fmt.Errorf("presettle, 2206: %w", err)
	}
	result.Split, result.Echo = a.split, a.echo
	if out.Info.Balance.Present {
		balance := out.Info.Balance.Fen
		result.Balance = &balance
	}
	return result, nil
}

// read proves that a settlement's answer is about this claim and this call, and normalises it.
func (c *Client) read(out settleOutput, claim settlement.Claim, msgID string) (amounts, error) {
	i := out.Info
	switch {
	case i == nil:
		return amounts{}, ErrUnreadable.Because(errors.New("no setlinfo"))
	case i.MdtrtID != "" && string(i.MdtrtID) != claim.Visit.MdtrtID:
		return amounts{}, ErrUnreadable.Because(errors.New("the answer is about another visit"))
	case i.PersonNo != "" && string(i.PersonNo) != claim.Visit.PersonNo:
		return amounts{}, ErrUnreadable.Because(errors.New("the answer is about another person"))
	case !c.cfg.Profile.MsgIDNotEchoed && i.MsgID != "" && string(i.MsgID) != msgID:
		return amounts{}, ErrUnreadable.Because(errors.New("the answer is to another message"))
	}
	return c.cfg.Profile.normalise(out, claim.Total)
}

// about is a message about the claim's visit.
func (c *Client) about(claim settlement.Claim, infno, msgID, node string, input any) message {
	wait := c.cfg.Timeouts.Upload
	if infno == "2207" {
		wait = c.cfg.Timeouts.Settle
	}
	return message{infno: infno, msgID: msgID, coverageArea: claim.Visit.CoverageArea, input: map[string]any{node: input}, wait: wait,
		hide: []string{claim.Person.Name.Reveal()}}
}

// findPerson is 1101, when the person number, the insurance or its area is not known yet.
func (c *Client) findPerson(ctx context.Context, claim settlement.Claim, v *bill.Visit, at *settlement.Visit) error {
	if at.PersonNo != "" && at.InsuranceType != "" && at.CoverageArea != "" {
		return nil
	}
	_, err := c.askPerson(ctx, claim, v, at)
	return err
}

// askPerson is 1101 on the claim's credential: person number, insurance and area go into at.
func (c *Client) askPerson(ctx context.Context, claim settlement.Claim, v *bill.Visit, at *settlement.Visit) (personOutput, error) {
	var out personOutput
	kind, no, err := c.credential(claim.Person)
	if err != nil {
		return out, err
	}
	in := personInput{CertType: kind, CertNo: no, PsnCertType: "01", IDNumber: claim.Person.IDNumber.Reveal(), Name: claim.Person.Name.Reveal()}
	if claim.Person.IDNumber.IsZero() {
		in.PsnCertType = ""
	}
	if err := check(in); err != nil {
		return out, err
	}
	m := c.about(claim, "1101", c.MsgID(), "data", in)
	m.coverageArea, m.wait = "", c.cfg.Timeouts.Query
	if _, err := c.send(ctx, m, &out); err != nil {
		return out, err
	}
	if err := samePerson(out, claim.Person.Name, claim.Person.IDNumber); err != nil {
		return out, err
	}
	personNo := string(out.Base.PersonNo)
	if personNo == "" {
		return out, ErrUnreadable.Because(errors.New("baseinfo without psn_no"))
	}
	if at.PersonNo != "" && at.PersonNo != personNo {
		return out, ErrPerson.Because(errors.New("psn_no differs from the HIS's"))
	}
	row, err := c.choose(out.Insurances, at, v)
	if err != nil {
		return out, err
	}
	at.PersonNo, at.InsuranceType, at.CoverageArea = personNo, string(row.Type), string(row.Area)
	return out, nil
}

// choose picks the insurance to settle by: in force, what the HIS chose if it chose, else by the Profile's preference, and among equals
// the one of our own area.
func (c *Client) choose(rows []insuranceRow, at *settlement.Visit, v *bill.Visit) (insuranceRow, error) {
	today := c.cfg.Clock.Now().In(clock.Shanghai).Format("2006-01-02")
	wanted := at.InsuranceType
	defaults(&wanted, v.InsuranceType)
	best, bestRank := insuranceRow{}, -1
	for _, r := range rows {
		paused := r.Paused != "" && string(r.Paused[:min(10, len(r.Paused))]) <= today
		if r.Type == "" || len(r.Area) != 6 || paused || (r.State != "" && r.State != "1") || (wanted != "" && string(r.Type) != wanted) {
			continue
		}
		rank := slices.Index(c.cfg.Profile.Insurances, string(r.Type))
		if rank < 0 {
			rank = len(c.cfg.Profile.Insurances)
		}
		rank *= 2
		if string(r.Area) != c.cfg.MdtrtareaAdmvs {
			rank++
		}
		if bestRank < 0 || rank < bestRank {
			best, bestRank = r, rank
		}
	}
	if bestRank < 0 {
		return insuranceRow{}, ErrNoCover
	}
	return best, nil
}

// register is 2201, unless the visit has its number already.
func (c *Client) register(ctx context.Context, claim settlement.Claim, v *bill.Visit, at *settlement.Visit) error {
	if at.MdtrtID != "" {
		return nil
	}
	kind, no, err := c.credential(claim.Person)
	if err != nil {
		return err
	}
	defaults(&at.VisitNo, v.No)
	in := visitInput{PersonNo: at.PersonNo, Insurance: at.InsuranceType, Begin: inChina(v.Begun), CertType: kind, CertNo: no, VisitNo: at.VisitNo,
		DoctorCode: v.DoctorCode, DoctorName: cut(v.DoctorName, 50), DeptCode: v.DepartmentCode, DeptName: cut(v.DepartmentName, 100), Caty: v.Caty}
	if err := check(in); err != nil {
		return err
	}
	claim.Visit = *at
	var out visitOutput
	if _, err := c.send(ctx, c.about(claim, "2201", c.MsgID(), "data", in), &out); err != nil {
		return err
	}
	id := string(out.Data.MdtrtID)
	if id == "" || len(id) > 30 || (out.Data.VisitNo != "" && string(out.Data.VisitNo) != at.VisitNo) {
		return ErrUnreadable.Because(errors.New("no mdtrt_id, or about another visit"))
	}
	at.MdtrtID, at.Ours = id, true
	return nil
}

// withdrawOld is 2205 on a visit that was there before this call. It is done for its effect only: a refusal says that there was nothing to
// withdraw. No answer at all stops the chain, for rows that vanish late must not be ours.
func (c *Client) withdrawOld(ctx context.Context, claim settlement.Claim, _ *bill.Visit, at *settlement.Visit) error {
	if at.MdtrtID != claim.Visit.MdtrtID && at.Ours { // registered a moment ago
		return nil
	}
	claim.Visit = *at
	if err := c.withdrawRows(ctx, claim); err != nil && fault.KindOf(err) != fault.Rejected {
		return err
	}
	return nil
}

// withdrawRows is 2205: of a visit of ours every unsettled row, of the HIS's visit only our batch, for the other rows are the HIS's.
func (c *Client) withdrawRows(ctx context.Context, claim settlement.Claim) error {
	in := batchRef{MdtrtID: claim.Visit.MdtrtID, Batch: everyBatch, PersonNo: claim.Visit.PersonNo}
	if !claim.Visit.Ours {
		in.Batch = claim.BatchNo
	}
	if err := check(in); err != nil {
		return err
	}
	_, err := c.send(ctx, c.about(claim, "2205", c.MsgID(), "data", in), nil)
	return err
}

// uploadVisit is 2203A.
func (c *Client) uploadVisit(ctx context.Context, claim settlement.Claim, v *bill.Visit, at *settlement.Visit) error {
	info, list, err := c.visitNodes(v, *at)
	if err != nil {
		return err
	}
	claim.Visit = *at
	infno := "2203A"
	if c.cfg.Profile.PlainVisit {
		infno = "2203"
	}
	m := c.about(claim, infno, c.MsgID(), "mdtrtinfo", info)
	m.input["diseinfo"] = list
	_, err = c.send(ctx, m, nil)
	return err
}

// uploadRows is 2204, in calls of at most Profile.RowsPerCall rows under one chrg_bchno. The answer must repeat every row.
func (c *Client) uploadRows(ctx context.Context, claim settlement.Claim, _ *bill.Visit, at *settlement.Visit) error {
	rows, err := c.rows(claim, *at)
	if err != nil {
		return err
	}
	claim.Visit = *at
	for part := range slices.Chunk(rows, c.cfg.Profile.RowsPerCall) {
		var out rowOutput
		_, err := c.send(ctx, c.about(claim, "2204", c.MsgID(), "feedetail", part), &out)
		if err == nil {
			err = sameRows(part, out)
		}
		if err != nil {
			return fmt.Errorf("rows %s to %s: %w", part[0].No, part[len(part)-1].No, err)
		}
	}
	return nil
}

func sameRows(sent []feeRow, out rowOutput) error {
	if len(out.Result) != len(sent) {
		return ErrUnreadable.Because(fmt.Errorf("%d rows sent, %d split", len(sent), len(out.Result)))
	}
	totals := make(map[string]feeRow, len(sent))
	for _, r := range sent {
		totals[r.No] = r
	}
	for _, r := range out.Result {
		if s, ok := totals[string(r.No)]; !ok || (r.Total.Present && r.Total.Fen != s.Total.Fen) {
			return ErrUnequal.Because(errors.New("a row came back with another number or amount"))
		}
		delete(totals, string(r.No))
	}
	return nil
}
