// Package kafka reads flow records from a Kafka topic, as a member of a consumer group
// that shares its partitions.
//
// Nothing is lost: an offset is committed only after all records before it are settled.
// Partitions change hands only between a Commit and the next Poll, so a partition that
// moves to another instance starts there at what is committed. What an instance was
// working on when it was killed, or when the group considered it dead, the others read
// again.
package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The limits of what is in memory: fetched ahead, or being worked on.
const (
	maxMessages  = 20000 // that a Poll returns
	maxFetch     = 8 << 20
	maxPartition = 1 << 20
	maxAhead     = 2 // fetches
)

// Options say what to read.
type Options struct {
	Topic   string
	Group   string
	Session time.Duration // after which the group considers a member dead
	Client  []kgo.Opt     // how the brokers are reached
	// Report gets what a person should know: that brokers cannot be reached, that offsets
	// were not committed. Either is tried again.
	Report func(error)
}

// A Message is a record of the topic: its value, and where it stands.
type Message struct {
	Partition int32
	Offset    int64
	Value     []byte // not shared with anyone
}

// A Consumer is one member of the group. It is not safe for concurrent use.
type Consumer struct {
	o        Options
	client   *kgo.Client
	told     time.Time
	messages []Message
}

// NewConsumer returns a member, which joins with its first Poll. A group that has never
// committed starts with the oldest records of the topic.
func NewConsumer(o Options) (*Consumer, error) {
	options := append([]kgo.Opt{
		kgo.ConsumeTopics(o.Topic),
		kgo.ConsumerGroup(o.Group),
		kgo.SessionTimeout(o.Session),
		kgo.HeartbeatInterval(o.Session / 10),
		kgo.RebalanceTimeout(2 * o.Session), // to finish what is being worked on; the others wait as long
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

// Poll returns the next messages, and waits if there are none. They are valid until the
// next Poll. It returns nil once ctx has ended. Until Commit, this member keeps the
// partitions that it reads.
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

// Commit says that everything Poll has returned so far is settled. If the group cannot be
// told, others may read some of it again: that is reported, and the next Commit tells it
// again.
func (c *Consumer) Commit(ctx context.Context) {
	err := c.client.CommitUncommittedOffsets(ctx)
	for range 3 { // brokers refuse during a rebalance
		if err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
		err = c.client.CommitUncommittedOffsets(ctx)
	}
	if err != nil {
		c.report(fmt.Errorf("commit offsets of topic %s, some records may be read twice: %w", c.o.Topic, err))
	}
	c.client.AllowRebalance()
}

// quiet is the least time between two reports.
const quiet = 10 * time.Second

func (c *Consumer) report(err error) {
	if c.o.Report != nil && time.Since(c.told) > quiet {
		c.told = time.Now()
		c.o.Report(err)
	}
}

// Close leaves the group. Others read again what was not committed.
func (c *Consumer) Close() { c.client.CloseAllowingRebalance() }
