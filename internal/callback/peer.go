package callback

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Networks reads addresses and networks as a configuration writes them: "10.1.2.3", "10.1.2.0/24".
func Networks(texts []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			a = plain(a)
			networks = append(networks, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", text)
		}
		networks = append(networks, n.Masked())
	}
	return networks, nil
}

// peer is who sent the request: the other end of the connection, unless that is one of our proxies; then the rightmost address in
// X-Forwarded-For that is none, for what stands left of it anybody may have written. Invalid, and so in no network, when a proxy wrote
// something else than addresses.
func peer(r *http.Request, proxies []netip.Prefix) netip.Addr {
	end, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := plain(end.Addr())
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && within(at, proxies); i-- {
		hop := strings.TrimSpace(hops[i])
		if hop == "" && len(hops) == 1 {
			break // no header: the proxy itself asks
		}
		if at, err = netip.ParseAddr(hop); err != nil {
			return netip.Addr{}
		}
		at = plain(at)
	}
	return at
}

// plain writes an address in the one way in which networks are compared.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// certificate is what the sender showed to the proxy that sends us the request; nil when the other end of the connection is none of ours, for anybody
// may write a header.
func (g Gateway) certificate(r *http.Request) []byte {
	end, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || g.CertHeader == "" || !within(plain(end.Addr()), g.Proxies) {
		return nil
	}
	values := r.Header.Values(g.CertHeader)
	if len(values) != 1 {
		return nil
	}
	text, err := url.PathUnescape(values[0]) // a plus is one
	if err != nil {
		return nil
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return nil
	}
	return block.Bytes
}
