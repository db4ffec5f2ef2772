package sqlite

// Bits per element and hash functions of a Bloom filter: about one answer
// "maybe" in 2,000 is wrong. A wrong one costs the opening of a file, and a key
// is looked up in every segment of its window.
const (
	bloomBits   = 16
	bloomHashes = 11
)

// bloom is a Bloom filter over 64-bit hashes. An empty one holds nothing.
type bloom []byte

// newBloom makes a filter for n elements.
func newBloom(n int) bloom {
	if n == 0 {
		return nil
	}
	return make(bloom, (n*bloomBits+7)/8+8)
}

// spread mixes a number into a hash (splitmix64's finaliser).
func spread(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

func (b bloom) add(hash uint64) {
	bits := uint64(len(b)) * 8
	step := spread(hash) | 1
	for range bloomHashes {
		at := hash % bits
		b[at/8] |= 1 << (at % 8)
		hash += step
	}
}

// maybe reports whether hash may have been added.
func (b bloom) maybe(hash uint64) bool {
	if len(b) == 0 {
		return false
	}
	bits := uint64(len(b)) * 8
	step := spread(hash) | 1
	for range bloomHashes {
		at := hash % bits
		if b[at/8]&(1<<(at%8)) == 0 {
			return false
		}
		hash += step
	}
	return true
}
