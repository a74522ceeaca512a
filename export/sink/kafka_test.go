package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// broker starts a Kafka broker with the topic flows of three partitions, and returns it
// and its address.
func broker(t *testing.T, options ...kfake.Opt) (*kfake.Cluster, string) {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "flows")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, c.ListenAddrs()[0]
}

// open makes a receiver that is closed with the test.
func open(t *testing.T, to string) Receiver {
	t.Helper()
	_, r, err := Open(to, "", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// numbered makes records 0 to n-1, of seven Flows.
func numbered(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{Kind: Kind(i % 2), ID: fmt.Appendf(nil, "id-%d", i), Key: fmt.Appendf(nil, "1:key%d=", i%7),
			Body: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return records
}

func send(t *testing.T, r Receiver, records []Record) ([]Verdict, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	verdicts := make([]Verdict, len(records))
	return verdicts, r.Deliver(ctx, records, verdicts)
}

// allAre checks the verdicts of a batch.
func allAre(t *testing.T, verdicts []Verdict, want State) {
	t.Helper()
	for i, v := range verdicts {
		if v.State != want {
			t.Fatalf("record %d of %d: %+v, want state %d", i, len(verdicts), v, want)
		}
	}
}

// consumed reads n records of the topic flows.
func consumed(t *testing.T, address string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics("flows"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", len(records), n, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func TestKafka(t *testing.T) {
	_, address := broker(t)
	for _, compression := range []string{"zstd", "lz4", "snappy", "gzip", "none"} {
		r := open(t, "kafka://"+address+"/flows?compression="+compression)
		verdicts, err := send(t, r, numbered(1000))
		if err != nil {
			t.Fatal(err)
		}
		allAre(t, verdicts, Delivered)
		k := r.(*kafka)
		if k.records[999].Value != nil || k.headers[0].Value != nil {
			t.Error("what the caller may use again is kept")
		}
		if k.link.busy {
			t.Error("no Deliver is under way")
		}
		verdicts, err = send(t, r, numbered(3)) // with the buffers of before
		if err != nil {
			t.Fatal(err)
		}
		allAre(t, verdicts, Delivered)
		if r.Close(); k.client != nil {
			t.Error("the client is not closed")
		}
	}
	partition := map[string]int32{}
	last := map[string]int{}
	records := consumed(t, address, 5*1003)
	if len(records) != 5*1003 {
		t.Errorf("%d records, sent %d", len(records), 5*1003)
	}
	for _, r := range records {
		var n int
		if _, err := fmt.Sscanf(string(r.Value), `{"n":%d}`, &n); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		want := fmt.Sprintf("[{schema ecs/9.4.0} {kind %s} {event_id id-%d}]", Kind(n%2), n)
		var got []string
		for _, h := range r.Headers {
			got = append(got, fmt.Sprintf("{%s %s}", h.Key, h.Value))
		}
		if fmt.Sprint(got) != want {
			t.Fatalf("headers %v, want %s", got, want)
		}
		key := string(r.Key)
		if key != fmt.Sprintf("1:key%d=", n%7) {
			t.Fatalf("record %d has the key %s", n, key)
		}
		if p, seen := partition[key]; seen && p != r.Partition {
			t.Fatalf("key %s is in partitions %d and %d", key, p, r.Partition)
		}
		partition[key] = r.Partition
		if n < last[key] && n > 6 {
			t.Fatalf("key %s: record %d after %d", key, n, last[key])
		}
		last[key] = n
	}
}

func TestKafkaTooLarge(t *testing.T) {
	const limit = 4000
	for _, name := range []string{"the topic tells its limit", "it does not"} {
		t.Run(name, func(t *testing.T) {
			c, address := broker(t)
			if name == "it does not" {
				c.ControlKey(int16(kmsg.DescribeConfigs), func(kmsg.Request) (kmsg.Response, error, bool) {
					c.KeepControl()
					answer := kmsg.NewPtrDescribeConfigsResponse()
					resource := kmsg.NewDescribeConfigsResponseResource()
					resource.ErrorCode = kerr.TopicAuthorizationFailed.Code
					answer.Resources = append(answer.Resources, resource)
					return answer, nil, true
				})
			}
			if err := c.CreateTopic("small", 1, map[string]string{"max.message.bytes": fmt.Sprint(limit)}); err != nil {
				t.Fatal(err)
			}
			requests := 0
			c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				requests++
				return nil, nil, false
			})
			r := open(t, "kafka://"+address+"/small?compression=none")
			records := numbered(100)
			records[41].Body = bytes.Repeat([]byte("x"), limit)
			verdicts, err := send(t, r, records)
			if err != nil {
				t.Fatal(err)
			}
			if v := verdicts[41]; v.State != Rejected || !strings.Contains(v.Reason, "MESSAGE_TOO_LARGE") {
				t.Errorf("the large one: %+v", v)
			}
			allAre(t, append(verdicts[:41], verdicts[42:]...), Delivered)
			if told := name == "the topic tells its limit"; told != (requests < 20) {
				t.Errorf("%d requests", requests)
			}
		})
	}
}

func TestKafkaTopicMissing(t *testing.T) {
	_, address := broker(t)
	verdicts, err := send(t, open(t, "kafka://"+address+"/nowhere"), numbered(3))
	if err == nil || !strings.Contains(err.Error(), "topic nowhere: UNKNOWN_TOPIC_OR_PARTITION") || !strings.Contains(err.Error(), "create it first") {
		t.Errorf("got %v", err)
	}
	allAre(t, verdicts, Pending)
}

func TestKafkaForbidden(t *testing.T) {
	_, address := broker(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.User("PLAIN", "u", "hunter2"))
	t.Setenv("PORTWATCH_KAFKA_PASSWORD", "hunter2")
	verdicts, err := send(t, open(t, "kafka://u@"+address+"/flows?sasl=plain"), numbered(3))
	if err == nil || !strings.Contains(err.Error(), "AUTHORIZATION_FAILED") {
		t.Errorf("got %v", err)
	}
	allAre(t, verdicts, Pending)
}

func TestKafkaSASL(t *testing.T) {
	for setting, method := range map[string]string{"plain": "PLAIN", "scram-256": "SCRAM-SHA-256", "scram-512": "SCRAM-SHA-512"} {
		t.Run(setting, func(t *testing.T) {
			_, address := broker(t, kfake.EnableSASL(), kfake.Superuser(method, "us@er", "hunter2"))
			password := filepath.Join(t.TempDir(), "password")
			for _, test := range []struct {
				password string
				want     State
			}{{"hunter2\n", Delivered}, {"hunter3\n", Pending}} {
				if err := os.WriteFile(password, []byte(test.password), 0o600); err != nil {
					t.Fatal(err)
				}
				r := open(t, "kafka://us%40er@"+address+"/flows?sasl="+setting+"&password-file="+password)
				verdicts, err := send(t, r, numbered(3))
				if (err == nil) != (test.want == Delivered) {
					t.Errorf("password %q: %v", test.password, err)
				}
				if err != nil && (!strings.Contains(err.Error(), "wrong password") || strings.Contains(err.Error(), "hunter")) {
					t.Errorf("password %q: %v", test.password, err)
				}
				allAre(t, verdicts, test.want)
			}
		})
	}
}

func TestKafkaTLS(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	pair, cert, key := ours.issue(t, "127.0.0.1")
	stranger, _, _ := ours.issue(t, "example.com")
	for _, test := range []struct {
		name, settings string
		server         tls.Certificate
		want           string // in the error; empty: it is delivered
	}{
		{"our authority", "&ca=" + ours.ca, pair, ""},
		{"our authority, our certificate", "&ca=" + ours.ca + "&cert=" + cert + "&key=" + key, pair, ""},
		{"wrong authority", "&ca=" + other.ca, pair, "unknown authority"},
		{"the system's authorities", "", pair, "unknown authority"},
		{"wrong name", "&ca=" + ours.ca, stranger, "certificate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, address := broker(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{test.server}}))
			verdicts, err := send(t, open(t, "kafka://"+address+"/flows?tls=1"+test.settings), numbered(3))
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				allAre(t, verdicts, Delivered)
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			allAre(t, verdicts, Pending)
		})
	}
}

// TestKafkaBrokerGone takes the broker away during a batch, again and again: what is not
// acknowledged is pending, nothing piles up, and a broker that comes back is found.
func TestKafkaBrokerGone(t *testing.T) {
	c, address := broker(t)
	r := open(t, "kafka://"+address+"/flows")
	if _, err := send(t, r, numbered(10)); err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		<-held // acknowledges nothing
		return nil, nil, false
	})
	attempt := func(d time.Duration) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		verdicts := make([]Verdict, 100)
		start := time.Now()
		if err := r.Deliver(ctx, numbered(100), verdicts); err == nil {
			t.Fatal("no error without a broker")
		}
		if late := time.Since(start) - d; late > 2*time.Second {
			t.Errorf("the answer came %v late", late)
		}
		allAre(t, verdicts, Pending)
	}
	attempt(300 * time.Millisecond)
	close(held)
	c.Close()
	attempt(100 * time.Millisecond)
	before := runtime.NumGoroutine()
	for range 20 {
		attempt(20 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines after 20 attempts, %d before", after, before)
	}

	var port int
	if _, err := fmt.Sscanf(address[strings.LastIndexByte(address, ':'):], ":%d", &port); err != nil {
		t.Fatal(err)
	}
	_, _ = broker(t, kfake.Ports(port))
	verdicts, err := send(t, r, numbered(100))
	if err != nil {
		t.Fatal(err)
	}
	allAre(t, verdicts, Delivered)
}

// TestKafkaSilent has a broker that takes connections and says nothing, on the first one or
// where the cluster sends its clients next: a try ends in its time all the same.
func TestKafkaSilent(t *testing.T) {
	for answered := range 3 {
		_, address := broker(t, kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return &silentAfter{Listener: l, answered: answered}, err
		}))
		r := open(t, "kafka://"+address+"/flows")
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start := time.Now()
		verdicts := make([]Verdict, 10)
		// While records are under way, the client says that it was closed.
		if err := r.Deliver(ctx, numbered(10), verdicts); err == nil || answered < 2 && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d connections answered: %v", answered, err)
		}
		r.Close()
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%d connections answered: it took %v", answered, took)
		}
		allAre(t, verdicts, Pending)
	}
}

// A silentAfter hands out so many connections, and leaves the others without an answer.
type silentAfter struct {
	net.Listener
	answered int
	held     []net.Conn
}

func (l *silentAfter) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			for _, c := range l.held {
				c.Close()
			}
			return nil, err
		}
		if l.answered--; l.answered >= 0 {
			return c, nil
		}
		l.held = append(l.held, c)
	}
}

// TestKafkaOutage takes the broker away during a delivery: that is reported once, long
// before the time of one try is over, and so is its return. The broker that comes back
// has another topic of the same name, which only the next try finds.
func TestKafkaOutage(t *testing.T) {
	c, address := broker(t)
	told := make(chan string, 10)
	const try = 8 * time.Second
	wait := func(want string, limit time.Duration) {
		t.Helper()
		select {
		case text := <-told:
			if !strings.Contains(text, want) {
				t.Fatalf("told %q, want %q", text, want)
			}
		case <-time.After(limit):
			t.Fatalf("nothing was told, want %q", want)
		}
	}
	q := NewMemory(1<<20, Block)
	letters := &DeadLetter{path: filepath.Join(t.TempDir(), "letters"), max: 1 << 20}
	d := NewDelivery(open(t, "kafka://"+address+"/flows"), q, DeliveryOptions{
		Name: "k", Timeout: try, LongestWait: time.Second, DeadLetter: letters, Report: func(err error) { told <- err.Error() },
	})
	q.Put(numbered(10))
	if err := d.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	q.Put(numbered(10))
	wait("cannot deliver to k, trying again: ", try/2)
	time.Sleep(2 * time.Second) // it fails again and again
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = broker(t, kfake.Ports(n))
	wait("k is back after ", 2*try)
	q.End()
	b, err := d.Close()
	if err != nil || b.Delivered != 20 || b.Outages != 1 {
		t.Errorf("%+v, %v", b, err)
	}
	if len(told) > 0 {
		t.Errorf("also told: %s", <-told)
	}
}

// TestKafkaLink: once all tries have failed for a while, it is reported that no broker is
// reached.
func TestKafkaLink(t *testing.T) {
	told := make(chan error, 10)
	l := kafkaLink{tell: func(err error) { told <- err }}
	l.deliver(true)
	refused := errors.New("refused")
	began := time.Now()
	l.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, refused)
	if l.last() != refused {
		t.Errorf("the last try ended with %v", l.last())
	}
	l.complain()
	if len(told) > 0 && time.Since(began) < patience {
		t.Errorf("told at once: %v", <-told)
	}
	l.OnBrokerE2E(kgo.BrokerMetadata{}, 0, kgo.BrokerE2E{})
	if l.complain(); l.last() != nil || !l.since.IsZero() {
		t.Errorf("a broker has answered, and %v since %v", l.last(), l.since)
	}
	l.OnBrokerE2E(kgo.BrokerMetadata{Host: "h", Port: 9092}, 0, kgo.BrokerE2E{TimeToRead: 2 * patience, ReadErr: os.ErrDeadlineExceeded})
	if err := <-told; !errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(err.Error(), "connection to h:9092: ") {
		t.Errorf("told %v", err)
	}
	if silent := time.Since(l.since); silent < 2*patience {
		t.Errorf("silent for %v", silent)
	}
}

func TestKafkaSettings(t *testing.T) {
	t.Setenv("PORTWATCH_KAFKA_PASSWORD", "")
	ours := newAuthority(t)
	_, cert, key := ours.issue(t, "client")
	for to, want := range map[string]string{
		"kafka://h/t?ca=" + ours.ca:                "need tls=1",
		"kafka://h/t?cert=" + cert + "&key=" + key: "need tls=1",
		"kafka://h":                                  "kafka://HOST",
		"kafka:///t":                                 "kafka://HOST",
		"kafka://h/a/b":                              "kafka://HOST",
		"kafka://h/a:b":                              "kafka://HOST",
		"kafka://h/" + strings.Repeat("t", 250):      "kafka://HOST",
		"kafka://h/t?compression=rar":                "one of lz4",
		"kafka://h/t?batch=100":                      "more than 512 octets",
		"kafka://h/t?sasl=plain":                     "needs a user",
		"kafka://u@h/t":                              "a user needs sasl",
		"kafka://u@h/t?sasl=scram-256":               "PORTWATCH_KAFKA_PASSWORD",
		"kafka://u@h/t?sasl=plain&password=hunter2":  "list of processes",
		"kafka://u@h/t?sasl=plain&password-file=/-/": "no such file",
		"kafka://h/t?ca=/-/":                         "no such file",
		"kafka://h/t?topic=x":                        "unknown setting",
	} {
		_, _, err := Open(to, "", "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", to, err, want)
		}
	}
}

func TestKafkaTopicNames(t *testing.T) {
	for name, want := range map[string]bool{
		"AZ.az_09-": true, strings.Repeat("t", 249): true, strings.Repeat("t", 250): false, "": false, "t/": false, "t:": false,
		"t@": false, "t[": false, "t`": false, "t{": false, "té": false,
	} {
		if got := isTopic(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestKafkaSchema(t *testing.T) {
	for format, want := range map[string]string{"ecs": "ecs/9.4.0", "ocsf": "ocsf/1.8.0", "cef": "cef/0", "leef": "leef/2.0", "zeek": "zeek/1.2.3"} {
		if got := string(open(t, "kafka://h/t?format="+format).(*kafka).schema); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestKafkaLimits(t *testing.T) {
	if got := open(t, "kafka://h/t?batch=513").Limits().Record; got != 1 {
		t.Errorf("a record of %d octets fits into a batch of 513", got)
	}
}

func TestKafkaAllocations(t *testing.T) {
	k := open(t, "kafka://h/t").(*kafka)
	records := numbered(100)
	if n := testing.AllocsPerRun(10, func() { k.fill(records) }); n > 0 {
		t.Errorf("%v allocations for %d records", n, len(records))
	}
}
