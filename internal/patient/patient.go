// Package patient holds WeChat accounts, the patients they act for, their consents and insurance bindings.
package patient

import (
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// AccountID names a WeChat account at one institution. Ours, opaque to others.
type AccountID int64

// ID names a patient. Ours, opaque to others.
type ID int64

// What can be wrong with a caller or a patient.
var (
	ErrSession      = fault.New(fault.Unauthenticated, "SESSION_INVALID", "登录已失效，请重新进入小程序")
	ErrLoginCode    = fault.New(fault.Unauthenticated, "LOGIN_CODE_INVALID", "登录凭证已失效，请重试")
	ErrLoginBlocked = fault.New(fault.Forbidden, "LOGIN_BLOCKED", "微信账号存在风险，暂不能登录")
	ErrBusy         = fault.New(fault.Unavailable, "WECHAT_BUSY", "微信繁忙，请稍后再试")
	ErrNoConsent    = fault.New(fault.Forbidden, "CONSENT_REQUIRED", "请先阅读并同意授权书")
	ErrNotFound     = fault.New(fault.NotFound, "PATIENT_NOT_FOUND", "没有找到该就诊人")
	ErrIDNumber     = fault.New(fault.Invalid, "ID_NUMBER_INVALID", "身份证号码有误，请核对")
	ErrName         = fault.New(fault.Invalid, "NAME_INVALID", "姓名有误，请核对")
	ErrPhone        = fault.New(fault.Invalid, "PHONE_INVALID", "手机号码有误，请核对")
	ErrExists       = fault.New(fault.Conflict, "PATIENT_EXISTS", "该就诊人已添加")
	ErrTooMany      = fault.New(fault.Conflict, "PATIENTS_TOO_MANY", "就诊人数量已达上限")
	ErrNoRecord     = fault.New(fault.Rejected, "HIS_PATIENT_NOT_FOUND", "医院没有该就诊人的档案，请先到窗口建档")
	ErrManyRecords  = fault.New(fault.Conflict, "HIS_PATIENT_AMBIGUOUS", "医院有多份档案，请选择就诊卡号")
	ErrGuardian     = fault.New(fault.Forbidden, "GUARDIAN_CONSENT_REQUIRED", "未满14周岁，需监护人同意")
	ErrAuthCode     = fault.New(fault.Rejected, "AUTH_CODE_INVALID", "医保授权已失效，请重新授权")
	ErrIdentity     = fault.New(fault.Conflict, "IDENTITY_MISMATCH", "医保授权的身份与就诊人不一致")
	ErrAuthExpired  = fault.New(fault.Conflict, "AUTH_EXPIRED", "医保授权已过期，请重新授权")
	ErrNotBound     = fault.New(fault.Conflict, "INSURANCE_NOT_BOUND", "请先完成医保授权")
	ErrLocation     = fault.New(fault.Invalid, "LOCATION_INVALID", "位置信息格式有误").At("location")
	ErrNoFamilyAuth = fault.New(fault.Rejected, "FAMILY_AUTH_UNSUPPORTED", "暂不支持为亲属进行医保授权")
)

// Account is a WeChat user at one institution.
type Account struct {
	ID          AccountID
	Institution string
	OpenID      sensitive.OpenID
	Phone       sensitive.Phone
	CreatedAt   time.Time
}

// Session is one login. Only the token's digest is kept.
type Session struct {
	TokenDigest string // hex SM3
	Account     AccountID
	Institution string
	CreatedAt   time.Time
	ExpiresAt   time.Time
}

// Relation says for whom the account acts.
type Relation string

// The relations. Under 14 years of age a patient needs the guardian's consent.
const (
	Self   Relation = "self"   // 本人
	Child  Relation = "child"  // 子女
	Parent Relation = "parent" // 父母
	Spouse Relation = "spouse" // 配偶
	Other  Relation = "other"  // 其他亲属
)

// Patient is a person whose bills the account may pay.
type Patient struct {
	ID              ID
	Account         AccountID
	Institution     string
	Relation        Relation
	Name            sensitive.Name
	IDNumber        sensitive.IDNumber
	Phone           sensitive.Phone
	HISPatient      string // 院内患者号, found by name and identity number
	GuardianConsent bool
	CreatedAt       time.Time
}

// ConsentKind is what a person agrees to.
type ConsentKind string

// The consents. Insurance is the separate consent for medical and financial data that must stand before the first insurance query.
const (
	ConsentPrivacy   ConsentKind = "privacy"   // 用户服务与隐私协议
	ConsentInsurance ConsentKind = "insurance" // 医保信息授权书
	ConsentGuardian  ConsentKind = "guardian"  // 监护人同意书
)

// Text is one version of a consent's wording.
type Text struct {
	Kind    ConsentKind
	Version string
	Title   string
	Body    string
	Digest  string // hex, of title and body
}

// Consent is one given, and perhaps withdrawn, agreement.
type Consent struct {
	Account     AccountID
	Institution string
	Kind        ConsentKind
	Version     string
	Digest      string
	GivenAt     time.Time
	WithdrawnAt *time.Time
}

// Binding ties a patient to the insurer after the national platform proved who the person is.
type Binding struct {
	Patient     ID
	Institution string
	VerifiedAt  time.Time
}

// PayAuth is one authorisation to pay by insurance (支付授权, pay_auth_no): single use, minutes of life.
type PayAuth struct {
	ID          int64
	Patient     ID
	Institution string
	Number      sensitive.Token
	Location    string // longitude,latitude
	UsableUntil time.Time
	CreatedAt   time.Time
	Family      bool               // 亲情付: another person pays with the patient's insurance
	PayerName   sensitive.Name     // that person; empty where the patient pays
	PayerID     sensitive.IDNumber //
}
