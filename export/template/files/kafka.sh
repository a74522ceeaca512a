#!/bin/sh
# Creates the topic for portwatch's records, with Kafka's own programs:
#
#     portwatch template kafka | BOOTSTRAP=broker:9092 sh
#
# The key of a record is its Community ID, so the records of one conversation are in one
# partition, in order. Choose at least as many partitions as there will ever be consumers:
# changing their number later moves keys.
set -eu

: "${BOOTSTRAP:=localhost:9092}"       # a broker
: "${TOPIC:=portwatch-flows}"          # as in --to kafka://.../TOPIC
: "${PARTITIONS:=12}"
: "${REPLICAS:=3}"                     # 1 if there is only one broker
: "${KEEP_MS:=604800000}"              # 7 days
: "${CONFIG:=}"                        # client.properties, if the broker wants a login
: "${KAFKA_TOPICS:=kafka-topics.sh}"   # kafka-topics in some packages

# acks=all waits for this many replicas; one may be down
in_sync=$((REPLICAS > 1 ? REPLICAS - 1 : 1))

# shellcheck disable=SC2086 # the command may be several words
$KAFKA_TOPICS --bootstrap-server "$BOOTSTRAP" ${CONFIG:+--command-config "$CONFIG"} \
    --create --if-not-exists --topic "$TOPIC" \
    --partitions "$PARTITIONS" --replication-factor "$REPLICAS" \
    --config min.insync.replicas="$in_sync" \
    --config retention.ms="$KEEP_MS" \
    --config cleanup.policy=delete \
    --config compression.type=producer \
    --config max.message.bytes=1048588
