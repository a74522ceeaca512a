package capture

import (
	"time"

	"github.com/portwatch/portwatch/flow"
)

// A datagram is what all fragments of one IP packet have in common.
type datagram struct {
	src, dst [2]uint64
	tunnel   uint64
	id       uint32
	vlans    uint32
	version  uint8
	protocol uint8 // 0 for IPv6, where only the first fragment's counts (RFC 8200 section 4.5)
}

// A firstFragment is what later fragments need to know of the first one to join its Flow.
type firstFragment struct {
	key   flow.Key
	marks flow.Marks
}

// An orphan is a later fragment that came before the first one.
type orphan struct {
	time   int64
	octets uint32
	marks  flow.Marks
}

// The bounds of the memory for fragments. Nothing is reassembled: only a few words
// are kept for each.
const (
	maxFragments  = 8192               // first fragments, and as many orphans
	maxFromSource = maxFragments / 16  // those of one sender: it cannot take more room from the others
	fragmentLife  = int64(time.Minute) // RFC 1122 section 3.3.2, RFC 8200 section 4.5
)

// fragments joins later fragments to the Flow of their first one.
type fragments struct {
	firsts  fragmentTable[firstFragment]
	orphans fragmentTable[orphan]
	clock   int64 // the largest packet time so far
}

// tick advances the clock.
func (f *fragments) tick(now int64) { f.clock = max(f.clock, now) }

// expire forgets fragments too old to belong to the same datagram as one that comes now.
func (f *fragments) expire() {
	f.firsts.expire(f.clock - fragmentLife)
	f.orphans.expire(f.clock - fragmentLife)
}

// datagram returns the datagram that the current level is a fragment of.
func (d *digest) datagram(id uint32, protocol uint8) datagram {
	if d.ip.version == 6 {
		protocol = 0
	}
	return datagram{d.ip.src, d.ip.dst, d.identity, id, d.vlans, d.ip.version, protocol}
}

// firstFragment notes that the current level begins a datagram. Its ports, which have not
// been read yet, are also those of the later fragments.
func (d *digest) firstFragment(id uint32, protocol uint8) {
	d.begins, d.parted, d.begun = true, true, d.datagram(id, protocol)
}

// laterFragment ends the walk, as a later fragment has no further headers. The fragment
// joins the Flow of its datagram's first fragment, or waits for that fragment.
func (d *digest) laterFragment(id uint32, protocol uint8) error {
	if d.depth == 1 {
		d.class = LaterFragment
	}
	if !hasPorts(protocol) {
		return nil
	}
	d.fragments.expire()
	of, later := d.datagram(id, protocol), orphan{d.in.Time, d.ip.octets, d.timeless}
	if first := d.fragments.firsts.oldest(of); first != nil {
		d.join(first, later)
	} else if !d.fragments.orphans.put(of, later, d.fragments.clock) {
		d.faults[errFragments]++
	}
	return nil
}

// hasPorts reports whether an IP protocol number may lead to ports: that of a transport
// does, and that of an extension header may.
func hasPorts(protocol uint8) bool {
	switch ipProtocols[protocol] {
	case layerTCP, layerUDP, layerUDPLite, layerSCTP, layerDCCP,
		layerHopByHop, layerExtension, layerAuthentication:
		return true
	}
	return false
}

// remember keeps the Key of a datagram's first fragment, and appends the later ones
// that waited for it. If an identification is used again, the new first fragment replaces
// the old one.
func (d *digest) remember(key flow.Key, marks flow.Marks) {
	f, first := &d.fragments, firstFragment{key, marks & (flow.Reverse | flow.Group)}
	f.expire()
	f.firsts.dropOldest(d.begun)
	if !f.firsts.put(d.begun, first, f.clock) {
		d.faults[errFragments]++
	}
	for later := f.orphans.oldest(d.begun); later != nil; later = f.orphans.oldest(d.begun) {
		d.join(&first, *later)
		f.orphans.dropOldest(d.begun)
	}
}

// join appends a later fragment to the batch.
func (d *digest) join(first *firstFragment, later orphan) {
	p := d.add(later.time)
	p.Key, p.Octets = first.key, later.octets
	p.Flags, p.Marks = 0, flow.LaterFragment|first.marks|later.marks
	if d.depth == 1 {
		d.joined++
	}
}

// A fragmentTable holds values by datagram, possibly several for one, in order of arrival.
// It is bounded as a whole and for each sender: a value for which there is no room replaces
// the sender's oldest or, if it is the whole that is full, the oldest of all. So what is
// forgotten depends on the packets alone. The zero value is empty, and takes memory as it fills.
type fragmentTable[V any] struct {
	slots     []fragmentSlot[V] // the first is unused: index 0 ends a list
	free      int32             // the first unused slot, which links to the next by byAge
	all       fragmentList
	datagrams map[datagram]fragmentList
	senders   map[[2]uint64]fragmentList
}

// A fragmentSlot is in three lists.
type fragmentSlot[V any] struct {
	of    datagram
	seen  int64
	value V
	links [3]struct{ older, newer int32 }
}

// The lists that a slot is in, as indices of its links.
const (
	byAge = iota
	byDatagram
	bySender
)

// A fragmentList is a list of slots.
type fragmentList struct{ oldest, newest, n int32 }

// oldest returns the oldest value of a datagram, or nil if there is none. It is valid
// until the table changes.
func (t *fragmentTable[V]) oldest(of datagram) *V {
	list, ok := t.datagrams[of]
	if !ok {
		return nil
	}
	return &t.slots[list.oldest].value
}

// dropOldest removes the oldest value of a datagram, if there is one.
func (t *fragmentTable[V]) dropOldest(of datagram) {
	if list, ok := t.datagrams[of]; ok {
		t.remove(list.oldest)
	}
}

// expire removes what was put before a time.
func (t *fragmentTable[V]) expire(before int64) {
	for t.all.n > 0 && t.slots[t.all.oldest].seen < before {
		t.remove(t.all.oldest)
	}
}

// put adds a value, and reports whether there was room without removing another.
func (t *fragmentTable[V]) put(of datagram, value V, now int64) (room bool) {
	if t.datagrams == nil {
		t.datagrams, t.senders = make(map[datagram]fragmentList), make(map[[2]uint64]fragmentList)
		t.slots = make([]fragmentSlot[V], 1)
	}
	room = true
	if sender := t.senders[of.src]; sender.n == maxFromSource {
		t.remove(sender.oldest)
		room = false
	} else if t.all.n == maxFragments {
		t.remove(t.all.oldest)
		room = false
	}
	i := t.take()
	t.slots[i] = fragmentSlot[V]{of: of, seen: now, value: value}
	t.all = t.push(t.all, byAge, i)
	t.datagrams[of] = t.push(t.datagrams[of], byDatagram, i)
	t.senders[of.src] = t.push(t.senders[of.src], bySender, i)
	return room
}

// take returns a slot that is in no list.
func (t *fragmentTable[V]) take() int32 {
	if i := t.free; i != 0 {
		t.free = t.slots[i].links[byAge].newer
		return i
	}
	t.slots = append(t.slots, fragmentSlot[V]{})
	return int32(len(t.slots) - 1)
}

// remove takes a slot out of all lists.
func (t *fragmentTable[V]) remove(i int32) {
	of := t.slots[i].of
	t.all = t.unlink(t.all, byAge, i)
	if list := t.unlink(t.datagrams[of], byDatagram, i); list.n > 0 {
		t.datagrams[of] = list
	} else {
		delete(t.datagrams, of)
	}
	if list := t.unlink(t.senders[of.src], bySender, i); list.n > 0 {
		t.senders[of.src] = list
	} else {
		delete(t.senders, of.src)
	}
	t.slots[i].links[byAge].newer = t.free
	t.free = i
}

// push returns the list with a slot added as its newest.
func (t *fragmentTable[V]) push(list fragmentList, by int, i int32) fragmentList {
	t.slots[i].links[by].older = list.newest
	if list.n == 0 {
		list.oldest = i
	} else {
		t.slots[list.newest].links[by].newer = i
	}
	list.newest = i
	list.n++
	return list
}

// unlink returns the list without a slot.
func (t *fragmentTable[V]) unlink(list fragmentList, by int, i int32) fragmentList {
	link := t.slots[i].links[by]
	if list.oldest == i {
		list.oldest = link.newer
	} else {
		t.slots[link.older].links[by].newer = link.newer
	}
	if list.newest == i {
		list.newest = link.older
	} else {
		t.slots[link.newer].links[by].older = link.older
	}
	list.n--
	return list
}
