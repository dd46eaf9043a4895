package settlement

// OrdStas is where an upload stands at the mobile-payment centre (ordStas, nhsa-mobile-pay.md §5). Codes that are not named here mean
// nothing: neither success nor failure.
type OrdStas int

// The codes.
const (
	Saved             OrdStas = 0  // 已保存
	Foreseen          OrdStas = 1  // 预结算完成
	CentreSettling    OrdStas = 2  // 结算中
	CashDone          OrdStas = 3  // 自费完成
	InsurancePaid     OrdStas = 4  // 医保支付完成
	HospitalSettled   OrdStas = 5  // 院内结算完成
	AllDone           OrdStas = 6  // 结算完成
	Refunded          OrdStas = 7  // 已退款
	InsuranceRefunded OrdStas = 8  // 医保已全部退款
	CashRefunded      OrdStas = 9  // 仅自费全部退款
	CashPartRefunded  OrdStas = 10 // 仅自费部分退款
	CashPartBack      OrdStas = 11 // 医保全部退款、自费部分退款
	Revoked           OrdStas = 12 // 已撤销
	InsuranceRevoked  OrdStas = 13 // 医保已撤销
	Exceptional       OrdStas = 14 // 异常
	SettleFailed      OrdStas = 15 // 结算失败
	CashAtRisk        OrdStas = 16 // 医保结算失败，自费冲正失败
)

// Standing is what a code means for the insurer's part.
type Standing string

// The standings.
const (
	StandsOpen       Standing = "open"       // uploaded, perhaps presettled; may be revoked
	StandsMoving     Standing = "moving"     // being settled; nobody may touch it
	StandsPaid       Standing = "paid"       // the insurer's part is settled
	StandsReturned   Standing = "returned"   // the insurer's part was settled and is back
	StandsCashBack   Standing = "cash_back"  // the insurer's part is settled, cash went back
	StandsRevoked    Standing = "revoked"    // revoked before it was settled
	StandsFailed     Standing = "failed"     // not settled, and never will be
	StandsPeculiar   Standing = "peculiar"   // 14, 16: nobody but a person can tell
	StandsUnknowable Standing = "unknowable" // a code that is not published: wait
)

// standings is nhsa-mobile-pay.md §5 as a table.
var standings = map[OrdStas]Standing{
	Saved: StandsOpen, Foreseen: StandsOpen,
	CentreSettling: StandsMoving, CashDone: StandsMoving,
	InsurancePaid: StandsPaid, HospitalSettled: StandsPaid, AllDone: StandsPaid,
	Refunded: StandsReturned, InsuranceRefunded: StandsReturned, CashPartBack: StandsReturned,
	CashRefunded: StandsCashBack, CashPartRefunded: StandsCashBack,
	Revoked: StandsRevoked, InsuranceRevoked: StandsFailed, SettleFailed: StandsFailed,
	Exceptional: StandsPeculiar, CashAtRisk: StandsPeculiar,
}

// Standing is the code's meaning; a code without one is unknowable.
func (o OrdStas) Standing() Standing {
	if s, ok := standings[o]; ok {
		return s
	}
	return StandsUnknowable
}
