package patient

import (
	"context"
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// WeChat is the mini-program platform and the national authorisation behind it.
type WeChat interface {
	// Login exchanges a wx.login code. ErrLoginCode (used, expired), ErrLoginBlocked, ErrBusy.
	Login(ctx context.Context, code string) (sensitive.OpenID, error)
	// Phone exchanges the phone button's code. ErrPhone when the code is used or expired, ErrBusy.
	Phone(ctx context.Context, code string) (sensitive.Phone, error)
	// Jump is where the page sends the patient to authorise.
	Jump() Jump
	// Identify exchanges the authCode that the jump brought back. ErrAuthCode (used, expired, refused), ErrBusy.
	Identify(ctx context.Context, authCode string, openID sensitive.OpenID) (Identity, error)
}

// Jump is the argument of wx.navigateToMiniProgram towards the national insurance mini program.
type Jump struct {
	AppID      string
	Path       string // with its query, raw slashes
	EnvVersion string // trial or release
}

// Identity is whom the national platform saw, and the authorisation it gave.
type Identity struct {
	Name      sensitive.Name
	IDNumber  sensitive.IDNumber
	PayAuthNo sensitive.Token
	Location  string        // longitude,latitude; may be empty
	UsableFor time.Duration // how long the authorisation is taken to live, by configuration
	Family    bool          // 亲情付: the person authorised for a relative; name and number are the authoriser's, not the patient's
}

// HISRecord is one archive of a person in the HIS.
type HISRecord struct {
	HISPatient string
	CardNo     string // masked by the HIS or by the adapter
	Name       sensitive.Name
	IDNumber   sensitive.IDNumber
	CreatedAt  time.Time
}

// Authority looks persons up in a HIS.
type Authority interface {
	// FindPatient lists the archives whose name and identity number are exactly these; every record was compared by the adapter. Empty
	// only when the HIS said so. Errors are those of package bill: no answer, unreadable, maintenance.
	FindPatient(ctx context.Context, name sensitive.Name, id sensitive.IDNumber) ([]HISRecord, error)
}

// Tokens makes and recognises session tokens; the vault does it.
type Tokens interface {
	NewToken() (token sensitive.Token, digest string, err error)
	Digest(token sensitive.Token) string
}
