package flow

// A memory holds a value for each of a limited number of endpoints.
//
// It is a fixed number of sets, each with a few seats for endpoints; the least recently
// used one gives up its seat. Which set an endpoint belongs to must not depend on a seed,
// for the reason given at partitions.
type memory[V any] struct {
	sets []set[V]
	seed seed
}

// newMemory returns an empty memory with room for endpoints, whose number is a power of two.
func newMemory[V any](endpoints int) memory[V] {
	return memory[V]{make([]set[V], endpoints/seatsInSet), newSeed()}
}

// set has the most recently used endpoint first.
type set[V any] [seatsInSet]seat[V]

const seatsInSet = 4

// A seat holds one endpoint's value. who is a hash of the endpoint with the memory's seed;
// 0 is nobody.
type seat[V any] struct {
	who   uint64
	value V
}

// A service is an endpoint as its clients name it.
type service struct {
	upper, lower uint64 // of the address
	port         uint64 // with IP version and transport above it
}

func (k *Key) service(side int) service { return k.serviceAt(side, k.Transport(), k.port(side)) }

// serviceAt returns another service at the address of one of the Key's endpoints.
func (k *Key) serviceAt(side int, t Transport, port uint16) service {
	return service{
		upper: k.addr[2*side],
		lower: k.addr[2*side+1],
		port:  uint64(k.Version())<<24 | uint64(t)<<16 | uint64(port),
	}
}

// hash uses no seed.
func (s *service) hash() uint64 {
	return mix(mix(s.upper^fixed[0], s.lower^fixed[1])^s.port, fixed[2])
}

// A spot is where a memory holds an endpoint, if it does.
type spot struct {
	set uint64
	who uint64
}

func (m *memory[V]) spot(s *service) spot {
	h := mix(s.upper^m.seed[0], s.lower^m.seed[1])
	return spot{m.number(s), mix(h^m.seed[2], s.port^m.seed[3]) | 1}
}

// number returns the number of the set of s.
func (m *memory[V]) number(s *service) uint64 { return s.hash() & uint64(len(m.sets)-1) }

// touch reads from a set so that it is near when it is needed. Nothing waits for what is
// read.
func (m *memory[V]) touch(set uint64) uint64 { return m.sets[set][0].who }

// put gives an endpoint the first seat of its set. It returns the value there and, if the
// endpoint had no seat, the one that was given up for it.
func (m *memory[V]) put(at spot) (value *V, lost seat[V]) {
	seats := &m.sets[at.set]
	this := seat[V]{who: at.who}
	for i := range seats {
		seats[i], this = this, seats[i]
		if this.who == at.who {
			seats[0].value = this.value
			return &seats[0].value, lost
		}
	}
	return &seats[0].value, this
}

// of returns the value of an endpoint, or nil if it has none.
func (m *memory[V]) of(at spot) *V {
	seats := &m.sets[at.set]
	for i := range seats {
		if seats[i].who == at.who {
			return &seats[i].value
		}
	}
	return nil
}
