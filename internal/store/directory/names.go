package directory

import (
	"encoding/binary"
	"maps"
	"slices"
)

// names are texts and lists of texts that many records have in common. Both only
// grow: whoever holds the slices of one moment may read them for ever.
type names struct {
	dialects []string
	types    [][]string // lists of event types
}

// The names that are held in common are bounded, for they are never given up: what
// comes after them lies in each record.
const (
	maxDialects  = 1 << 12
	maxTypeLists = 1 << 16
	maxTypeBytes = 512 // of a list
)

// interner gives names their numbers.
type interner struct {
	names
	dialectNums map[string]int
	typeNums    map[string]int
	scratch     []byte
}

func newInterner() interner {
	return interner{dialectNums: map[string]int{}, typeNums: map[string]int{}}
}

// dialect is the number of a dialect's name.
func (n *interner) dialect(name string) (int, bool) {
	num, ok := n.dialectNums[name]
	if !ok && len(n.dialects) < maxDialects && len(name) <= maxTypeBytes {
		name = string([]byte(name)) // not a part of something larger
		num, ok = len(n.dialects), true
		n.dialects = append(n.dialects, name)
		n.dialectNums[name] = num
	}
	return num, ok
}

// typeList is the number of a list of event types that is not nil.
func (n *interner) typeList(list []string) (int, bool) {
	key := n.scratch[:0]
	for _, name := range list {
		key = binary.AppendUvarint(key, uint64(len(name)))
		key = append(key, name...)
	}
	n.scratch = key
	num, ok := n.typeNums[string(key)]
	if !ok && len(n.types) < maxTypeLists && len(key) <= maxTypeBytes {
		own := make([]string, len(list))
		for i, name := range list {
			own[i] = string([]byte(name))
		}
		num, ok = len(n.types), true
		n.types = append(n.types, own)
		n.typeNums[string(key)] = num
	}
	return num, ok
}

// sortedKeys are the keys of a map in order, so that equal maps are packed alike.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
