package fhir

import (
	"errors"

	"github.com/tuoka/tuoka/adapters/his"
)

// This file reads what a hospital answers that settles with the insurer by a line of its own: ClaimResponses, and Parameters.

// response reads a ClaimResponse to a Claim of that use. One that is not complete (queued, in part, an error) has decided nothing.
func (p *Profile) response(r *reading, at, operation, use string, resource any) (map[string]any, error) {
	o := p.Operations[operation]
	said, err := p.as(r, at, o.heard(), resource)
	switch {
	case err != nil:
		return nil, err
	case said["use"] != use:
		return nil, errors.New("a ClaimResponse of another use")
	case said["outcome"] != "complete":
		return nil, errors.New("a ClaimResponse that is not complete")
	}
	return said, nil
}

// judged is an answer of insurance/presettle or insurance/settle: the ClaimResponse, which is in force.
func (p *Profile) judged(operation, use string) reader {
	return func(r *reading, _ map[string]any, _ bool) (string, any, error) {
		said, err := p.response(r, "", operation, use, r.document)
		if err == nil && said["status"] != "active" {
			err = errors.New("a ClaimResponse that is not in force")
		}
		return done, said, err
	}
}

// told is an answer of insurance/reverse or insurance/cancel: the number, and how it stands now.
func (p *Profile) told(operation string) reader {
	o := p.Operations[operation]
	return func(r *reading, _ map[string]any, _ bool) (string, any, error) {
		said, err := p.as(r, "", o.heard(), r.document)
		return done, said, err
	}
}

// withdrawn is an answer of insurance/withdraw.
func (p *Profile) withdrawn(r *reading, asked map[string]any, created bool) (string, any, error) {
	o := p.Operations["insurance/withdraw"]
	return p.ended(o.heard(), "withdrawn")(r, asked, created)
}

// settlement is an answer of insurance/query: the ClaimResponse under the number, which stands or is cancelled.
func (p *Profile) settlement(r *reading, asked map[string]any, _ bool) (string, any, error) {
	found, err := r.matches(r.document)
	switch {
	case err != nil:
		return "", nil, err
	case len(found) == 0:
		return notFound, nil, nil
	case len(found) > 1:
		return "", nil, errors.New("several settlements under one number")
	}
	said, err := p.response(r, "settlement/", opStanding, "claim", found[0])
	state := map[any]string{"active": "settled", "cancelled": "cancelled"}[his.LookUp(said, "status")]
	switch {
	case err != nil:
		return "", nil, err
	case said["visit_no"] != asked["visit_no"]:
		return "", nil, errors.New("a settlement of another visit")
	case state == "":
		return "", nil, errors.New("a settlement that neither stands nor is cancelled")
	}
	return done, map[string]any{"setl_id": said["setl_id"], "state": state}, nil
}
