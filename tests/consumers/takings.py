"""A reference consumer: counts what was taken, each holdfast.order.paid exactly once, however often it is delivered.

The whole trick: the last sequence of each partition is kept in the same transaction as the effects. What is not above it
was counted before and is dropped; what is more than one above it must be impossible, and stops everything.

    pip install -r requirements.txt
    python takings.py --brokers HOST:PORT --topic holdfast.events.v1 --state takings.db     (--once ends where the topic ends now)
"""

import argparse
import json
import sqlite3
import sys

from confluent_kafka import Consumer, TopicPartition

PATIENCE = 30

SCHEMA = """
CREATE TABLE IF NOT EXISTS last (place TEXT PRIMARY KEY, sequence INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS next (lane INTEGER PRIMARY KEY, offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS open (order_id TEXT PRIMARY KEY, currency TEXT NOT NULL, cost INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS takings (currency TEXT PRIMARY KEY, orders INTEGER NOT NULL, amount INTEGER NOT NULL);
"""


class Gap(Exception):
    """Events are missing: nothing may be counted any more until somebody has looked."""


def is_new(db, place, sequence):
    """Moves the last sequence of a partition on. False for an event that was counted before."""
    row = db.execute("SELECT sequence FROM last WHERE place = ?", (place,)).fetchone()
    # The first one seen may be any: older ones may be gone by the retention of the topic.
    if row and sequence <= row[0]:
        return False
    if row and sequence > row[0] + 1:
        raise Gap(f"partition {place} jumps from {row[0]} to {sequence}")
    db.execute("INSERT OR REPLACE INTO last VALUES (?, ?)", (place, sequence))
    return True


def take(db, message):
    headers = {name: value.decode() for name, value in message.headers() or []}
    place = f"{headers['hf-journal']}/{headers['hf-partition']}"
    # Only a short cut: with the oldest record again the result is the same.
    db.execute("INSERT OR REPLACE INTO next VALUES (?, ?)", (message.partition(), message.offset() + 1))
    if not is_new(db, place, int(headers["hf-seq"])):
        return
    if headers["ce-type"] == "holdfast.order.placed":
        placed(db, json.loads(message.value()))
    elif headers["ce-type"] == "holdfast.order.paid":
        paid(db, json.loads(message.value()))


def placed(db, event):
    cost = sum(line["quantity"] * line["unit_price"] for line in event["data"]["lines"])
    db.execute("INSERT INTO open VALUES (?, ?, ?)", (event["subject"], event["data"]["currency"], cost))


def paid(db, event):
    row = db.execute("DELETE FROM open WHERE order_id = ? RETURNING currency, cost", (event["subject"],)).fetchone()
    if row:
        db.execute(
            "INSERT INTO takings VALUES (?, 1, ?) "
            "ON CONFLICT (currency) DO UPDATE SET orders = orders + 1, amount = amount + excluded.amount",
            row,
        )


def assign(consumer, topic, db):
    """Reads every partition from where the state says, and returns where they end now."""
    known = dict(db.execute("SELECT lane, offset FROM next"))
    places, ends = [], {}
    for lane in consumer.list_topics(topic, PATIENCE).topics[topic].partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, lane), PATIENCE)
        places.append(TopicPartition(topic, lane, max(known.get(lane, low), low)))
        if high > low:
            ends[lane] = high
    consumer.assign(places)
    return ends


def at_end(db, ends):
    known = dict(db.execute("SELECT lane, offset FROM next"))
    return all(known.get(lane, 0) >= end for lane, end in ends.items())


def main():
    parser = argparse.ArgumentParser()
    for name in ("--brokers", "--topic", "--state"):
        parser.add_argument(name, required=True)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--batch", type=int, default=500, help="records in one transaction")
    args = parser.parse_args()
    db = sqlite3.connect(args.state)
    db.executescript(SCHEMA)
    consumer = Consumer({"bootstrap.servers": args.brokers, "group.id": "takings", "enable.auto.commit": False})
    ends = assign(consumer, args.topic, db)
    while not (args.once and at_end(db, ends)):
        # A failure on the way rolls the whole batch back.
        with db:
            for message in consumer.consume(args.batch, timeout=0.5):
                if message.error():
                    sys.exit(str(message.error()))
                take(db, message)
    takings = db.execute("SELECT currency, orders, amount FROM takings ORDER BY currency")
    print(json.dumps({currency: {"orders": orders, "amount": amount} for currency, orders, amount in takings}))


if __name__ == "__main__":
    main()
