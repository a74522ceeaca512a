package flow

// Where many Flows live, nearly every packet's entry is far away in memory, and waiting for
// it costs more than all the counting. The code here reads ahead: it loads what a stride of
// packets needs, and none of the loads waits for another packet's. Nothing depends on the
// values; their sum goes to touched, which nobody reads, only to keep the compiler from
// dropping the loads.

// look notes the entry that is probably each packet's, and reads what meter is going to
// read, in loops whose loads wait neither for one another nor for a branch that depends on
// one.
func (t *Table) look(packets []Packet, places []place) {
	t.touchSlots(places)
	var news [stride]uint8 // indices of the packets that probably begin a Flow
	n := 0
	for i := range places {
		at := &places[i]
		at.number = at.part.index.guess(at.tag)
		at.entry = t.entries.at(at.number)
		if at.number == 0 {
			news[n%stride] = uint8(i)
			n++
		}
	}
	sum := uint64(0)
	for i := range places {
		sum += places[i].entry.touch()
	}
	t.touched += sum
	if n > 0 {
		t.lookAtNew(packets, places, news[:n])
	}
}

// lookAtNew reads what is needed to begin Flows.
func (t *Table) lookAtNew(packets []Packet, places []place, news []uint8) {
	t.touchAll(t.entries.upcoming(len(news)))
	t.lookAtVictims(places, news)
	if t.promised.any() {
		for _, i := range news {
			t.promised.touch(&packets[i].Key)
		}
	}
}

// victimsAhead is how many Flows of a queue are read ahead.
const victimsAhead = 3

// lookAtVictims reads what evictions are going to read, for the new Flows that come to full
// partitions. An eviction may pass over some of a queue.
func (t *Table) lookAtVictims(places []place, news []uint8) {
	sum := uint64(0)
	for _, i := range news {
		if part := places[i].part; part.index.used >= t.most {
			for n := part.passed; n < min(part.passed+victimsAhead, len(part.queue)); n++ {
				at := part.queued(n)
				sum += part.index.touch(at.tag) + t.touch(at.number)
			}
		}
	}
	t.touched += sum
}

// touchSlots reads the places' slots of the index.
func (t *Table) touchSlots(places []place) {
	sum := uint64(0)
	for i := range places {
		at := &places[i]
		sum += at.part.index.touch(at.tag)
	}
	t.touched += sum
}

// touch reads an entry and its margin so that they are near when they are needed. Nothing
// waits for what is read.
func (t *Table) touch(i uint32) uint64 { return t.entries.at(i).touch() + t.margins.at(i).first }

// touchAll touches entries before they are worked on one after another.
func (t *Table) touchAll(numbers []uint32) {
	sum := uint64(0)
	for _, i := range numbers {
		sum += t.touch(i)
	}
	t.touched += sum
}

// touchEndings touches the entries of endings.
func (t *Table) touchEndings(ends []ending) {
	sum := uint64(0)
	for i := range ends {
		sum += t.touch(ends[i].entry)
	}
	t.touched += sum
}
