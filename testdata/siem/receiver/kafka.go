package receiver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Kafka returns a broker that is its own controller (KRaft): tcp without encryption, tls
// with it. Clients that come to behind are sent on to proxied, where a test may have put
// a proxy of its own. Topics are created on first use, with 4 partitions.
func Kafka(dir string, a Authority) (*Server, error) {
	java, err := java("kafka", 768)
	if err != nil {
		return nil, err
	}
	kcat, err := need("kcat")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, name: "kafka", patient: time.Minute}
	if s.Ports, err = ports("tcp", "tls", "behind", "proxied", "controller"); err != nil {
		return nil, err
	}
	// The broker wants its chain and key in one PEM file.
	var store []byte
	for _, file := range []string{a.Key, a.Cert} {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		store = append(store, text...)
	}
	if err := os.WriteFile(filepath.Join(dir, "store.pem"), store, 0o600); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "server.properties")
	err = write(config, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:@controller@
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:@tcp@,SSL://127.0.0.1:@tls@,PROXIED://127.0.0.1:@behind@,CONTROLLER://127.0.0.1:@controller@
advertised.listeners=PLAINTEXT://127.0.0.1:@tcp@,SSL://127.0.0.1:@tls@,PROXIED://127.0.0.1:@proxied@
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=@dir@/store.pem
log.dirs=@dir@/data
num.partitions=4
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
`, "dir", dir, "tcp", s.Ports["tcp"], "tls", s.Ports["tls"], "controller", s.Ports["controller"],
		"behind", s.Ports["behind"], "proxied", s.Ports["proxied"])
	if err != nil {
		return nil, err
	}
	format := exec.Command(java[0], append(java[1:], "kafka.tools.StorageTool", "format", "-t", "cG9ydHdhdGNoLXRlc3Rz", "-c", config)...)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format kafka's storage: %w\n%s", err, out)
	}
	s.command = append(java, "-Dlog4j2.level=WARN", "kafka.Kafka", config)
	s.ready = func() error {
		if err := listens(s.Ports["tcp"]); err != nil {
			return err
		}
		if out, err := exec.Command(kcat, "-L", "-m", "2", "-b", s.Addr("tcp")).CombinedOutput(); err != nil {
			return errors.New(string(out))
		}
		return nil
	}
	return s, nil
}

// KafkaTopics returns the command that kafka-topics.sh runs.
func KafkaTopics() ([]string, error) {
	java, err := java("kafka", 256)
	return append(java, "org.apache.kafka.tools.TopicCommand"), err
}

// KafkaTopic creates a topic with one setting of its own.
func KafkaTopic(broker, topic, key, value string) error {
	command, err := KafkaTopics()
	if err != nil {
		return err
	}
	c := exec.Command(command[0], append(command[1:], "--bootstrap-server", broker,
		"--create", "--topic", topic, "--config", key+"="+value)...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("make topic %s: %w\n%s", topic, err, out)
	}
	return nil
}

// ProducerPerf runs Kafka's own producer-perf-test, which draws so many records from the
// lines of a file, and returns its output.
func ProducerPerf(broker, topic string, records int, lines, codec string) (string, error) {
	java, err := java("kafka", 512)
	if err != nil {
		return "", err
	}
	c := exec.Command(java[0], append(java[1:], "org.apache.kafka.tools.ProducerPerformance",
		"--topic", topic, "--num-records", fmt.Sprint(records), "--payload-file", lines, "--throughput", "-1",
		"--producer-props", "bootstrap.servers="+broker, "acks=all", "enable.idempotence=true", "compression.type="+codec,
		"batch.size=1000000", "linger.ms=5")...)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("producer-perf-test: %w\n%s", err, out)
	}
	return string(out), nil
}
