#!/bin/sh
# Makes the topic of portwatch's records, with Kafka's own programs:
#
#     portwatch template kafka | BOOTSTRAP=broker:9092 sh
#
# The key of a record is its Community ID: what is of one conversation is in one
# partition, in order. More partitions than consumers will ever be: they cannot be
# changed later without moving keys.
set -eu

: "${BOOTSTRAP:=localhost:9092}"       # a broker
: "${TOPIC:=portwatch-flows}"          # as in --to kafka://.../TOPIC
: "${PARTITIONS:=12}"
: "${REPLICAS:=3}"                     # 1 where there is one broker
: "${KEEP_MS:=604800000}"              # 7 days
: "${CONFIG:=}"                        # client.properties, where the broker asks who you are
: "${KAFKA_TOPICS:=kafka-topics.sh}"   # kafka-topics in some packages

# acks=all waits for as many replicas as this; one may be away
in_sync=$((REPLICAS > 1 ? REPLICAS - 1 : 1))

# shellcheck disable=SC2086 # the program may be several words
$KAFKA_TOPICS --bootstrap-server "$BOOTSTRAP" ${CONFIG:+--command-config "$CONFIG"} \
    --create --if-not-exists --topic "$TOPIC" \
    --partitions "$PARTITIONS" --replication-factor "$REPLICAS" \
    --config min.insync.replicas="$in_sync" \
    --config retention.ms="$KEEP_MS" \
    --config cleanup.policy=delete \
    --config compression.type=producer \
    --config max.message.bytes=1048588
