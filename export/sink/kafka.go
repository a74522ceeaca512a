package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/portwatch/portwatch/export"
)

// The limits of what goes to Kafka.
const (
	kafkaRecords = 32768
	kafkaOctets  = 32 << 20
	// kafkaBatch is what a broker takes in one record batch by default: max.message.bytes
	// of the topic, less the broker's own overhead.
	kafkaBatch = 1000012
	// kafkaOverhead is room in a batch for what surrounds the body of a single record:
	// the batch's header, key, headers, lengths.
	kafkaOverhead = 512
)

// isTopic reports whether a broker accepts the name for a topic.
func isTopic(name string) bool {
	const longest = 249
	return name != "" && len(name) <= longest && !strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// A kafka is a Receiver for a topic: an idempotent producer that waits for all in-sync
// replicas. A record's key is its Community ID, so that both directions and all records
// of a Flow are in one partition, in order. The headers are schema (format and its
// version), kind and event_id, by which a consumer recognizes a record that came twice. A
// record's time is when it was produced, not @timestamp: a broker deletes by it, and
// would delete old captures at once.
type kafka struct {
	topic   string
	schema  []byte
	options []kgo.Opt
	batch   int   // octets that a record batch may have, before compression
	size    int32 // batch, or less if the topic allows less

	client   *kgo.Client // nil: the next Deliver connects
	link     kafkaLink
	records  []kgo.Record // of the Deliver under way
	headers  []kgo.RecordHeader
	waiting  sync.WaitGroup
	failedMu sync.Mutex
	failed   map[*kgo.Record]error
}

// newKafka reads kafka://[USER@]HOST[:9092][,HOST...]/TOPIC and its settings:
//
//	tls=1                          with ca=, cert=, key=
//	sasl=plain|scram-256|scram-512 USER's password from password-file= or PORTWATCH_KAFKA_PASSWORD
//	compression=lz4|zstd|snappy|gzip|none
//	batch=OCTETS                   for a record batch: max.message.bytes of the topic
func newKafka(t *Target) (Receiver, error) {
	k := &kafka{topic: strings.TrimPrefix(t.Path, "/"), schema: []byte(schemaOf(t.Format, t.Version)), failed: map[*kgo.Record]error{}}
	if len(t.Hosts) == 0 || !isTopic(k.topic) {
		return nil, errors.New("not of the form kafka://HOST[,HOST...]/TOPIC")
	}
	k.batch = int(min(t.Octets("batch", kafkaBatch), 1<<29))
	if k.batch <= kafkaOverhead {
		return nil, fmt.Errorf("batch=%d: a record batch has more than %d octets", k.batch, kafkaOverhead)
	}
	k.options = []kgo.Opt{
		kgo.SeedBrokers(t.Hosts...),
		kgo.ClientID("portwatch"),
		kgo.DefaultProduceTopic(k.topic),
		kgo.MaxBufferedRecords(kafkaRecords + 1), // a Deliver has fewer, so Produce never waits
		kgo.RequestRetries(3),
		kgo.DialTimeout(10 * time.Second),
		kgo.DisableClientMetrics(),
		kgo.WithHooks(&k.link),
		kgo.ProducerBatchMaxBytesFn(func(string) int32 { return k.size }), // called at the first record
	}
	codecs := map[string]kgo.CompressionCodec{"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression().WithLevel(1),
		"snappy": kgo.SnappyCompression(), "gzip": kgo.GzipCompression(), "none": kgo.NoCompression()}
	codec := codecs[t.Choice("compression", "lz4", "zstd", "snappy", "gzip", "none")]
	k.options = append(k.options, kgo.ProducerBatchCompression(codec))
	security, err := kafkaSecurity(t)
	if err != nil {
		return nil, err
	}
	k.options = append(k.options, security...)
	k.size = int32(k.batch)
	return k, nil
}

// kafkaSecurity reads the settings that producers and consumers share.
func kafkaSecurity(t *Target) (options []kgo.Opt, err error) {
	security := t.TLS("") // the client fills in each broker's name
	secure := t.Flag("tls")
	password := t.Secret("password", "PORTWATCH_KAFKA_PASSWORD")
	mechanism := t.Choice("sasl", "none", "plain", "scram-256", "scram-512")
	login := func(context.Context) (scram.Auth, error) { return scram.Auth{User: t.User, Pass: password.Text()}, nil }
	if secure {
		options = append(options, kgo.DialTLSConfig(security))
	}
	switch {
	case t.err != nil:
		return nil, t.err
	case !secure && (security.RootCAs != nil || security.GetClientCertificate != nil):
		return nil, errors.New("ca=, cert= and key= need tls=1")
	case mechanism == "none" && t.User == "":
	case mechanism == "none":
		return nil, errors.New("a user needs sasl=plain, scram-256 or scram-512")
	case t.User == "" || password.Text() == "":
		return nil, fmt.Errorf("sasl=%s needs a user before the host, and password-file= or PORTWATCH_KAFKA_PASSWORD", mechanism)
	case mechanism == "plain":
		options = append(options, kgo.SASL(plain.Plain(func(context.Context) (plain.Auth, error) {
			return plain.Auth{User: t.User, Pass: password.Text()}, nil
		})))
	case mechanism == "scram-256":
		options = append(options, kgo.SASL(scram.Sha256(login)))
	case mechanism == "scram-512":
		options = append(options, kgo.SASL(scram.Sha512(login)))
	}
	return options, nil
}

// A KafkaSource is a topic to read from, given by a URL like a sink's.
type KafkaSource struct {
	Name    string // the URL without user and settings
	Topic   string
	Group   string
	Session time.Duration // after which the group considers a member dead
	Client  []kgo.Opt     // how its brokers are reached
}

// ParseKafkaSource parses kafka://[USER@]HOST[:9092][,HOST...]/TOPIC?group=NAME and its
// settings: session=TIME, and tls= and sasl= like those of a sink.
func ParseKafkaSource(from string) (*KafkaSource, error) {
	t, err := parseTarget(from)
	if err != nil {
		return nil, err
	}
	s := &KafkaSource{
		Name: t.Name, Topic: strings.TrimPrefix(t.Path, "/"), Group: t.Text("group", ""),
		Session: t.Duration("session", 45*time.Second),
	}
	security, err := kafkaSecurity(t)
	if err == nil {
		err = t.Err()
	}
	switch {
	case err != nil:
	case len(t.Hosts) == 0 || !isTopic(s.Topic):
		err = errors.New("not of the form kafka://HOST[,HOST...]/TOPIC?group=NAME")
	case s.Group == "":
		err = errors.New("no group=NAME after the question mark")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	s.Client = append(security, kgo.SeedBrokers(t.Hosts...), kgo.ClientID("portwatch"),
		kgo.DialTimeout(10*time.Second), kgo.DisableClientMetrics())
	return s, nil
}

// schemaOf returns a format and its version: that of the schema where others publish one,
// else that of the program.
func schemaOf(format, version string) string {
	switch format {
	case "ecs":
		version = export.ECSVersion
	case "ocsf":
		version = export.OCSFVersion
	case "cef":
		version = "0"
	case "leef":
		version = "2.0"
	}
	return format + "/" + version
}

// Limits allows one Deliver at a time, which keeps the records of a key in order. A batch
// is so large that the wait at its end costs little.
func (k *kafka) Limits() Limits {
	return Limits{Records: kafkaRecords, Octets: kafkaOctets, Record: k.batch - kafkaOverhead, Parallel: 1}
}

func (k *kafka) Close() error {
	k.disconnect()
	return nil
}

func (k *kafka) disconnect() {
	if k.client != nil {
		k.client.Close()
		k.client = nil
	}
}

func (k *kafka) Deliver(ctx context.Context, records []Record, verdicts []Verdict) error {
	k.link.deliver(true)
	defer k.link.deliver(false)
	if k.client == nil {
		if err := k.connect(ctx); err != nil {
			return err
		}
	}
	k.fill(records)
	// keep nothing of the caller's
	defer func() { clear(k.records); clear(k.headers); clear(k.failed) }()

	done := k.done
	k.waiting.Add(len(records))
	for i := range k.records {
		k.client.Produce(ctx, &k.records[i], done)
	}
	err := k.client.Flush(ctx)
	if err != nil {
		// Only closing the client takes back a record under way. The next client
		// cannot tell what the broker already has, so a record may come twice.
		k.disconnect()
		if dial := k.link.last(); dial != nil {
			err = dial
		}
		err = fmt.Errorf("produce to topic %s: no acknowledgement: %w", k.topic, err)
	}
	k.waiting.Wait()

	for i := range records {
		failed := k.failed[&k.records[i]]
		if failed != nil && isRefusal(failed) && err == nil {
			// a broker refuses a whole batch for one bad record: give each record its own
			failed = k.client.ProduceSync(ctx, &k.records[i]).FirstErr()
		}
		switch {
		case failed == nil:
			verdicts[i] = Verdict{State: Delivered}
		case isRefusal(failed):
			verdicts[i] = Verdict{Rejected, failed.Error()}
		case err == nil:
			err = fmt.Errorf("produce to topic %s: %w", k.topic, failed)
			k.disconnect() // this client would never find a topic that was created anew
		}
	}
	return err
}

// isRefusal reports whether a broker, or the client on its behalf, will never take a
// record as it is, or a batch that contains it.
func isRefusal(err error) bool {
	return errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.InvalidRecord) ||
		errors.Is(err, kerr.InvalidTimestamp) || errors.Is(err, kerr.RecordListTooLarge)
}

// connect creates a client and asks for the topic, so that wrong addresses, certificates,
// passwords and rights are reported here, in words.
func (k *kafka) connect(ctx context.Context) error {
	client, err := kgo.NewClient(k.options...)
	if err != nil {
		return err
	}
	asked := make(chan error, 1)
	limit := int32(0)
	go func() {
		err := askForTopic(ctx, client, k.topic)
		if err == nil {
			limit = topicLimit(ctx, client, k.topic)
		}
		asked <- err
	}()
	select {
	case err = <-asked:
	case <-ctx.Done():
		// The client first asks each broker for its versions, also the one that the cluster
		// sends it to for the topic's limit. Neither that nor its Close heeds the context: a
		// broker that says nothing holds them up for 10 seconds.
		go func() { <-asked; client.Close() }()
		if err = k.link.last(); err == nil {
			err = ctx.Err()
		}
		return fmt.Errorf("ask for topic %s: %w", k.topic, err)
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("%w; create it first", err)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("the broker ends the connection (%w): wrong password, or tls= or sasl= are not what it wants", err)
	case errors.Is(err, context.DeadlineExceeded):
		if dial := k.link.last(); dial != nil {
			err = dial
		}
	}
	if err != nil {
		client.Close()
		return fmt.Errorf("ask for topic %s: %w", k.topic, err)
	}
	k.size = min(int32(k.batch), limit)
	k.client = client
	return nil
}

// askForTopic returns what is wrong with a topic, nil if nothing.
func askForTopic(ctx context.Context, client *kgo.Client, name string) error {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		err = errors.Join(err, kerr.ErrorForCode(t.ErrorCode))
	}
	return err
}

// topicLimit asks for max.message.bytes of a topic. If we may not know it, it returns the
// largest number there is: then a broker refuses batches that are too large, and Deliver
// sends their records one by one.
func topicLimit(ctx context.Context, client *kgo.Client, topic string) int32 {
	const name = "max.message.bytes"
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType = kmsg.ConfigResourceTypeTopic
	resource.ResourceName = topic
	resource.ConfigNames = []string{name}
	request := kmsg.NewPtrDescribeConfigsRequest()
	request.Resources = append(request.Resources, resource)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return math.MaxInt32
	}
	for _, r := range answer.Resources {
		for _, c := range r.Configs {
			if c.Name == name && c.Value != nil {
				if n, err := strconv.ParseInt(*c.Value, 10, 32); err == nil {
					return max(int32(n), kafkaOverhead+1)
				}
			}
		}
	}
	return math.MaxInt32
}

// fill turns records into the client's, in buffers that are reused.
func (k *kafka) fill(records []Record) {
	const headers = 3
	if cap(k.records) < len(records) {
		k.records = make([]kgo.Record, len(records))
		k.headers = make([]kgo.RecordHeader, headers*len(records))
	}
	k.records = k.records[:len(records)]
	k.headers = k.headers[:headers*len(records)]
	for i := range records {
		r := &records[i]
		h := k.headers[headers*i : headers*(i+1) : headers*(i+1)]
		h[0] = kgo.RecordHeader{Key: "schema", Value: k.schema}
		h[1] = kgo.RecordHeader{Key: "kind", Value: kindOctets[min(int(r.Kind), len(kindOctets)-1)]}
		h[2] = kgo.RecordHeader{Key: "event_id", Value: r.ID}
		k.records[i] = kgo.Record{Value: r.Body, Headers: h}
		if len(r.Key) > 0 { // an empty key that is not nil would choose a partition
			k.records[i].Key = r.Key
		}
	}
}

// kindOctets are the names of kinds; the last one is for an unknown kind.
var kindOctets = [][]byte{[]byte(Flow.String()), []byte(Alert.String()), []byte(Kind(255).String())}

// done is called when it is known what became of a record.
func (k *kafka) done(r *kgo.Record, err error) {
	if err != nil {
		k.failedMu.Lock()
		k.failed[r] = err
		k.failedMu.Unlock()
	}
	k.waiting.Done()
}

// alarm implements [alarming].
func (k *kafka) alarm(tell func(error)) { k.link.tell = tell }

// A kafkaLink watches what the client does behind its calls: it tries again and again to
// reach a broker, and in the end reports only that time ran out.
type kafkaLink struct {
	tell func(error) // reports that no broker is reached during a Deliver; nil: nobody asked

	mu    sync.Mutex
	busy  bool      // a Deliver is under way
	err   error     // of the last try; nil: it succeeded
	since time.Time // when the first of the latest run of failures began
}

// patience is how long all tries fail before that is reported: one of several brokers may
// be down while the next one is up.
const patience = time.Second

// tried notes how a try ended, and how long it took.
func (l *kafkaLink) tried(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	switch {
	case err == nil:
		l.since = time.Time{}
		return
	case l.since.IsZero():
		l.since = time.Now().Add(-took)
	}
	// do not wait for the next try, which may be seconds away
	time.AfterFunc(patience-time.Since(l.since), l.complain)
}

// complain reports the last failure if all tries have failed for a while.
func (l *kafkaLink) complain() {
	l.mu.Lock()
	err := l.err
	tell := l.tell != nil && l.busy && err != nil && time.Since(l.since) >= patience
	l.mu.Unlock()
	if tell {
		l.tell(err)
	}
}

// deliver notes whether a Deliver is under way.
func (l *kafkaLink) deliver(busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = busy
}

func (l *kafkaLink) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (l *kafkaLink) OnBrokerConnect(_ kgo.BrokerMetadata, took time.Duration, _ net.Conn, err error) {
	l.tried(took, err)
}

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (l *kafkaLink) OnBrokerE2E(m kgo.BrokerMetadata, _ int16, e kgo.BrokerE2E) {
	err, took := e.Err(), time.Duration(0)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			took = e.DurationE2E() // no answer in all that time
		}
		err = fmt.Errorf("connection to %s:%d: %w", m.Host, m.Port, err)
	}
	l.tried(took, err)
}
