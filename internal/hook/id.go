package hook

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// EventID is an event's own id, a UUIDv7 (RFC 9562 section 5.7). Receivers
// see it; it is the same on every attempt.
//
// Its first 60 bits that are not the version are a sequence number: the
// millisecond of acceptance and its fraction in 1/4096 ms. Seq returns it. A
// store can use it as an integer key, so that events lie in the order in
// which they were accepted.
type EventID [16]byte

// Compare is -1, 0 or 1: ids are in the order in which their events were accepted.
func (id EventID) Compare(other EventID) int { return bytes.Compare(id[:], other[:]) }

// seqFraction is how many parts of a millisecond a sequence number counts.
const seqFraction = 1 << 12

// NextEventID makes the id that follows prev (the Seq of the last one, 0 for
// none) at the time now. Ids of one chain strictly ascend, also when the
// clock stands still or goes back. random fills the 62 random bits.
func NextEventID(prev int64, now time.Time, random uint64) EventID {
	ns := now.UnixNano()
	ms := ns / int64(time.Millisecond)
	seq := ms*seqFraction + (ns%int64(time.Millisecond))*seqFraction/int64(time.Millisecond)
	return EventIDFrom(max(seq, prev+1), random)
}

// EventIDFrom puts an id together from its sequence number and the 62 low
// bits of tail. It is the inverse of Seq and Tail.
func EventIDFrom(seq int64, tail uint64) EventID {
	var id EventID
	u := uint64(seq)
	binary.BigEndian.PutUint64(id[:8], u>>12<<16|0x7000|u&0xfff)
	binary.BigEndian.PutUint64(id[8:], tail&(1<<62-1)|1<<63)
	return id
}

// FirstEventID is the lowest id that an event accepted at t can have.
func FirstEventID(t time.Time) EventID {
	return EventIDFrom(max(t.UnixMilli(), 0)*seqFraction, 0)
}

// Seq is the id's sequence number. It ascends with acceptance.
func (id EventID) Seq() int64 {
	u := binary.BigEndian.Uint64(id[:8])
	return int64(u>>16<<12 | u&0xfff)
}

// Tail is the id's 62 random bits.
func (id EventID) Tail() uint64 {
	return binary.BigEndian.Uint64(id[8:]) & (1<<62 - 1)
}

// Time is when the event was accepted, to the millisecond.
func (id EventID) Time() time.Time { return time.UnixMilli(id.Seq() / seqFraction).UTC() }

// IsZero reports whether the id is unset.
func (id EventID) IsZero() bool { return id == EventID{} }

// String is the id in the usual form of a UUID, lower case.
func (id EventID) String() string {
	var b [36]byte
	hex.Encode(b[:8], id[:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:], id[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseEventID reads what String wrote. Only the canonical lower-case form of
// a UUIDv7 is taken, so that one event has one name.
func ParseEventID(s string) (EventID, error) {
	var id EventID
	bad := Errorf(CodeInvalid, "%q is not an event id: want a UUIDv7 such as 01890a5d-ac96-774b-bcce-b302099a8057", Clip(s))
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, bad
	}
	if _, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return EventID{}, bad
	}
	if id[6]>>4 != 7 || id[8]>>6 != 2 || id.String() != s {
		return EventID{}, bad
	}
	return id, nil
}

// TenantNum is a tenant's small number, unique in one installation and never
// given twice. Stores and vendors' contracts that show numbers use it.
type TenantNum int64

// AllTenants, where a store is asked about a tenant, stands for every tenant. The
// zero TenantNum is nobody's, so that a question that forgets its tenant finds
// nothing (case 94).
const AllTenants TenantNum = -1

// EndpointNum is an endpoint's small number, as TenantNum is a tenant's.
type EndpointNum int64

// DeliveryKey names a delivery: there is exactly one for each event and
// endpoint that match.
type DeliveryKey struct {
	Event    EventID
	Endpoint EndpointNum
}

const deliveryPrefix = "dlv_"

// ids are written in lower-case base32 (RFC 4648 "extended hex", no padding):
// safe in URLs and file names, and sorted as their bytes are.
var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// String is the delivery's public id, "dlv_…". It holds the key itself, so
// that a delivery needs no row to be found.
func (k DeliveryKey) String() string {
	b := binary.AppendUvarint(k.Event[:], uint64(k.Endpoint))
	return deliveryPrefix + idEncoding.EncodeToString(b)
}

// ParseDeliveryKey reads what DeliveryKey.String wrote.
func ParseDeliveryKey(s string) (DeliveryKey, error) {
	bad := Errorf(CodeInvalid, "%q is not a delivery id: want dlv_ and 26 or more letters and digits", Clip(s))
	enc, ok := strings.CutPrefix(s, deliveryPrefix)
	if !ok {
		return DeliveryKey{}, bad
	}
	b, err := idEncoding.DecodeString(enc)
	if err != nil || len(b) < 17 {
		return DeliveryKey{}, bad
	}
	num, n := binary.Uvarint(b[16:])
	k := DeliveryKey{Event: EventID(b[:16]), Endpoint: EndpointNum(num)}
	if n <= 0 || k.Endpoint <= 0 || k.Event[6]>>4 != 7 || k.Event[8]>>6 != 2 || k.String() != s {
		return DeliveryKey{}, bad
	}
	return k, nil
}

// NewID makes an id of 128 random bits behind a prefix such as "ep_".
func NewID(prefix string) string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return prefix + idEncoding.EncodeToString(b[:])
}
