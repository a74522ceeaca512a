package flow

// A Judge decides the directions of Flows that have ended. For that it remembers what Flows
// showed about endpoints, so it must get all that its table's Take gives, in that order. It
// is not safe for concurrent use, but shares nothing with the table and so may run on
// another core.
type Judge struct {
	known    memory[knowledge] // empty until something is learned
	assigned func(Transport, uint16) bool
	forgot   uint64 // endpoints that lost their seat

	// kept holds the verdicts of Flows that go on after a record, by the ordinals of their
	// first packets.
	kept map[uint64]verdict
	most int // the largest size of kept so far

	lessons [stride]spot    // scratch: where the next lessons belong,
	sides   [stride][2]spot // and both endpoints of each Flow
	touched uint64          // keeps touch from being optimized away
}

// A verdict is the direction that a Flow was given, and the side of its Key that is the
// service.
type verdict struct {
	Direction
	service int
}

const learnedEndpoints = 1 << 16

// NewJudge returns a Judge that has seen nothing yet. assigned is that of [Options].
func NewJudge(assigned func(Transport, uint16) bool) *Judge {
	return &Judge{assigned: assigned, kept: map[uint64]verdict{}}
}

// Forgotten returns how many learned endpoints were forgotten.
func (j *Judge) Forgotten() uint64 { return j.forgot }

// Judge gives each of the Flows its direction. What was learned between two Flows counts
// only for those after it.
func (j *Judge) Judge(x *Ends) {
	lessons := x.lessons
	if len(lessons) > 0 && j.known.sets == nil {
		j.known = newMemory[knowledge](learnedEndpoints)
	}
	for at := 0; at < len(x.flows); at += stride {
		flows := x.flows[at:min(at+stride, len(x.flows))]
		j.look(flows)
		for i := range flows {
			n := 0
			for n < len(lessons) && lessons[n].before <= uint64(at+i) {
				n++
			}
			j.learn(lessons[:n])
			lessons = lessons[n:]
			j.judge(&flows[i], x.rare(&flows[i]).again(), &j.sides[i])
		}
	}
	j.learn(lessons)
}

// look reads what judge will ask about endpoints, in a loop whose loads wait for nothing.
func (j *Judge) look(flows []ended) {
	if j.known.sets == nil {
		return
	}
	var sets [2 * stride]uint64
	n := 0
	for i := range flows {
		e := &flows[i].entry
		if e.facts&opened != 0 { // a handshake is stronger evidence
			continue
		}
		for side := range 2 {
			s := e.key.service(side)
			j.sides[i][side] = j.known.spot(&s)
			sets[n] = j.sides[i][side].set
			n++
		}
	}
	sum := uint64(0)
	for _, set := range sets[:n] {
		sum += j.known.touch(set)
	}
	j.touched += sum
}

// learn adds lessons to what is known.
func (j *Judge) learn(lessons []lesson) {
	for len(lessons) > 0 {
		some := lessons[:min(stride, len(lessons))]
		lessons = lessons[len(some):]
		for i := range some {
			j.lessons[i] = j.known.spot(&some[i].of)
		}
		sum := uint64(0)
		for i := range some {
			sum += j.known.touch(j.lessons[i].set)
		}
		j.touched += sum
		for i := range some {
			k, lost := j.known.put(j.lessons[i])
			*k |= some[i].more
			if lost.who != 0 {
				j.forgot++
			}
		}
	}
}

// judge decides a Flow's direction at its first record, and for all later ones. again tells
// that x is later.
func (j *Judge) judge(x *ended, again bool, sides *[2]spot) {
	first := x.margin.first
	var v verdict
	if again {
		v = j.kept[first]
	} else {
		var e evidence
		j.collect(&e, &x.entry, sides)
		v.service, v.Direction = e.verdict()
	}
	x.direction, x.source = v.Direction, uint8(1-v.service)
	switch {
	case x.reason == ActiveTimeout && !again:
		j.kept[first] = v
		j.most = max(j.most, len(j.kept))
	case x.reason != ActiveTimeout && again:
		delete(j.kept, first)
		if len(j.kept) == 0 && j.most > fewNumbers { // a map keeps the memory of its largest size
			j.kept, j.most = map[uint64]verdict{}, 0
		}
	}
}

// collect gathers in v, which is empty, the evidence of a Flow's direction.
func (j *Judge) collect(v *evidence, e *entry, sides *[2]spot) {
	v.transport = e.key.Transport()
	v.port[0], v.port[1] = e.key.port(0), e.key.port(1)
	v.opener = nobody
	v.group = either(e.facts&groupFirst != 0, e.facts&groupSecond != 0)
	v.announced = either(e.facts&announcedFirst != 0, e.facts&announcedSecond != 0)
	v.beginner = int(e.facts & secondBegan)
	v.settled = e.facts&settled != 0
	if e.facts&opened != 0 {
		v.opener = e.initiator()
		return
	}
	v.flags = e.flags
	for side := range 2 {
		if j.known.sets != nil {
			if k := j.known.of(sides[side]); k != nil {
				v.known[side] = *k
			}
		}
		v.private[side] = e.key.private(side)
		v.assigned[side] = j.assigned != nil && j.assigned(v.transport, v.port[side])
	}
}
