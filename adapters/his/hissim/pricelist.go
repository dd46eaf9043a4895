package hissim

// Priced is one item of the price list as the insurer's catalogue knows it.
type Priced struct {
	National string // 医疗目录编码
	Class    string // A 甲, B 乙, C 丙
	Category string // 收费项目类别 med_chrgitm_type
}

// PriceList is what the hospital's items are in the national catalogue, so that a sandbox can teach it to the insurer. Items that no
// insurer is asked about are not in it.
func PriceList() []Priced {
	var list []Priced
	for _, it := range catalogue() {
		if it.class != "N" {
			list = append(list, Priced{National: it.national, Class: it.class, Category: it.category})
		}
	}
	return list
}
