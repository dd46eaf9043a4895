// Package staff keeps the hospital's own people: who they are, what they may do, and how they prove it, by a password and a second factor
// (design.md §9).
//
// What it promises: a sign-in that fails says the same, and costs the same, whatever was wrong; five failures lock the account, also when
// they come at once; a code opens once; passwords are kept as argon2id alone. Every act and every attempt is a record, written with it.
package staff

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// The faults of this package. The messages are for staff and say what to do.
var (
	// ErrSignIn is every sign-in that failed. What was wrong stands in the audit record alone.
	ErrSignIn = fault.New(fault.Unauthenticated, "STAFF_SIGN_IN",
		"登录失败：登录名、密码或验证码有误，或账号已锁定、停用。验证码每个只能用一次；连续失败 5 次锁定 15 分钟，请稍后再试或联系管理员")
	// ErrOnce is a sign-in with the right password, which we made and which opens nothing but ChangePassword.
	ErrOnce     = fault.New(fault.Forbidden, "STAFF_PASSWORD_ONCE", "这是一次性密码，请先设置自己的密码：tuoka staff change-password")
	ErrPassword = fault.New(fault.Invalid, "STAFF_PASSWORD", "密码不符合要求，请换一个")
	ErrLogin    = fault.New(fault.Invalid, "STAFF_LOGIN", "登录名须为 3 至 32 位小写字母、数字、点、下划线或连字符，并以字母开头")
	ErrName     = fault.New(fault.Invalid, "STAFF_NAME", "姓名不能为空")
	ErrRoles    = fault.New(fault.Invalid, "STAFF_ROLES", "角色须为 finance（财务）、window（窗口）、audit（审计）、admin（管理）；审计不能兼任其他角色")
	ErrExists   = fault.New(fault.Conflict, "STAFF_EXISTS", "登录名已被使用，请换一个")
	ErrNotFound = fault.New(fault.NotFound, "STAFF_NOT_FOUND", "没有这个账号，请用 tuoka staff list 核对登录名")
	// ErrMoved is a person whom somebody else has changed since he was read.
	ErrMoved = fault.New(fault.Conflict, "STAFF_MOVED", "账号刚被改动，请重试")
)

// ID names a person.
type ID int64

// Actor is the person in audit records and votes: "staff:12".
func (id ID) Actor() string { return "staff:" + strconv.FormatInt(int64(id), 10) }

// Role is what a person may do.
type Role string

// The roles. An auditor has no other: who judges the acts does none (三权分立).
const (
	Finance Role = "finance" // 财务
	Window  Role = "window"  // 窗口
	Auditor Role = "audit"   // 审计
	Admin   Role = "admin"   // 系统管理
)

// ParseRoles reads roles from words, sorted and each once. ErrRoles.
func ParseRoles(words ...string) ([]Role, error) {
	var roles []Role
	for _, w := range words {
		r := Role(strings.TrimSpace(w))
		switch r {
		case Finance, Window, Auditor, Admin:
			roles = append(roles, r)
		default:
			return nil, ErrRoles.At("role")
		}
	}
	slices.Sort(roles)
	roles = slices.Compact(roles)
	if len(roles) == 0 || (len(roles) > 1 && slices.Contains(roles, Auditor)) {
		return nil, ErrRoles.At("role")
	}
	return roles, nil
}

// Person is one member of staff.
type Person struct {
	ID          ID
	Institution string // "": all of them
	Login       string
	Name        sensitive.Name
	Roles       []Role

	PasswordHash sensitive.Key // encoded with its algorithm and parameters; see Params
	PasswordOnce bool          // we made it: to be changed before anything else
	TOTPSecret   sensitive.Key // Base32
	TOTPUsed     int64         // the newest step whose code has opened; none before it opens again

	State         State
	FailedSignIns int       // since the last that succeeded, or the last lock
	LockedUntil   time.Time // of the last lock

	Version   int64 // of the row that was read; counted by the store
	CreatedAt time.Time
}

// Store keeps the people. What it changes and the record of it are one transaction.
type Store interface {
	// Add inserts a person. ErrExists when the login is taken.
	Add(ctx context.Context, p Person, r audit.Record) error
	// ByLogin reads a person. ErrNotFound.
	ByLogin(ctx context.Context, login string) (Person, error)
	// List reads everybody, by login.
	List(ctx context.Context) ([]Person, error)
	// Save writes a person by compare-and-set on Version. ErrMoved.
	Save(ctx context.Context, p Person, r audit.Record) error
}
