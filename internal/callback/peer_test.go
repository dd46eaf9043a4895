package callback

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// guarded is a source that believes one network.
type guarded struct {
	source
	asked []netip.Addr
}

func (g *guarded) Admits(a netip.Addr) bool {
	g.asked = append(g.asked, a)
	return netip.MustParsePrefix("10.9.0.0/16").Contains(a)
}

func TestGuard(t *testing.T) {
	t.Parallel()
	proxies, err := Networks([]string{"172.16.0.1", "192.168.0.0/24", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, remote string
		forwarded    []string
		want         string // the peer; empty: nobody
		status       int
	}{
		{"from the network", "10.9.1.1:40000", nil, "10.9.1.1", 204},
		{"from elsewhere", "10.8.1.1:40000", nil, "10.8.1.1", 403},
		{"elsewhere says that it is relayed", "10.8.1.1:40000", []string{"10.9.1.1"}, "10.8.1.1", 403},
		{"through a proxy", "172.16.0.1:40000", []string{"10.9.1.1"}, "10.9.1.1", 204},
		{"through two proxies", "172.16.0.1:40000", []string{"10.9.1.1, 192.168.0.7"}, "10.9.1.1", 204},
		{"through two proxies, two headers", "172.16.0.1:40000", []string{"10.9.1.1", "192.168.0.7"}, "10.9.1.1", 204},
		{"what the sender wrote first does not count", "172.16.0.1:40000", []string{"10.9.1.1, 8.8.8.8"}, "8.8.8.8", 403},
		{"and not when it is rubbish", "172.16.0.1:40000", []string{"rubbish, 10.9.1.1"}, "10.9.1.1", 204},
		{"a proxy that wrote rubbish", "172.16.0.1:40000", []string{"10.9.1.1, unknown"}, "", 403},
		{"an empty place", "172.16.0.1:40000", []string{"10.9.1.1,"}, "", 403},
		{"a proxy on its own behalf", "172.16.0.1:40000", nil, "172.16.0.1", 403},
		{"proxies alone", "172.16.0.1:40000", []string{"192.168.0.7"}, "192.168.0.7", 403},
		{"four in six", "[::ffff:172.16.0.1]:40000", []string{"::ffff:10.9.1.1"}, "10.9.1.1", 204},
		{"six with a zone", "[fd00::1%eth0]:40000", []string{"10.9.1.1"}, "10.9.1.1", 204},
		{"no address at all", "@", []string{"10.9.1.1"}, "", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in, g := &inbox{}, &guarded{}
			h := Handler(in, map[string]Source{"nhsamobile/h1": g}, nil, Gateway{Proxies: proxies}, func() {})
			r := httptest.NewRequest(http.MethodPost, "/callbacks/nhsamobile/h1", strings.NewReader("ORD1"))
			r.RemoteAddr = tt.remote
			r.Header.Set("Signature", "good")
			for _, f := range tt.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := netip.Addr{}
			if tt.want != "" {
				want = netip.MustParseAddr(tt.want)
			}
			if w.Code != tt.status || len(g.asked) != 1 || g.asked[0] != want || (len(in.notices) == 1) != (tt.status == 204) {
				t.Errorf("status %d, asked %v, %d stored, want %d of %v", w.Code, g.asked, len(in.notices), tt.status, want)
			}
		})
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	got, err := Networks([]string{"10.1.2.3", "::ffff:10.1.2.3", "10.1.2.7/24", "fd00::1"})
	want := []string{"10.1.2.3/32", "10.1.2.3/32", "10.1.2.0/24", "fd00::1/128"}
	if err != nil || len(got) != len(want) {
		t.Fatalf("Networks() = %v, %v", got, err)
	}
	for i := range got {
		if got[i].String() != want[i] {
			t.Errorf("network %d is %s, want %s", i, got[i], want[i])
		}
	}
	for _, bad := range []string{"", "gateway", "10.1.2.3/33", "10.1.2"} {
		if _, err := Networks([]string{bad}); err == nil {
			t.Errorf("%q is taken for a network", bad)
		}
	}
}

// certified is a source that wants one certificate.
type certified struct{ source }

func (certified) AdmitsCertificate(der []byte) bool { return string(der) == "ours" }

// TestCertificates: a certificate counts when one of our proxies wrote it, once and whole.
func TestCertificates(t *testing.T) {
	t.Parallel()
	proxies, err := Networks([]string{"172.16.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	shown := func(kind, der string) string {
		return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(der)})))
	}
	ours := shown("CERTIFICATE", "ours")
	for _, tt := range []struct {
		name, remote, header string
		values               []string
		status               int
	}{
		{"as it should be", "172.16.0.1:40000", "X-Client-Cert", []string{ours}, 204},
		{"by somebody who is no proxy", "10.9.1.1:40000", "X-Client-Cert", []string{ours}, 403},
		{"without an address", "@", "X-Client-Cert", []string{ours}, 403},
		{"none", "172.16.0.1:40000", "X-Client-Cert", nil, 403},
		{"another's", "172.16.0.1:40000", "X-Client-Cert", []string{shown("CERTIFICATE", "theirs")}, 403},
		{"a key", "172.16.0.1:40000", "X-Client-Cert", []string{shown("PUBLIC KEY", "ours")}, 403},
		{"twice: the sender wrote one himself", "172.16.0.1:40000", "X-Client-Cert", []string{ours, ours}, 403},
		{"two in one", "172.16.0.1:40000", "X-Client-Cert", []string{ours + ours}, 403},
		{"badly escaped", "172.16.0.1:40000", "X-Client-Cert", []string{ours + "%zz"}, 403},
		{"no header is believed", "172.16.0.1:40000", "", []string{ours}, 403},
	} {
		in := &inbox{}
		h := Handler(in, map[string]Source{"his/h1": certified{}}, nil, Gateway{Proxies: proxies, CertHeader: tt.header}, func() {})
		r := httptest.NewRequest(http.MethodPost, "/callbacks/his/h1", strings.NewReader("ORD1"))
		r.RemoteAddr = tt.remote
		r.Header.Set("Signature", "good")
		for _, v := range tt.values {
			r.Header.Add("X-Client-Cert", v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || (len(in.notices) == 1) != (tt.status == 204) {
			t.Errorf("%s: answered %d, %d stored", tt.name, w.Code, len(in.notices))
		}
	}
}
