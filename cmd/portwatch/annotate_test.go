package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/records/kafka"
)

// program returns the program with arguments, ready to start.
func program(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "PORTWATCH_TEST_MAIN=1")
	return c
}

// annotated runs annotate on lines and returns the lines that it writes.
func annotated(t *testing.T, lines []byte, args ...string) [][]byte {
	t.Helper()
	c := program(append([]string{"annotate", "--offline", "--from", "-"}, args...)...)
	c.Stdin = bytes.NewReader(lines)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return slices.Collect(bytes.Lines(out))
}

// ports holds the members of the object portwatch that come from the registry.
type ports struct {
	Source, Destination struct {
		Port struct {
			Class           string
			Status          string
			Service         string
			Services        []string
			RegisteredOn    []string        `json:"registered_on"`
			UnauthorizedUse json.RawMessage `json:"unauthorized_use"`
		}
	}
}

// TestAnnotateOwn removes the object from records of metering, and wants annotate to say
// the same about the ports again and to change nothing else in the record.
func TestAnnotateOwn(t *testing.T) {
	captures, _ := filepath.Glob(filepath.Join("..", "..", "testdata", "*.pcap*"))
	if len(captures) < 10 {
		t.Fatalf("%d captures in testdata", len(captures))
	}
	if dir, ok := captureFolder(); ok && !testing.Short() {
		captures = append(captures, capturesIn(t, dir, "real")...)
	}
	if testing.Short() {
		captures = captures[:10]
	}
	for _, format := range []string{"ecs", "zeek", "eve"} {
		for _, workers := range []string{"1", "3"} {
			n := 0
			for _, capture := range captures {
				n += annotateOwn(t, capture, format, workers)
			}
			if n < 100 {
				t.Errorf("only %d records in %s", n, format)
			}
			if workers == "1" {
				captures = captures[:10] // the second time only the order matters
			}
		}
	}
}

func annotateOwn(t *testing.T, capture, format, workers string) int {
	t.Helper()
	out, _ := program("--offline", "-q", "--no-alerts", "-r", capture, "-o", format).Output() // truncated captures fail at the end
	var stripped []byte
	var want [][]byte
	for line := range bytes.Lines(out) {
		var record map[string]json.RawMessage
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		want = append(want, record["portwatch"])
		delete(record, "portwatch")
		rest, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		stripped = append(append(stripped, rest...), '\n')
	}
	if len(want) == 0 {
		return 0
	}
	got := annotated(t, stripped, "-q", "--workers", workers)
	if len(got) != len(want) {
		t.Fatalf("%s as %s: %d records became %d", capture, format, len(want), len(got))
	}
	rest := stripped
	for i, line := range got {
		before, _, _ := bytes.Cut(line, []byte(`,"portwatch":`))
		from, behind, _ := bytes.Cut(rest, []byte("\n"))
		rest = behind
		if string(before)+"}" != string(from) {
			t.Fatalf("%s as %s, record %d: %s became %s", capture, format, i, from, line)
		}
		var record struct{ Portwatch ports }
		var original ports
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(want[i], &original); err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprintf("%+s", record.Portwatch), fmt.Sprintf("%+s", original); a != b {
			t.Errorf("%s as %s, record %d:\n%s\nwant\n%s", capture, format, i, a, b)
		}
	}
	return len(got)
}

// TestAnnotateSamples annotates records that goflow2 and nfdump made from a capture, and
// wants the same about each port as from metering that capture.
func TestAnnotateSamples(t *testing.T) {
	testdata := filepath.Join("..", "..", "testdata")
	out, err := program("--offline", "-q", "--no-alerts", "-r", filepath.Join(testdata, "office.pcap"), "-o", "ecs").Output()
	if err != nil {
		t.Fatal(err)
	}
	type side struct {
		IP   string
		Port int
	}
	want := make(map[string]string)
	for line := range bytes.Lines(out) {
		var r struct {
			Source, Destination side
			Network             struct{ Transport string }
			Portwatch           ports
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		for of, says := range map[side]any{r.Source: r.Portwatch.Source, r.Destination: r.Portwatch.Destination} {
			want[fmt.Sprint(r.Network.Transport, of)] = fmt.Sprintf("%+s", says)
		}
	}
	for _, name := range []string{"goflow2.jsonl", "nfdump.jsonl"} {
		lines, err := os.ReadFile(filepath.Join(testdata, "flows", name))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, line := range annotated(t, lines, "-q") {
			var r struct {
				Src4 string `json:"src4_addr"`
				Dst4 string `json:"dst4_addr"`
				Src6 string `json:"src6_addr"`
				Dst6 string `json:"dst6_addr"`
				Src  string `json:"src_addr"`
				Dst  string `json:"dst_addr"`

				SrcPort   int `json:"src_port"`
				DstPort   int `json:"dst_port"`
				Proto     any
				Portwatch *ports
			}
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			if r.Portwatch == nil {
				continue // ICMP
			}
			transport := strings.NewReplacer("17", "udp", "6", "tcp").Replace(strings.ToLower(fmt.Sprint(r.Proto)))
			for of, says := range map[side]any{
				{r.Src + r.Src4 + r.Src6, r.SrcPort}: r.Portwatch.Source,
				{r.Dst + r.Dst4 + r.Dst6, r.DstPort}: r.Portwatch.Destination,
			} {
				key, got := fmt.Sprint(transport, of), fmt.Sprintf("%+s", says)
				if want[key] != got {
					t.Errorf("%s, %s: %s, want %s", name, key, got, want[key])
				}
				n++
			}
		}
		if n < 50 {
			t.Errorf("%s: only %d ports", name, n)
		}
	}
}

// TestAnnotateForSinks: what a sink is told about records that others metered. The id depends
// on the place and the line, so that a record gets the same id when it is read again.
func TestAnnotateForSinks(t *testing.T) {
	const (
		dns   = `{"event_type":"dns","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":53,"proto":"UDP"}`
		fine  = `{"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":443,"proto":"tcp","conn_state":"SF","history":"ShADadFf"}`
		found = `{"ts":1764000000.25,"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":42000,"proto":"tcp","conn_state":"SF","history":"ShADadFf"}`

		at                = 1764000000_250000000
		fineKey, foundKey = "1:UWHKJ/x6OQ1YiVv4rIl0t3yhjg8=", "1:k9uBRAwminyeGGVr30x4vSjdw/g="
	)
	a, file, _ := newBenchJob(fine)
	file.block.Data = []byte(found + "\n" + dns + "\n" + fine)
	topic := &job{topic: "t", messages: []kafka.Message{
		{Partition: 3, Offset: 7, Value: []byte(found + "\r\n")}, {Partition: 3, Offset: 8, Value: []byte(fine)},
	}}
	type record struct {
		place, line string
		severity    uint8
		time        int64
		key         string
	}
	began := time.Now().UnixNano()
	for _, test := range []struct {
		*job
		want []record
	}{
		{file, []record{{"x:1", found, 60, at, foundKey}, {"x:2", dns, 0, 0, ""}, {"x:3", fine, 0, 0, fineKey}}},
		{topic, []record{{"t/3@7", found, 60, at, foundKey}, {"t/3@8", fine, 0, 0, fineKey}}},
	} {
		test.marks = new(marks)
		a.work(test.job)
		test.counts = export.AnnotateCounts{}
		a.work(test.job) // again, as jobs are reused
		got := test.marks.split(test.out)
		if len(got) != len(test.want) || test.counts.Findings.Sum() != 2 {
			t.Fatalf("%d records, %d findings", len(got), test.counts.Findings.Sum())
		}
		rest := test.out
		for i, w := range test.want {
			if w.time == 0 && got[i].Time >= began { // the record has none: the time of reading
				w.time = got[i].Time
			}
			id := sha256.Sum256([]byte(w.place + "\n" + w.line))
			line, behind, _ := bytes.Cut(rest, []byte("\n"))
			want := sink.Record{
				Kind: sink.Flow, Severity: w.severity, Time: w.time,
				ID: hex.AppendEncode(nil, id[:16]), Key: []byte(w.key), Body: line,
			}
			if !reflect.DeepEqual(got[i], want) {
				t.Errorf("got %+v, want %+v", got[i], want)
			}
			rest = behind
		}
	}
}

// TestAnnotateDelivery: each sink gets what standard output gets, once. What a sink rejects is
// kept, and what it has not taken at the end is lost, which is an error.
func TestAnnotateDelivery(t *testing.T) {
	const n = 500
	dir := t.TempDir()
	from, stats, dead := filepath.Join(dir, "from"), filepath.Join(dir, "stats"), filepath.Join(dir, "dead")
	if err := os.WriteFile(from, ecsLines(n), 0o666); err != nil {
		t.Fatal(err)
	}
	good, bad := newTaker(t), newTaker(t)
	bad.answer = func(w http.ResponseWriter, _ func()) { w.WriteHeader(http.StatusBadRequest) }
	stdout, stderr, status := runCommand(t, "annotate", "--offline", "-q", "--from", from, "--to", "-", "--to", good.to(), "--to", bad.to(),
		"--dead-letter", dead, "--stats", stats)
	if status != exitDone || bytes.Count(stdout, []byte(`"portwatch":`)) != n || len(good.bodies) != n {
		t.Fatalf("status %d, %d octets, %d records at the sink: %s", status, len(stdout), len(good.bodies), stderr)
	}
	for line := range bytes.Lines(stdout) {
		if id := eventID(line); !bytes.Equal(good.bodies[id], line) || good.times[id] != 1 {
			t.Fatalf("got %d times %s for %s", good.times[id], good.bodies[id], line)
		}
	}
	if kept := bytes.Count(contents(dead), []byte(`"sink":"`+bad.to()+`"`)); kept != n {
		t.Errorf("%d are kept of those that were rejected", kept)
	}
	if b := balances(t, stats); len(b) != 2 || b[0].Delivered != n || b[1].DeadLettered != n {
		t.Errorf("%+v", b)
	}
	const gone = "http+http://127.0.0.1:1/"
	_, stderr, status = runCommand(t, "annotate", "--offline", "-q", "--from", from, "--to", gone, "--drain-timeout", "50ms", "--stats", stats)
	lost := fmt.Sprintf("portwatch: %d records were not delivered to %s: ", n, gone)
	if b := balances(t, stats); status != exitFailed || !bytes.Contains(stderr, []byte(lost)) || len(b) != 1 || b[0].Dropped != n {
		t.Errorf("status %d, %+v: %s", status, b, stderr)
	}
}

// TestAnnotateSignalEndsDelivery: after SIGTERM a sink that keeps taking a little has the
// grace period and no more. What it did not take is lost, which is an error.
func TestAnnotateSignalEndsDelivery(t *testing.T) {
	slow := newTaker(t)
	slow.answer = func(_ http.ResponseWriter, take func()) {
		time.Sleep(50 * time.Millisecond)
		take()
	}
	stats := filepath.Join(t.TempDir(), "stats.json")
	c := program("annotate", "--offline", "-q", "--from", "-", "--to", slow.to()+"?batch-records=1&parallel=1", "--drain-timeout", "200ms", "--stats", stats)
	in := begin(t, c)
	in.Write(ecsLines(2000)) // more than the pipe holds, and it stays open
	c.Process.Signal(syscall.SIGTERM)
	c.Wait()
	if b := balances(t, stats)[0]; c.ProcessState.ExitCode() != exitFailed || b.Dropped == 0 {
		t.Errorf("status %d, %+v", c.ProcessState.ExitCode(), b)
	}
}

// ecsLines returns records with different ids.
func ecsLines(n int) (lines []byte) {
	for i := range n {
		lines = fmt.Appendf(lines, `{"event":{"id":"%d","category":"network"},"source":{"ip":"10.0.0.1","port":%d},"destination":{"ip":"10.0.0.2","port":42000},"network":{"transport":"tcp"}}`+"\n", i, 50000+i)
	}
	return lines
}

// member is one instance of a consumer group.
type member struct {
	*exec.Cmd
	stderr bytes.Buffer
}

// TestAnnotateGroup has three instances share a topic of 12 partitions. In the middle
// one is killed and another added; every record must arrive, with the object.
func TestAnnotateGroup(t *testing.T) {
	const partitions, total = 12, 60000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(partitions, "in"), kfake.SeedTopics(3, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("out"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			client.Produce(ctx, &kgo.Record{Topic: "in", Key: fmt.Append(nil, i), Value: fmt.Appendf(nil,
				`{"uid":"C%d","id.orig_h":"10.0.0.1","id.orig_p":%d,"id.resp_h":"10.0.0.2","id.resp_p":42000,"proto":"tcp","conn_state":"SF","history":"ShADadFf"}`,
				i, 20000+i%10000)}, nil)
		}
		if err := client.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}

	start := func() *member {
		m := &member{Cmd: program("annotate", "--offline", "--from", "kafka://"+brokers+"/in?group=g&session=6s",
			"--to", "kafka://"+brokers+"/out", "--dead-letter", filepath.Join(t.TempDir(), "dead"))}
		m.Cmd.Stderr = &m.stderr
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Process.Kill() })
		return m
	}

	seen, twice := make(map[string]bool), 0
	collect := func(until int) {
		for len(seen) < until {
			fetches := client.PollFetches(ctx)
			if err := fetches.Err0(); err != nil {
				t.Fatalf("%d of %d records arrived: %v", len(seen), until, err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				var record struct {
					UID       string
					Portwatch ports
				}
				if err := json.Unmarshal(r.Value, &record); err != nil {
					t.Fatal(err)
				}
				if record.Portwatch.Destination.Port.UnauthorizedUse == nil {
					t.Fatalf("%s has no annotation", r.Value)
				}
				if seen[record.UID] {
					twice++
				}
				seen[record.UID] = true
			})
		}
	}

	produce(0, total/6)
	members := []*member{start(), start(), start()}
	awaitMembers(t, ctx, client, "g", 3)
	produce(total/6, total/2)
	collect(total / 4)
	if err := members[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	members[0].Wait()
	members = append(members[1:], start())
	produce(total/2, 3*total/4)
	awaitMembers(t, ctx, client, "g", 3)
	produce(3*total/4, total)
	collect(total)
	for _, m := range members {
		m.Process.Signal(os.Interrupt)
	}
	for _, m := range members {
		if err := m.Wait(); err != nil {
			t.Errorf("%v: %s", err, &m.stderr)
		}
		t.Logf("%s", &m.stderr)
		if strings.HasPrefix(m.stderr.String(), "0 lines") {
			t.Error("a member of the group had no share")
		}
	}
	t.Logf("%d records, %d of them twice", len(seen), twice)

	if n := committed(t, client, "g", "in", partitions); n != total {
		t.Errorf("offsets of %d records were committed, of %d", n, total)
	}
}

// awaitMembers waits until a group has the given number of members, all with partitions.
func awaitMembers(t *testing.T, ctx context.Context, client *kgo.Client, group string, n int) {
	t.Helper()
	sharing := func() bool {
		g := described(t, ctx, client, group)
		for _, m := range g.Members {
			var share kmsg.ConsumerMemberAssignment
			if share.ReadFrom(m.MemberAssignment) != nil || len(share.Topics) == 0 {
				return false
			}
		}
		return g.State == "Stable" && len(g.Members) == n
	}
	for !sharing() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("the group never came to have %d members with partitions", n)
		}
	}
}

func described(t *testing.T, ctx context.Context, client *kgo.Client, group string) kmsg.DescribeGroupsResponseGroup {
	t.Helper()
	request := kmsg.NewPtrDescribeGroupsRequest()
	request.Groups = []string{group}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Groups[0]
}

// committed adds up what a group has committed.
func committed(t *testing.T, client *kgo.Client, group, topic string, partitions int32) (n int64) {
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	of := kmsg.NewOffsetFetchRequestTopic()
	of.Topic = topic
	for p := range partitions {
		of.Partitions = append(of.Partitions, p)
	}
	request.Topics = append(request.Topics, of)
	response, err := request.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			n += p.Offset
		}
	}
	return n
}

// TestAnnotatePoisoned has a message in a topic that cannot be read: it is kept in the
// dead-letter file, and those after it arrive.
func TestAnnotatePoisoned(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	good := "{\"src_addr\":\"10.0.0.1\",\n\"dst_addr\":\"10.0.0.2\",\"src_port\":50000,\"dst_port\":443,\"proto\":\"TCP\"}\n"
	for _, value := range []string{good, "{not JSON", "", good} {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "in", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c := program("annotate", "--offline", "-q", "--from", "kafka://"+cluster.ListenAddrs()[0]+"/in?group=g")
	c.Dir = t.TempDir()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	lines := bufio.NewScanner(out)
	for range 2 {
		if !lines.Scan() || !json.Valid(lines.Bytes()) || !strings.Contains(lines.Text(), `"portwatch":`) {
			t.Fatalf("%q: %s", lines.Text(), &stderr)
		}
	}
	for committed(t, client, "g", "in", 1) < 4 {
		if ctx.Err() != nil {
			t.Fatal("nothing is committed")
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.Process.Signal(os.Interrupt)
	if err := c.Wait(); c.ProcessState.ExitCode() != exitFailed {
		t.Errorf("%v: %s", err, &stderr)
	}
	if !strings.Contains(stderr.String(), "warning: in/0@1: octet 2 is 'n' where JSON wants a name") {
		t.Errorf("%s", &stderr)
	}
	letters, err := os.ReadFile(filepath.Join(c.Dir, "portwatch-dead-letter.jsonl"))
	if err != nil || bytes.Count(letters, []byte("\n")) != 1 || !bytes.Contains(letters, []byte(`"sink":"in/0@1"`)) {
		t.Errorf("%s %v", letters, err)
	}
}

// TestAnnotateUncommitted: what a sink has not taken when the run ends is not committed, so
// that other members of the group can read it at once.
func TestAnnotateUncommitted(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Value: []byte(annotatorLines["zeek"])}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c := program("annotate", "--offline", "-q", "--from", "kafka://"+cluster.ListenAddrs()[0]+"/in?group=g",
		"--to", "http+http://127.0.0.1:1/", "--drain-timeout", "50ms", "--dead-letter", filepath.Join(t.TempDir(), "dead"))
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	told := bufio.NewScanner(stderr)
	for told.Scan() && !strings.Contains(told.Text(), "cannot deliver to ") {
	}
	c.Process.Signal(os.Interrupt)
	var rest []string
	for told.Scan() {
		rest = append(rest, told.Text())
	}
	if c.Wait(); c.ProcessState.ExitCode() != exitFailed || !slices.ContainsFunc(rest, func(s string) bool { return strings.Contains(s, "not delivered") }) {
		t.Errorf("%v: %q", c.ProcessState, rest)
	}
	if n := committed(t, client, "g", "in", 1); n > 0 {
		t.Errorf("%d are committed", n)
	}
	if g := described(t, t.Context(), client, "g"); len(g.Members) > 0 {
		t.Error("the group was not left: others would wait for the end of the session")
	}
}

// slowly takes longer for each write than annotate's writer waits for the reader.
type slowly struct{ lines int }

func (s *slowly) Write(b []byte) (int, error) {
	time.Sleep(patience + patience/10)
	s.lines += bytes.Count(b, []byte("\n"))
	return len(b), nil
}

func (s *slowly) Close() error { return nil }

// TestAnnotateSlowAtSignal: what was read before a signal is written after it, however long
// the output takes for each part.
func TestAnnotateSlowAtSignal(t *testing.T) {
	const jobs = 8
	out := new(slowly)
	r := &annotateRun{
		options: &annotateOptions{kafka: make([]*sink.KafkaSource, 1)},
		order:   make(chan *job, jobs), free: make(chan *job, jobs),
	}
	r.output.places = []*place{{name: "slow", w: out}}
	for range jobs {
		j := &job{out: []byte("{}\n"), done: make(chan struct{}, 1)}
		j.done <- struct{}{}
		r.order <- j
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.write(ctx, func() {}); err != nil || out.lines != jobs {
		t.Errorf("%d of %d were written, %v", out.lines, jobs, err)
	}
}

// TestAnnotateFull: when no output is left, the reading ends although the reader waits for
// input, and the error is reported.
func TestAnnotateFull(t *testing.T) {
	r := &annotateRun{options: &annotateOptions{kafka: make([]*sink.KafkaSource, 1)}, order: make(chan *job, 1), free: make(chan *job, 1)}
	r.output.places = []*place{{name: "full", w: fullDisk{}}}
	j := &job{out: []byte("{}\n"), done: make(chan struct{}, 1)}
	j.done <- struct{}{}
	r.order <- j
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.write(ctx, cancel); !errors.Is(err, syscall.ENOSPC) || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

// TestAnnotateTopicAtSignal: the reader of a topic ends by itself, and the run waits for it,
// because it may have something to commit.
func TestAnnotateTopicAtSignal(t *testing.T) {
	r := &annotateRun{options: &annotateOptions{kafka: []*sink.KafkaSource{{}}}, order: make(chan *job)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	written := make(chan error)
	go func() { written <- r.write(ctx, func() {}) }()
	select {
	case <-written:
		t.Fatal("the writer did not wait")
	case <-time.After(2 * patience):
	}
	close(r.order)
	if err := <-written; err != nil {
		t.Error(err)
	}
}
