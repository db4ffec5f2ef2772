package directory

import (
	"iter"
	"maps"
	"slices"
)

// table finds things by the small numbers that a store gives one after another.
// It holds them in pages, so that it costs little more than the things.
type table[T any] struct {
	pages []*[pageSize]T
	far   map[int64]*T // of numbers that no store gives
}

const (
	pageSize = 512
	maxPages = 1 << 20
)

// at is what a number leads to, the zero value if nothing was put there.
func (t *table[T]) at(num int64) (v T) {
	if page := uint64(num) / pageSize; page < maxPages {
		if page < uint64(len(t.pages)) && t.pages[page] != nil {
			v = t.pages[page][uint64(num)%pageSize]
		}
		return v
	}
	if p := t.far[num]; p != nil {
		v = *p
	}
	return v
}

// of is where what a number leads to is kept.
func (t *table[T]) of(num int64) *T {
	page := uint64(num) / pageSize
	if page >= maxPages {
		if t.far == nil {
			t.far = map[int64]*T{}
		}
		if t.far[num] == nil {
			t.far[num] = new(T)
		}
		return t.far[num]
	}
	for uint64(len(t.pages)) <= page {
		t.pages = append(t.pages, nil)
	}
	if t.pages[page] == nil {
		t.pages[page] = new([pageSize]T)
	}
	return &t.pages[page][uint64(num)%pageSize]
}

// backwards goes through all numbers of the pages that there are, highest first.
func (t *table[T]) backwards() iter.Seq2[int64, T] {
	return func(yield func(int64, T) bool) {
		far := slices.Sorted(maps.Keys(t.far))
		for _, num := range slices.Backward(far) {
			if num >= 0 && !yield(num, *t.far[num]) {
				return
			}
		}
		for i, page := range slices.Backward(t.pages) {
			if page == nil {
				continue
			}
			for j, v := range slices.Backward(page[:]) {
				if !yield(int64(i)*pageSize+int64(j), v) {
					return
				}
			}
		}
		for _, num := range slices.Backward(far) {
			if num < 0 && !yield(num, *t.far[num]) {
				return
			}
		}
	}
}
