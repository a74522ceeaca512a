package sink_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/export/spool"
)

// A script is a receiver that does what deliver says, and remembers what it has taken.
type script struct {
	limits  sink.Limits
	deliver func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error

	mu    sync.Mutex
	taken map[string]int // by id
	calls int
	most  int // records in a batch
}

func (s *script) Deliver(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
	octets := 0
	for i := range records {
		octets += len(records[i].Body)
		if len(records[i].Body) > s.limits.Record {
			panic("a record beyond the limit")
		}
		if want := body(string(records[i].ID)); !bytes.HasPrefix(records[i].Body, want) {
			panic(fmt.Sprintf("%s came as %.40q", records[i].ID, records[i].Body))
		}
	}
	if len(records) != len(verdicts) || len(records) == 0 || len(records) > s.limits.Records ||
		octets > s.limits.Octets && len(records) > 1 {
		panic(fmt.Sprintf("a batch of %d records with %d octets and %d verdicts", len(records), octets, len(verdicts)))
	}
	s.mu.Lock()
	s.calls++
	s.most = max(s.most, len(records))
	s.mu.Unlock()
	err := s.deliver(ctx, records, verdicts)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range verdicts {
		if v.State == sink.Delivered {
			s.taken[string(records[i].ID)]++
		}
	}
	return err
}

func (s *script) Limits() sink.Limits { return s.limits }

func (s *script) Close() error { return nil }

func newScript(l sink.Limits, deliver func(context.Context, []sink.Record, []sink.Verdict) error) *script {
	return &script{limits: l, deliver: deliver, taken: make(map[string]int)}
}

// all takes everything.
func all(_ context.Context, _ []sink.Record, verdicts []sink.Verdict) error {
	for i := range verdicts {
		verdicts[i].State = sink.Delivered
	}
	return nil
}

var errAway = errors.New("connection refused")

// away takes nothing.
func away(context.Context, []sink.Record, []sink.Verdict) error { return errAway }

// hang never answers.
func hang(ctx context.Context, _ []sink.Record, _ []sink.Verdict) error {
	<-ctx.Done()
	return ctx.Err()
}

func body(id string) []byte { return []byte("the record " + id + " ") }

func record(i, filler int) sink.Record {
	id := fmt.Sprint("id-", i)
	return sink.Record{ID: []byte(id), Body: append(body(id), strings.Repeat("x", filler)...)}
}

var wide = sink.Limits{Records: 100, Octets: 20000, Record: 1 << 20, Parallel: 4}

// told gathers what is reported.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (r *told) report(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, err.Error())
}

func (r *told) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func options(t *testing.T, r *told) sink.DeliveryOptions {
	t.Helper()
	letters, err := sink.ParseDeadLetter(filepath.Join(t.TempDir(), "dead.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { letters.Close() })
	return sink.DeliveryOptions{Name: "test://", Format: "ecs", DeadLetter: letters, Report: r.report, LongestWait: 5 * time.Millisecond}
}

// letters reads a dead-letter file: the reasons by id.
func letters(t *testing.T, path string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return found
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var l struct{ ID, Sink, Reason, Body, Time string }
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if _, err := time.Parse(time.RFC3339Nano, l.Time); err != nil || !strings.HasPrefix(l.Body, string(body(l.ID))) || l.Sink != "test://" {
			t.Errorf("a wrong dead letter: %.200s", lines.Bytes())
		}
		found[l.ID] = l.Reason
	}
	return found
}

func wantLaw(t *testing.T, b sink.Balance) {
	t.Helper()
	if b.Found+b.Accepted != b.Delivered+b.InSpool+b.DeadLettered+b.Dropped {
		t.Errorf("does not add up: %+v", b)
	}
}

// TestBalance has receivers that do at random anything that a receiver may do. Every
// record is where the balance says it is, with both queues, both policies, and however
// the run ends.
func TestBalance(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			balanceRun(t, rand.New(rand.NewPCG(seed, 5)))
		})
	}
}

func balanceRun(t *testing.T, random *rand.Rand) {
	l := sink.Limits{Records: 1 + random.IntN(50), Octets: 100 + random.IntN(5000), Record: 3000, Parallel: 1 + random.IntN(4)}
	var mu sync.Mutex
	chance := func(percent int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(100) < percent
	}
	sour := random.IntN(3) // how bad a receiver it is
	r := newScript(l, func(_ context.Context, records []sink.Record, verdicts []sink.Verdict) error {
		if chance(10 * sour) {
			return errAway
		}
		for i := range verdicts {
			switch {
			case chance(5):
				verdicts[i] = sink.Verdict{State: sink.Rejected, Reason: "mapping"}
			case !chance(5 * sour):
				verdicts[i].State = sink.Delivered
			}
		}
		if chance(5 * sour) {
			return errAway // although it has taken some
		}
		return nil
	})
	var said told
	o := options(t, &said)
	overflow := sink.Overflow(random.IntN(2))
	gaveUp := chance(30)
	spooled := chance(50)

	var q sink.Queue
	var put func([]sink.Record)
	var end func()
	if spooled {
		s, err := spool.Open(t.TempDir(), spool.Options{Max: spool.MinMax, Full: overflow})
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Cursor("test://", "ecs")
		if err != nil {
			t.Fatal(err)
		}
		q, end = c, c.End
		put = func(list []sink.Record) {
			if err := s.Append("ecs", list); err != nil {
				t.Error(err)
			}
		}
		defer s.Close()
	} else {
		m := sink.NewMemory(20000, overflow)
		q, put, end = m, m.Put, m.End
	}
	input := rand.New(rand.NewPCG(random.Uint64(), 0)) // the receiver has the other one, from now on
	d := sink.NewDelivery(r, q, o)
	const records = 3000
	for i := 0; i < records; {
		var list []sink.Record
		for range 1 + input.IntN(100) {
			filler := input.IntN(300)
			if input.IntN(100) == 0 {
				filler = 4000 // more than the receiver takes
			}
			list = append(list, record(i, filler))
			i++
		}
		if gaveUp && i > records/2 {
			d.GiveUp()
		}
		put(list)
		for j := range list { // the queue keeps copies
			clear(list[j].Body)
			clear(list[j].ID)
		}
	}
	end()
	b, err := d.Close()
	wantLaw(t, b)
	if b.Accepted < records || b.Found != 0 {
		t.Errorf("%+v", b)
	}
	if int(b.Delivered) != len(r.taken) {
		t.Errorf("%d records were delivered, %d arrived", b.Delivered, len(r.taken))
	}
	for id, n := range r.taken {
		if n > 1 {
			t.Errorf("%s arrived %d times", id, n)
		}
	}
	dead := letters(t, o.DeadLetter.Path())
	if int(b.DeadLettered) != len(dead) {
		t.Errorf("%d dead letters, of %d", len(dead), b.DeadLettered)
	}
	switch {
	case !gaveUp && (b.InSpool != 0 || overflow == sink.Block && b.Dropped != 0 || err != nil):
		t.Errorf("it went on to the end: %+v: %v", b, err)
	case gaveUp && !spooled && b.Dropped > 0 && overflow == sink.Block && err == nil && !strings.Contains(said.String(), "not delivered"):
		t.Logf("all that was dropped came after the end: %+v", b)
	}
}

func deliver(t *testing.T, r sink.Receiver, o sink.DeliveryOptions, list ...sink.Record) (sink.Balance, error) {
	t.Helper()
	q := sink.NewMemory(1<<30, sink.Block)
	d := sink.NewDelivery(r, q, o)
	q.Put(list)
	q.End()
	b, err := d.Close()
	wantLaw(t, b)
	return b, err
}

// TestPoison: one record that the receiver refuses, and one that is too large for
// it, stop none of the others.
func TestPoison(t *testing.T) {
	r := newScript(sink.Limits{Records: 10, Octets: 1 << 20, Record: 1000, Parallel: 1},
		func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
			all(ctx, records, verdicts)
			for i := range records {
				if string(records[i].ID) == "id-7" {
					verdicts[i] = sink.Verdict{State: sink.Rejected, Reason: strings.Repeat("is no ip: ", 1000)}
				}
			}
			return nil
		})
	var list []sink.Record
	for i := range 100 {
		list = append(list, record(i, i))
	}
	list[50] = record(50, 1000)
	list[60] = record(60, 1000-len(body("id-60"))) // as large as may be
	said := new(told)
	o := options(t, said)
	b, err := deliver(t, r, o, list...)
	if b.Delivered != 98 || b.DeadLettered != 2 || err != nil {
		t.Errorf("%+v %v", b, err)
	}
	if n := strings.Count(said.String(), "rejected is in"); n != 1 || len(said.String()) > 2000 {
		t.Errorf("told %d times: %s", n, said)
	}
	dead := letters(t, o.DeadLetter.Path())
	if why := dead["id-7"]; !strings.HasPrefix(why, "is no ip") || len(why) > 2000 {
		t.Errorf("id-7: %q", why)
	}
	if why := dead["id-50"]; !strings.Contains(why, "more than the 1000") {
		t.Errorf("id-50: %q", why)
	}
}

// TestDeadLetterOctets: what is not UTF-8 is kept as it is.
func TestDeadLetterOctets(t *testing.T) {
	for _, body := range []string{"{}", "caf\u00e9", "bad \xff\xfe line"} {
		l, err := sink.ParseDeadLetter(filepath.Join(t.TempDir(), "dead.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Write("s", "text", &sink.Record{Body: []byte(body)}, "no record"); err != nil {
			t.Fatal(err)
		}
		l.Close()
		line, err := os.ReadFile(l.Path())
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Body       string
			BodyBase64 []byte `json:"body_base64"`
		}
		if err := json.Unmarshal(line, &got); err != nil || got.Body+string(got.BodyBase64) != body || got.Body != "" && got.BodyBase64 != nil {
			t.Errorf("%q became %s", body, line)
		}
	}
}

// TestDeadLettersOfTwo: when the disk is full, no half line remains of the letter that
// does not fit, and all others remain, those of another process too.
func TestDeadLettersOfTwo(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a disk of 64 KiB needs root; run the tests with sudo")
	}
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "portwatch-test", disk).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	defer exec.Command("umount", "-l", disk).Run()
	write := func(l *sink.DeadLetter, octets int) error {
		return l.Write("s", "text", &sink.Record{Body: bytes.Repeat([]byte("x"), octets)}, "no record")
	}
	var both [2]*sink.DeadLetter
	for i := range both {
		both[i], _ = sink.ParseDeadLetter(filepath.Join(disk, "dead.jsonl"))
		defer both[i].Close()
	}
	for i, l := range []*sink.DeadLetter{both[0], both[1], both[1], both[1]} {
		if err := write(l, 5000); err != nil {
			t.Fatalf("letter %d: %v", i, err)
		}
	}
	if err := write(both[0], 60000); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(both[0].Path())
	if err != nil || bytes.Count(text, []byte("\n")) != 4 || !bytes.HasSuffix(text, []byte("}\n")) {
		t.Errorf("%d letters in %d octets, want 4: %v", bytes.Count(text, []byte("\n")), len(text), err)
	}
}

// TestNoDeadLetterFile: a rejected record that cannot be written there is reported,
// counted and an error.
func TestNoDeadLetterFile(t *testing.T) {
	refuse := func(_ context.Context, _ []sink.Record, verdicts []sink.Verdict) error {
		for i := range verdicts {
			verdicts[i].State = sink.Rejected
		}
		return nil
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "no", "folder"), filepath.Join(t.TempDir(), "small") + "?max=1KiB"} {
		var said told
		o := options(t, &said)
		o.DeadLetter, _ = sink.ParseDeadLetter(path)
		var list []sink.Record
		for i := range 50 {
			list = append(list, record(i, 0))
		}
		b, err := deliver(t, newScript(wide, refuse), o, list...)
		if b.Dropped+b.DeadLettered != 50 || b.Dropped == 0 || err == nil || strings.Count(said.String(), "is lost") != 1 {
			t.Errorf("%+v %v %s", b, err, &said)
		}
	}
}

// TestOutage: one message when a receiver goes away, one when it is back.
func TestOutage(t *testing.T) {
	var said told
	tries := 0
	r := newScript(sink.Limits{Records: 5, Octets: 1 << 20, Record: 1 << 20, Parallel: 1},
		func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
			if tries++; tries%4 != 1 {
				return errAway
			}
			return all(ctx, records, verdicts)
		})
	var list []sink.Record
	for i := range 15 {
		list = append(list, record(i, 0))
	}
	b, err := deliver(t, r, options(t, &said), list...)
	if b.Delivered != 15 || b.Outages != 2 || b.Retries != 30 || err != nil {
		t.Errorf("%+v %v", b, err)
	}
	want := "cannot deliver to test://, trying again: connection refused\ntest:// is back after "
	if !strings.HasPrefix(said.String(), want) || len(said.lines) != 2 {
		t.Errorf("said:\n%s", &said)
	}
}

// TestOutageChanges: a receiver that was down and then wants another password is reported
// again, once, and not more often than once a minute.
func TestOutageChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said told
		begun, tries := time.Now(), 0
		r := newScript(wide, func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
			tries++
			switch since := time.Since(begun); {
			case since < 10*time.Second:
				return fmt.Errorf("port %d: connection refused", tries)
			case since < 3*time.Minute:
				return fmt.Errorf("port %d: unauthorized", tries)
			}
			return all(ctx, records, verdicts)
		})
		o := options(t, &said)
		o.LongestWait = time.Second
		if b, err := deliver(t, r, o, record(1, 0)); err != nil || b.Outages != 1 {
			t.Errorf("%+v, %v", b, err)
		}
		if got := regexp.MustCompile(`[0-9].*:|after .*`).ReplaceAllString(said.String(), "N"); got != "cannot deliver to test://, trying again: port N connection refused\n"+
			"cannot deliver to test://, trying again: port N unauthorized\ntest:// is back N" {
			t.Errorf("said:\n%s", &said)
		}
	})
}

// busy is an answer that says when to come again.
type busy struct{ after time.Duration }

func (b busy) Error() string             { return "busy" }
func (b busy) RetryAfter() time.Duration { return b.after }

// TestRetryAfter: a receiver that asks to be left alone is, for as long as it asked.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const after = 7 * time.Second
		var calls []time.Time
		r := newScript(sink.Limits{Records: 10, Octets: 1 << 10, Record: 1 << 10, Parallel: 1},
			func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
				if calls = append(calls, time.Now()); len(calls) < 3 {
					return fmt.Errorf("post: %w", busy{after})
				}
				return all(ctx, records, verdicts)
			})
		o := options(t, new(told))
		if b, err := deliver(t, r, o, record(1, 0)); err != nil || b.Delivered != 1 {
			t.Fatalf("%+v, %v", b, err)
		}
		for i := range calls[1:] {
			if wait := calls[i+1].Sub(calls[i]); wait < after || wait > after+time.Second {
				t.Errorf("try %d came after %v, want %v", i+2, wait, after)
			}
		}
	})
}

// TestRetryAfterAlone: this holds even if another batch gets through in the meantime.
func TestRetryAfterAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const after = 7 * time.Second
		var calls []time.Time // with the first record
		r := newScript(sink.Limits{Records: 1, Octets: 1 << 10, Record: 1 << 10, Parallel: 2},
			func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
				if string(records[0].ID) != "id-1" {
					time.Sleep(time.Second)
					return all(ctx, records, verdicts)
				}
				if calls = append(calls, time.Now()); len(calls) == 1 {
					return busy{after}
				}
				return all(ctx, records, verdicts)
			})
		if b, err := deliver(t, r, options(t, new(told)), record(1, 0), record(2, 0)); err != nil || b.Delivered != 2 {
			t.Fatalf("%+v, %v", b, err)
		}
		if wait := calls[1].Sub(calls[0]); wait < after {
			t.Errorf("the next try came after %v, want %v", wait, after)
		}
	})
}

// TestBackoff: the bound of the waits starts at a fiftieth of the longest one, doubles up
// to it, and starts again when a record was taken. After the last record there is no
// wait.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records, misses = 5, 30
		o := options(t, new(told))
		o.LongestWait = 10 * time.Second
		var calls []time.Time
		r := newScript(wide, func(_ context.Context, _ []sink.Record, verdicts []sink.Verdict) error {
			if calls = append(calls, time.Now()); len(calls)%misses == 0 {
				verdicts[0].State = sink.Delivered
				return nil
			}
			return errAway
		})
		var list []sink.Record
		for i := range records {
			list = append(list, record(i, 0))
		}
		if b, err := deliver(t, r, o, list...); b.Delivered != records || err != nil {
			t.Fatalf("%+v, %v", b, err)
		}
		if late := time.Since(calls[len(calls)-1]); late > 0 {
			t.Errorf("it ended %v after the last try", late)
		}
		var longest time.Duration
		bound := o.LongestWait / 50
		for i := range calls[1:] {
			wait := calls[i+1].Sub(calls[i])
			if longest = max(longest, wait); wait > bound {
				t.Errorf("a wait of %v, and of %v at most", wait, bound)
			}
			if bound = min(2*bound, o.LongestWait); (i+2)%misses == 0 {
				bound = o.LongestWait / 50
			}
		}
		if longest < o.LongestWait/2 {
			t.Errorf("of %d waits none was longer than %v", len(calls)-1, longest)
		}
	})
}

// TestBack: when one batch gets through, those that wait for their next try stop waiting.
func TestBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options(t, new(told))
		o.LongestWait = time.Hour
		var calls []time.Time
		r := newScript(sink.Limits{Records: 1, Octets: 1 << 10, Record: 1 << 10, Parallel: 2},
			func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
				if calls = append(calls, time.Now()); len(calls) <= 2 {
					return errAway
				}
				return all(ctx, records, verdicts)
			})
		if b, err := deliver(t, r, o, record(1, 0), record(2, 0)); err != nil || b.Delivered != 2 || len(calls) != 4 {
			t.Fatalf("%+v, %v, in %d tries", b, err, len(calls))
		}
		if late := calls[3].Sub(calls[2]); late > 0 {
			t.Errorf("the second one came %v after the first", late)
		}
	})
}

func TestRetryFor(t *testing.T) {
	o := options(t, new(told))
	o.RetryFor = 50 * time.Millisecond
	begun := time.Now()
	b, err := deliver(t, newScript(wide, away), o, record(0, 0), record(1, 0))
	if b.DeadLettered != 2 || err != nil || time.Since(begun) < o.RetryFor {
		t.Errorf("%+v %v after %v", b, err, time.Since(begun))
	}
	if why := letters(t, o.DeadLetter.Path())["id-1"]; why != "not delivered in 50ms: connection refused" {
		t.Errorf("%q", why)
	}
}

// TestRetryAfterTooLong: a receiver that asks for more time than a record has gets no more.
func TestRetryAfterTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newScript(wide, func(context.Context, []sink.Record, []sink.Verdict) error { return busy{10 * time.Minute} })
		o := options(t, new(told))
		o.RetryFor = time.Minute
		began := time.Now()
		b, err := deliver(t, r, o, record(0, 0))
		if took := time.Since(began); b.DeadLettered != 1 || err != nil || took < time.Minute || took > time.Minute+time.Second {
			t.Errorf("%+v %v in %v", b, err, took)
		}
	})
}

// TestRetryForNoReason has a receiver that leaves a part and does not say why.
func TestRetryForNoReason(t *testing.T) {
	o := options(t, new(told))
	o.RetryFor = time.Nanosecond
	b, err := deliver(t, newScript(wide, func(_ context.Context, _ []sink.Record, verdicts []sink.Verdict) error {
		verdicts[0].State = sink.Delivered
		return nil
	}), o, record(0, 0), record(1, 0))
	if why := letters(t, o.DeadLetter.Path())["id-1"]; b.Delivered != 1 || err != nil || why != "not delivered in 1ns: the receiver did not say why" {
		t.Errorf("%+v %v %q", b, err, why)
	}
}

func TestTimeout(t *testing.T) {
	var said told
	o := options(t, &said)
	o.Timeout, o.RetryFor = 10*time.Millisecond, time.Nanosecond
	b, _ := deliver(t, newScript(wide, hang), o, record(0, 0))
	if b.DeadLettered != 1 || !strings.Contains(said.String(), "no answer within 10ms") {
		t.Errorf("%+v %s", b, &said)
	}
}

// TestPass has a receiver that is full now and then: what it does not take at once comes
// through the spool, after what it has taken; once the spool is empty, nothing more goes
// there.
func TestPass(t *testing.T) {
	var order []string
	room := 0
	var mu sync.Mutex
	r := newScript(sink.Limits{Records: 4, Octets: 1000, Record: 900, Parallel: 1}, func(_ context.Context, records []sink.Record, verdicts []sink.Verdict) error {
		mu.Lock()
		defer mu.Unlock()
		for i := range records {
			if room == 0 {
				return errAway
			}
			room--
			order = append(order, string(records[i].ID))
			verdicts[i].State = sink.Delivered
		}
		return nil
	})
	makeRoom := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		room = n
	}
	s, err := spool.Open(t.TempDir(), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Cursor("test://", "ecs")
	if err != nil {
		t.Fatal(err)
	}
	d := sink.NewDelivery(r, c, options(t, &told{}))
	var sent []string
	put := func(n int) (passed int) {
		records := make([]sink.Record, n)
		for i := range records {
			id := fmt.Sprint("r", len(sent))
			sent = append(sent, id)
			records[i] = sink.Record{ID: []byte(id), Body: body(id)}
		}
		if c.Idle() {
			passed = d.Pass(records)
			c.Passed(passed)
		}
		if err := s.Append("ecs", records[passed:]); err != nil {
			t.Fatal(err)
		}
		return passed
	}
	makeRoom(10)
	if n := put(10); n != 10 || c.Counts().Waiting != 0 {
		t.Errorf("%d of 10 past an idle spool, %d wait", n, c.Counts().Waiting)
	}
	if n := d.Pass([]sink.Record{{Body: make([]byte, 901)}}); n != 0 {
		t.Error("passed what is too large for the receiver")
	}
	if n := d.Pass([]sink.Record{{ID: []byte("away"), Body: body("away")}}); n != 0 {
		t.Error("passed what the receiver has no room for")
	}
	makeRoom(6)
	if n := put(10); n != 6 {
		t.Errorf("%d of 10 past the spool, of which 6 have room", n)
	}
	if n := put(5); n != 0 {
		t.Errorf("%d past those that wait", n)
	}
	makeRoom(1000)
	for !c.Idle() {
		time.Sleep(time.Millisecond)
	}
	if n := put(10); n != 10 {
		t.Errorf("%d of 10 past the spool that is idle again", n)
	}
	if other, err := s.Cursor("another://", "ecs"); err != nil || c.Idle() || other.Idle() {
		t.Errorf("idle, though two want the records: %v", err)
	}
	c.End()
	b, err := d.Close()
	if err != nil || b.Delivered != uint64(len(sent)) || b.Accepted != b.Delivered {
		t.Errorf("%+v, %v; %d records", b, err, len(sent))
	}
	wantLaw(t, b)
	if got, want := strings.Join(order, " "), strings.Join(sent, " "); got != want {
		t.Errorf("took %s\nwant %s", got, want)
	}
}

// TestHurry: a receiver that still takes something has as long as it needs; one that
// takes nothing has the grace.
func TestHurry(t *testing.T) {
	const grace = 100 * time.Millisecond
	slow := func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
		time.Sleep(grace / 4)
		return all(ctx, records, verdicts)
	}
	few := sink.Limits{Records: 1, Octets: 1 << 20, Record: 1 << 20, Parallel: 1}
	for _, test := range []struct {
		r         *script
		delivered uint64
		err       string
	}{
		{newScript(few, slow), 12, ""},
		{newScript(few, away), 0, "12 records were not delivered to test://: connection refused"},
		{newScript(few, hang), 0, "12 records were not delivered to test://: there was no time left"},
	} {
		q := sink.NewMemory(1<<20, sink.Block)
		d := sink.NewDelivery(test.r, q, options(t, new(told)))
		for i := range 12 {
			q.Put([]sink.Record{record(i, 0)})
		}
		q.End()
		d.Hurry(grace)
		b, err := d.Close()
		wantLaw(t, b)
		if b.Delivered != test.delivered || b.Dropped != 12-test.delivered || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("%+v %v, want %s", b, err, test.err)
		}
	}
}

// TestLeave: what is safe in the spool does not wait for a receiver that is down; one
// that is up has the grace.
func TestLeave(t *testing.T) {
	few := sink.Limits{Records: 1, Octets: 1 << 20, Record: 1 << 20, Parallel: 1}
	slow := func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
		time.Sleep(2 * time.Millisecond)
		return all(ctx, records, verdicts)
	}
	for _, deliver := range []func(context.Context, []sink.Record, []sink.Verdict) error{slow, away} {
		s, err := spool.Open(t.TempDir(), spool.Options{Max: spool.MinMax})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		q, err := s.Cursor("test://", "ecs")
		if err != nil {
			t.Fatal(err)
		}
		r := newScript(few, deliver)
		d := sink.NewDelivery(r, q, options(t, new(told)))
		d.Leave()
		d.Hurry(time.Hour)
		for i := range 200 { // some of them after the first failure
			if err := s.Append("ecs", []sink.Record{record(i, 0)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		q.End()
		b, err := d.Close()
		wantLaw(t, b)
		if err != nil || b.Accepted != 200 || b.InSpool+b.Delivered != 200 || int(b.Delivered) != len(r.taken) {
			t.Errorf("%+v %v", b, err)
		}
		if there := b.Outages == 0; there != (b.InSpool == 0) {
			t.Errorf("%+v", b)
		}
	}
}

// TestHurryIdle: the grace applies to what waits. Records that come late, after a time
// without any, have all of it.
func TestHurryIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grace = 10 * time.Second
		r := newScript(wide, func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
			select {
			case <-time.After(grace / 2):
				return all(ctx, records, verdicts)
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		r.limits.Parallel = 1
		q := sink.NewMemory(1<<20, sink.Block)
		d := sink.NewDelivery(r, q, options(t, new(told)))
		time.Sleep(2 * grace)
		q.Put([]sink.Record{record(1, 0)})
		d.Hurry(grace)
		time.Sleep(3 * grace)
		q.Put([]sink.Record{record(2, 0)})
		q.End()
		if b, err := d.Close(); b.Delivered != 2 || err != nil {
			t.Errorf("%+v, %v", b, err)
		}
	})
}

// TestGivenUp: whoever puts records is not held up; what comes is lost and reported.
func TestGivenUp(t *testing.T) {
	q := sink.NewMemory(500, sink.Block)
	d := sink.NewDelivery(newScript(wide, hang), q, options(t, new(told)))
	time.AfterFunc(10*time.Millisecond, d.GiveUp)
	for i := range 20 {
		q.Put([]sink.Record{record(i, 0)})
	}
	missed := q.Counts().Missed
	q.End()
	b, err := d.Close()
	wantLaw(t, b)
	want := fmt.Sprintf("%d records for test:// came after it was given up, and are lost\n%d records were not delivered to test://: there was no time left", missed, 20-missed)
	if b.Dropped != 20 || missed == 0 || err == nil || err.Error() != want {
		t.Errorf("%+v %v, want %s", b, err, want)
	}
}

// TestNoLimits: to bound batches by octets alone, one sets the number of records to
// anything.
func TestNoLimits(t *testing.T) {
	r := newScript(sink.Limits{Records: math.MaxInt, Octets: math.MaxInt, Record: 1 << 20, Parallel: 2}, all)
	b, err := deliver(t, r, options(t, new(told)), record(1, 0), record(2, 0))
	if err != nil || b.Delivered != 2 {
		t.Errorf("%+v, %v", b, err)
	}
}

// TestIdleReceiverWaitsForNothing: a lone record is not kept back for others.
func TestIdleReceiverWaitsForNothing(t *testing.T) {
	took := make(chan time.Time, 1)
	r := newScript(wide, func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
		took <- time.Now()
		return all(ctx, records, verdicts)
	})
	q := sink.NewMemory(1<<20, sink.Block)
	d := sink.NewDelivery(r, q, options(t, new(told)))
	for i := range 20 {
		start := time.Now()
		q.Put([]sink.Record{record(i, 0)})
		if late := (<-took).Sub(start); late > 150*time.Millisecond {
			t.Errorf("it waited %v", late)
		}
		time.Sleep(time.Millisecond)
	}
	q.End()
	d.Close()
}

// TestBusyReceiverGetsFullBatches: while a batch is under way, others gather.
func TestBusyReceiverGetsFullBatches(t *testing.T) {
	l := sink.Limits{Records: 100, Octets: 1 << 20, Record: 1 << 20, Parallel: 4}
	r := newScript(l, func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
		time.Sleep(5 * time.Millisecond)
		return all(ctx, records, verdicts)
	})
	q := sink.NewMemory(1<<20, sink.Block)
	d := sink.NewDelivery(r, q, options(t, new(told)))
	for i := range 2000 {
		q.Put([]sink.Record{record(i, 0)})
	}
	q.End()
	d.Close()
	if r.calls > 60 || len(r.taken) != 2000 {
		t.Errorf("%d records in %d batches", len(r.taken), r.calls)
	}
}

// TestLinger: while a batch is under way, records wait for others to come with them, but not
// when they are a whole batch, when no more will come, or when that batch is settled.
func TestLinger(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		takes time.Duration // the batch that is under way
		then  func(put func(n int), end func())
		want  string // records of a batch, and when it came
	}{
		"others":     {time.Second, func(put func(int), _ func()) { put(1); time.Sleep(100 * ms); put(2) }, "3 after 250ms"},
		"full":       {time.Second, func(put func(int), _ func()) { put(1); time.Sleep(100 * ms); put(3) }, "4 after 150ms"},
		"end":        {time.Second, func(put func(int), end func()) { put(1); time.Sleep(100 * ms); end() }, "1 after 150ms"},
		"idle again": {100 * ms, func(put func(int), _ func()) { put(1) }, "1 after 100ms"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var got []string
				begun := time.Now()
				l := sink.Limits{Records: 4, Octets: 1 << 20, Record: 1 << 20, Parallel: 2}
				r := newScript(l, func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
					mu.Lock()
					got = append(got, fmt.Sprint(len(records), " after ", time.Since(begun)))
					mu.Unlock()
					time.Sleep(test.takes)
					return all(ctx, records, verdicts)
				})
				q := sink.NewMemory(1<<20, sink.Block)
				d := sink.NewDelivery(r, q, options(t, new(told)))
				put := func(n int) {
					for range n {
						q.Put([]sink.Record{record(1, 0)})
					}
				}
				put(1)
				time.Sleep(50 * ms)
				test.then(put, q.End)
				time.Sleep(120 * ms) // both are under way: neither wants the other's lock
				q.End()
				d.Close()
				if want := []string{"1 after 0s", test.want}; !slices.Equal(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
			})
		})
	}
}

// TestMemoryStaysBounded has a receiver that never answers, and drops.
func TestMemoryStaysBounded(t *testing.T) {
	const octets = 4 << 20
	q := sink.NewMemory(octets, sink.DropOldest)
	d := sink.NewDelivery(newScript(wide, hang), q, options(t, new(told)))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	list := make([]sink.Record, 100)
	for i := range 2000 { // 200 MB
		for j := range list {
			list[j] = record(100*i+j, 900)
		}
		q.Put(list)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2*octets {
		t.Errorf("memory has grown by %d octets, for a queue of %d", grown, octets)
	}
	d.GiveUp()
	q.End()
	b, _ := d.Close()
	wantLaw(t, b)
	if b.Accepted != 200000 || b.Dropped != 200000 {
		t.Errorf("%+v", b)
	}
}

// TestMemoryRoom: what was taken or dropped frees its room, and Ready counts what waits.
func TestMemoryRoom(t *testing.T) {
	const max = 2000
	q := sink.NewMemory(max, sink.DropOldest)
	one := sink.Record{ID: make([]byte, 20), Key: make([]byte, 10), Body: make([]byte, 100)}
	had := 0
	for round := range 3 {
		room, before := 0, q.Counts().Dropped
		for ; room < max; room++ {
			if q.Put([]sink.Record{one}); q.Counts().Dropped > before {
				break
			}
			if n, octets, _ := q.Ready(); n != room+1 || octets != int64(n*len(one.Body)) {
				t.Fatalf("%d records with %d octets wait, of %d", n, octets, room+1)
			}
		}
		if room*(20+10+100) > max || room < 5 || round > 0 && room != had {
			t.Errorf("round %d: room for %d records, and for %d before", round, room, had)
		}
		had = room
		var b sink.Batch
		q.Take(&b, sink.Limits{Records: max, Octets: 1 << 20})
		if n, octets, _ := q.Ready(); len(b.Records) != room || n != 0 || octets != 0 {
			t.Errorf("took %d of %d records, and %d with %d octets wait", len(b.Records), room, n, octets)
		}
	}
}

// TestLargerThanQueue: a record that is larger than the queue goes alone.
func TestLargerThanQueue(t *testing.T) {
	for _, overflow := range []sink.Overflow{sink.Block, sink.DropOldest} {
		r := newScript(wide, all)
		q := sink.NewMemory(1, overflow)
		d := sink.NewDelivery(r, q, options(t, new(told)))
		for i := range 10 {
			q.Put([]sink.Record{record(i, 1000)})
		}
		q.End()
		b, err := d.Close()
		wantLaw(t, b)
		if b.Accepted != 10 || r.taken["id-9"] != 1 || overflow == sink.Block && b.Delivered != 10 || err != nil {
			t.Errorf("%v: %+v, %v", overflow, b, err)
		}
	}
}

// TestSlowSinkHoldsBackNobody: of two sinks of one spool one never answers. The
// other gets everything, and the first one's part is there in the next run.
func TestSlowSinkHoldsBackNobody(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var deliveries []*sink.Delivery
	var cursors []*spool.Cursor
	slow, fast := newScript(wide, hang), newScript(wide, all)
	for name, r := range map[string]*script{"slow": slow, "fast": fast} {
		c, err := s.Cursor(name, "ecs")
		if err != nil {
			t.Fatal(err)
		}
		cursors = append(cursors, c)
		o := options(t, new(told))
		o.Name = name
		deliveries = append(deliveries, sink.NewDelivery(r, c, o))
	}
	for i := range 1000 {
		if err := s.Append("ecs", []sink.Record{record(i, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, d := range deliveries {
		cursors[i].End()
		d.Hurry(100 * time.Millisecond)
	}
	for _, d := range deliveries {
		b, err := d.Close()
		wantLaw(t, b)
		if err != nil || b.Name == "fast" && b.Delivered != 1000 || b.Name == "slow" && b.InSpool != 1000 {
			t.Errorf("%+v %v", b, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = spool.Open(dir, spool.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Cursor("slow", "ecs")
	if err != nil {
		t.Fatal(err)
	}
	slow.deliver = all
	d := sink.NewDelivery(slow, c, options(t, new(told)))
	c.End()
	if b, err := d.Close(); b.Found != 1000 || b.Delivered != 1000 || len(slow.taken) != 1000 || err != nil {
		t.Errorf("%+v %v", b, err)
	}
}
