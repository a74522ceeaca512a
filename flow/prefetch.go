package flow

// Nearly each packet's entry is far away in memory where many Flows live, and waiting for it
// costs more than all the counting. What is here reads ahead of need: loads of a stride of
// packets, none of which waits for another one's. Nothing depends on what they read, so their
// sum goes to touched, which nobody asks for: else the compiler would leave them out.

// look notes which entry is probably each packet's, and reads what meter is going to
// read, in loops whose loads wait neither for one another nor for a branch that hangs on one.
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

// lookAtVictims reads what the evictions are going to read for which new Flows in full
// partitions ask.
func (t *Table) lookAtVictims(places []place, news []uint8) {
	var numbers [stride]uint32
	victims := numbers[:0]
	for _, i := range news {
		part := places[i].part
		if part.index.used >= t.most && part.passed < len(part.queue) {
			victims = append(victims, part.queue[part.passed])
		}
	}
	if len(victims) == 0 {
		return
	}
	t.touchAll(victims)
	var slots [stride]place
	for i, victim := range victims {
		slots[i] = t.placeOf(victim)
	}
	t.touchSlots(slots[:len(victims)])
}

// touchSlots reads from the index.
func (t *Table) touchSlots(places []place) {
	sum := uint64(0)
	for i := range places {
		at := &places[i]
		sum += at.part.index.touch(at.tag)
	}
	t.touched += sum
}

// touch reads an entry with its margin, so that they are near when their time
// has come. Nobody waits for what is read.
func (t *Table) touch(i uint32) uint64 { return t.entries.at(i).touch() + t.margins.at(i).first }

// touchAll touches entries, before one after the other is worked on.
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
