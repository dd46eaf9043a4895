package miniprogramapi

import (
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestInsurance(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	id := f.addSelf()
	binding := "/patients/" + id + "/insurance-binding"
	f.want(f.do("GET", "/insurance/jump", ""), 403, "CONSENT_REQUIRED")
	f.want(f.do("POST", binding, `{"auth_code":"a"}`), 403, "CONSENT_REQUIRED")
	if f.wechat.asked != 0 {
		t.Fatal("the insurer's side was asked before the consent")
	}
	f.agree("insurance")
	if body := f.want(f.do("GET", "/insurance/jump", ""), 200, ""); body["appId"] != "wxnational" {
		t.Errorf("jump = %v", body)
	}
	if body := f.want(f.do("GET", binding, ""), 200, ""); body["bound"] != false || body["usable_until"] != nil {
		t.Errorf("binding = %v", body)
	}
	f.want(f.do("POST", binding, `{"auth_code":"spent"}`), 422, "AUTH_CODE_INVALID")
	number, err := sensitive.ParseIDNumber(f.adultID)
	if err != nil {
		t.Fatal(err)
	}
	seen := patient.Identity{Name: sensitive.NewName(motherName), IDNumber: number, PayAuthNo: sensitive.NewToken("AUTHSECRET1"), UsableFor: 10 * time.Minute}
	f.wechat.people["a"] = seen
	f.want(f.do("POST", binding, `{"auth_code":"a"}`), 409, "IDENTITY_MISMATCH")
	seen.Name = sensitive.NewName(adultName)
	f.wechat.people["a"] = seen
	if body := f.want(f.do("POST", binding, `{"auth_code":"a"}`), 200, ""); body["bound"] != true || body["usable"] != true || body["usable_until"] != "2026-11-23T02:10:00Z" {
		t.Errorf("binding = %v", body)
	}
	if body := f.want(f.do("GET", binding, ""), 200, ""); body["family"] != false || body["payer_name"] != nil {
		t.Errorf("binding = %v", body)
	}
	f.login("code-2")
	f.agree("privacy", "insurance")
	f.want(f.do("GET", binding, ""), 404, "PATIENT_NOT_FOUND")
	f.want(f.do("POST", binding, `{"auth_code":"a"}`), 404, "PATIENT_NOT_FOUND")
	for _, method := range []string{"GET", "POST"} {
		f.want(f.do(method, "/patients/9223372036854775808/insurance-binding", `{"auth_code":"a"}`), 404, "PATIENT_NOT_FOUND")
	}
}

func TestFamilyAuthorisation(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	f.addSelf()
	f.agree("insurance")
	motherID := withCheck(t, "36010219600101002")
	f.archive(motherName, motherID, "P5")
	mother := f.want(f.do("POST", "/patients", `{"relation":"parent","name":"`+motherName+`","id_number":"`+motherID+`","phone":"13812345679"}`), 201, "")
	binding := "/patients/" + mother["id"].(string) + "/insurance-binding"
	number, err := sensitive.ParseIDNumber(f.adultID)
	if err != nil {
		t.Fatal(err)
	}
	seen := patient.Identity{Name: sensitive.NewName(adultName), IDNumber: number, PayAuthNo: sensitive.NewToken("AUTHSECRET1"), UsableFor: 10 * time.Minute}
	f.wechat.people["own"] = seen // his own authorisation settles nobody else's bill
	f.want(f.do("POST", binding, `{"auth_code":"own"}`), 409, "IDENTITY_MISMATCH")
	seen.Family = true
	f.wechat.people["family"] = seen
	body := f.want(f.do("POST", binding, `{"auth_code":"family"}`), 200, "")
	if body["bound"] != true || body["usable"] != true || body["family"] != true || body["payer_name"] != "张**" {
		t.Errorf("binding = %v", body)
	}
	if body := f.want(f.do("GET", binding, ""), 200, ""); body["family"] != true || body["payer_name"] != "张**" {
		t.Errorf("binding = %v", body)
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	binding := "/patients/" + f.addSelf() + "/insurance-binding"
	f.agree("insurance")
	number, err := sensitive.ParseIDNumber(f.adultID)
	if err != nil {
		t.Fatal(err)
	}
	f.wechat.people["a"] = patient.Identity{Name: sensitive.NewName(adultName), IDNumber: number, PayAuthNo: sensitive.NewToken("AUTHSECRET1"), UsableFor: 10 * time.Minute}
	for _, c := range []struct{ location, code, field string }{
		{`{"longitude":"180.5","latitude":"28.7"}`, "LOCATION_INVALID", "location"},
		{`{"longitude":"115.9","latitude":"-91"}`, "LOCATION_INVALID", "location"},
		{`{"longitude":115.9,"latitude":"28.7"}`, "BAD_REQUEST", "location.longitude"},
		{`{"longitude":"1e2","latitude":"28.7"}`, "BAD_REQUEST", "location.longitude"},
		{`{"longitude":"115.1234567890123456","latitude":"28.7"}`, "BAD_REQUEST", "location.longitude"},
		{`{"longitude":"115.9"}`, "BAD_REQUEST", "location.latitude"},
		{`{"longitude":"115.9","latitude":"28.7","altitude":"1"}`, "BAD_REQUEST", "location.altitude"},
		{`"115.9,28.7"`, "BAD_REQUEST", "location"},
	} {
		f.wantField(f.do("POST", binding, `{"auth_code":"a","location":`+c.location+`}`), 400, c.code, c.field)
	}
	if f.wechat.asked != 0 {
		t.Fatal("a code was spent for an unreadable location")
	}
	f.want(f.do("POST", binding, `{"auth_code":"a","location":{"longitude":"115.9","latitude":"28.676493000000002"}}`), 200, "")
	if got := f.store.auths[0].Location; got != "115.9,28.676493000000002" {
		t.Errorf("location = %q", got)
	}
	if strings.Contains(f.log.String(), "115.9") {
		t.Error("a location is logged")
	}
}
