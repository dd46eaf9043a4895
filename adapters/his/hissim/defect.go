package hissim

// Defect is something that a hospital's system does wrongly all the time, so that a certification must find it. What is ordered for single answers is an
// Oddity.
type Defect string

// Broken reports whether the hospital has that defect.
func (s *Sim) broken(d Defect) bool { return s.config.Defect == d }
