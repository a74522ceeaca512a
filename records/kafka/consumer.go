// Package kafka reads flow records from a Kafka topic, as one of a group of consumers
// that share its partitions.
//
// Nothing is lost: an offset is committed only after all records before it were
// brought away. Partitions change hands only between a Commit and the next Poll, so a
// partition that goes to another instance goes with what is committed. What an
// instance had under way when it was killed, or when the group took it for dead, the
// others read again.
package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds of what is in memory: fetched ahead, and under way.
const (
	maxMessages  = 20000 // that a Poll returns
	maxFetch     = 8 << 20
	maxPartition = 1 << 20
	maxAhead     = 2 // fetches
)

// Options say what is read.
type Options struct {
	Topic   string
	Group   string
	Session time.Duration // after which the group takes a member for dead
	Client  []kgo.Opt     // how the brokers are reached
	// Report gets what a person should know: that brokers cannot be reached, that
	// offsets were not committed. What it is about is tried again.
	Report func(error)
}

// A Message is a record of the topic: its value, and where it stands.
type Message struct {
	Partition int32
	Offset    int64
	Value     []byte // nobody else's
}

// A Consumer is one member of the group. It is not for concurrent use.
type Consumer struct {
	o        Options
	client   *kgo.Client
	told     time.Time
	messages []Message
}

// NewConsumer returns a member, which joins with its first Poll. A group that never
// committed begins with the oldest records that the topic has.
func NewConsumer(o Options) (*Consumer, error) {
	options := append([]kgo.Opt{
		kgo.ConsumeTopics(o.Topic),
		kgo.ConsumerGroup(o.Group),
		kgo.SessionTimeout(o.Session),
		kgo.HeartbeatInterval(o.Session / 10),
		kgo.RebalanceTimeout(2 * o.Session), // for what is under way; the others wait so long
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxBytes(maxFetch),
		kgo.FetchMaxPartitionBytes(maxPartition),
		kgo.MaxConcurrentFetches(maxAhead),
	}, o.Client...)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("read topic %s: %w", o.Topic, err)
	}
	return &Consumer{o: o, client: client}, nil
}

// Poll returns the next messages, and waits where there are none. They are valid
// until the next Poll. It returns none when ctx has ended. Until Commit the partitions
// that it reads stay this member's.
func (c *Consumer) Poll(ctx context.Context) []Message {
	for ctx.Err() == nil {
		c.client.AllowRebalance()
		fetches := c.client.PollRecords(ctx, maxMessages)
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil {
				c.report(fmt.Errorf("read topic %s, trying again: %w", c.o.Topic, e.Err))
			}
		}
		c.messages = c.messages[:0]
		fetches.EachRecord(func(r *kgo.Record) {
			c.messages = append(c.messages, Message{r.Partition, r.Offset, r.Value})
		})
		if len(c.messages) > 0 {
			return c.messages
		}
	}
	return nil
}

// Commit says that everything which Poll has returned so far was brought away. Where
// the group cannot be told, others may read some of it again: that is reported, and
// the next Commit tells it too.
func (c *Consumer) Commit(ctx context.Context) {
	err := c.client.CommitUncommittedOffsets(ctx)
	for range 3 { // in the middle of a rebalance brokers refuse
		if err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
		err = c.client.CommitUncommittedOffsets(ctx)
	}
	if err != nil {
		c.report(fmt.Errorf("commit offsets of topic %s, so that some records may be read twice: %w", c.o.Topic, err))
	}
	c.client.AllowRebalance()
}

// quiet is how long nothing more is reported.
const quiet = 10 * time.Second

func (c *Consumer) report(err error) {
	if c.o.Report != nil && time.Since(c.told) > quiet {
		c.told = time.Now()
		c.o.Report(err)
	}
}

// Close leaves the group. What was not committed is read again, by others.
func (c *Consumer) Close() { c.client.CloseAllowingRebalance() }
