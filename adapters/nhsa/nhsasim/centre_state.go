package nhsasim

// centreState is what the journal rebuilds of the centre.
type centreState struct {
	uploads map[string]*upload       // by payOrdId
	taken   map[string]bool          // numbers used once: by institution, member and value
	refunds map[string]*giving       // by institution and appRefdSn
	notices map[string]*centreNotice // by id
}

func newCentreState() centreState {
	return centreState{uploads: map[string]*upload{}, taken: map[string]bool{}, refunds: map[string]*giving{}, notices: map[string]*centreNotice{}}
}

// applyCentre makes one effect at the centre true; false for an entry of the core platform.
func (s *state) applyCentre(e entry) bool {
	u := s.uploads[e.PayOrdID]
	switch e.Kind {
	case "upload":
		s.addUpload(e.Upload, e.Visit)
	case "foreseen":
		u.Stas, u.Foreseen, u.Auth = stasForeseen, e.Foreseen, e.Foreseen.Auth
		s.taken[numberOf(u.Institution, "orgBizSer", e.Foreseen.Serial)] = true
		s.spent[u.Auth] = u.PayOrdID // no mdtrt_id equals it: the core platform takes it no more
	case "upload_void":
		u.Stas = stasRevoked
	case "mixed_settled":
		u.Stas, u.SetlID, u.Asked, u.RevsToken = stasAllDone, e.Settle.SetlID, e.Asked, e.RevsToken
		s.addSettlement(e.Settle)
		s.keepNotice(e.Notice)
	case "mixed_failed":
		u.Stas, u.Asked, u.Reason = stasFailed, e.Asked, e.Reason
	case "given_back":
		s.applyRefund(u, e.Giving)
	case "pushed":
		s.keepNotice(e.Notice)
	default:
		return false
	}
	return true
}

func (s *state) addUpload(u *upload, v *visit) {
	s.uploads[u.PayOrdID] = u
	s.taken[numberOf(u.Institution, "medOrgOrd", u.OrderNo)] = true
	s.taken[numberOf(u.Institution, "chrgBchno", u.Batch)] = true
	for _, r := range u.Rows {
		s.taken[numberOf(u.Institution, "feedetlSn", r.No)] = true
	}
	if v != nil {
		v.Batches, v.Settled, v.Lines = map[string][]feeRow{}, map[string]string{}, map[string]bool{}
		s.visits[v.MdtrtID] = v
	}
}

func (s *state) applyRefund(u *upload, g *giving) {
	s.refunds[numberOf(u.Institution, "appRefdSn", g.Number)] = g
	if g.Status != refundDone {
		return
	}
	u.Stas = g.Stas
	u.CashBack += g.Cash
	if g.Insurer {
		k := &cancel{SetlID: g.SetlID, Of: u.SetlID, MsgID: u.PayOrdID + "|" + g.Number, At: g.At}
		s.cancels[k.MsgID], s.cancelIDs[k.SetlID] = k, k
		s.undo(s.settlements[u.SetlID], cancelled)
	}
}

func (s *state) keepNotice(n *centreNotice) {
	if n != nil {
		s.notices[n.ID] = n
	}
}

// TrueUpload is one upload as it stands, whatever is told.
type TrueUpload struct {
	PayOrdID string `json:"pay_ord_id"`
	OrderNo  string `json:"med_org_ord"`
	OrgCodg  string `json:"fixmedins_code"`
	OrdStas  int    `json:"ord_stas"`
}
