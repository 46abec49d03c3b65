/* SPDX-License-Identifier: MIT */
/*
 * What changed for one client since its last fetch. First come the connections that closed, then
 * the open ones: an open record whose connection has closed in the meantime is absorbed by the
 * closed one.
 *
 * The table of totals is rebuilt in each pass instead of updated in place: entries of connections
 * that are gone need no tombstones, and the new one is in the order of the records, which the
 * kernel keeps between two reads (its hash table's order). So the next record's entry is mostly the
 * one behind the previous record's, and found without hashing.
 *
 * A connection that the client knows may be in neither list: it ended after the closed ones were
 * collected and before its turn in the read of the open ones. Its total is kept as "departed" until
 * the next pass, which is told of its end; else that would tell everything once more.
 */
#include "index.h"

/* Totals that a client was told. */
struct table {
	struct told *entries;
	__u32 count;
	struct index index;
};

/* The argument of all functions below; filled in by src/state/delta.ts. */
struct delta {
	/* By the last pass, of connections that were open, and of those that had departed. */
	struct table open;
	struct table departed;
	/* By this pass; room for all that may be tracked, and for what it does not see of `open`. */
	struct table next_open;
	struct table next_departed;
	__u32 *seen; /* a bit for each of `open` */
	__u32 seen_count;
	/* Rows of closed connections; room for all of them. */
	struct row *closed;
	__u32 closed_count;
	struct index closed_index;
	/* Rows of open connections; room for all of them. */
	struct row *active;
	__u32 active_count;
	__u32 budget; /* connections that may be tracked in addition to the known ones */
	__u32 expected; /* position in `open` of the next record, if the order is the same */
	/* Out: */
	__u32 dropped; /* open connections beyond the budget: neither tracked nor told */
	__u32 underflows; /* connections with a counter lower than it was told before */
	__u32 duplicates; /* open records with the cookie of one before; ignored */
};
_Static_assert(offsetof(struct delta, seen) == 16 * 4, "mirrored by layout.ts");
_Static_assert(offsetof(struct delta, closed) == 18 * 4, "mirrored by layout.ts");
_Static_assert(offsetof(struct delta, active) == 22 * 4, "mirrored by layout.ts");
_Static_assert(sizeof(struct delta) == 29 * 4, "mirrored by layout.ts");

INLINE __u64 minus(__u64 a, __u64 b)
{
	return a > b ? a - b : 0;
}

INLINE void counters_read(struct counters *to, const struct conn *record)
{
	to->sent_bytes = record->sent_bytes;
	to->sent_packets = record->sent_packets;
	/* A datagram is counted before it is dropped: a read in between must not go below zero. */
	to->recv_bytes = minus(record->recv_bytes, record->dropped_bytes);
	to->recv_packets = minus(record->recv_packets, record->dropped_packets);
	to->dropped_packets = record->dropped_packets;
	to->retransmits = record->retransmits;
	to->rto_count = record->rto_count;
	to->reord_seen = record->reord_seen;
	to->delivered_ce = record->delivered_ce;
	to->established = record->established;
	to->closed = record->closed;
}

/*
 * Puts `total` - `told` into `last`. A counter that went back yields 0 and keeps its higher total,
 * so that what it regains is not told twice. Returns whether any went back.
 */
INLINE int counters_subtract(struct counters *last, struct counters *total,
			     const struct counters *told)
{
	int underflow = 0;

#define SUBTRACT(name)                    \
	if (total->name < told->name) {   \
		total->name = told->name; \
		underflow = 1;            \
	}                                 \
	last->name = total->name - told->name;
	EACH_COUNTER(SUBTRACT)
#undef SUBTRACT
	return underflow;
}

INLINE int counters_any(const struct counters *counters)
{
	__u64 any = 0;

#define COLLECT(name) any |= counters->name;
	EACH_COUNTER(COLLECT)
#undef COLLECT
	return any != 0;
}

/* Another record of the connection of `row`: the higher of each counter is the true one. */
static void row_absorb(struct row *row, const struct counters *total)
{
#define ABSORB(name)                                             \
	if (total->name > row->total.name) {                     \
		row->last.name += total->name - row->total.name; \
		row->total.name = total->name;                   \
	}
	EACH_COUNTER(ABSORB)
#undef ABSORB
}

INLINE struct row *closed_find(const struct delta *delta, __u64 cookie)
{
	__u32 position =
		*index_slot(&delta->closed_index, delta->closed, sizeof(struct row), cookie);

	return position ? &delta->closed[position - 1] : NULL;
}

INLINE __u32 *table_slot(const struct table *table, __u64 cookie)
{
	return index_slot(&table->index, table->entries, sizeof(struct told), cookie);
}

INLINE void table_add(struct table *table, __u32 *slot, __u64 cookie, const struct counters *total)
{
	table->entries[table->count].cookie = cookie;
	table->entries[table->count].total = *total;
	*slot = ++table->count;
}

/* What the client was told of this connection; NULL: nothing. */
INLINE const struct counters *told_find(struct delta *delta, __u64 cookie)
{
	__u32 position = delta->expected;
	__u32 bit;

	if (position >= delta->open.count || delta->open.entries[position].cookie != cookie) {
		position = *table_slot(&delta->open, cookie);
		if (!position) {
			position = *table_slot(&delta->departed, cookie);
			return position ? &delta->departed.entries[position - 1].total : NULL;
		}
		position--;
	}
	delta->expected = position + 1;
	bit = 1u << (position & 31);
	delta->seen_count += !(delta->seen[position >> 5] & bit);
	delta->seen[position >> 5] |= bit;
	return &delta->open.entries[position].total;
}

static void closed_add(struct delta *delta, const struct conn *record)
{
	__u32 *slot =
		index_slot(&delta->closed_index, delta->closed, sizeof(struct row), record->cookie);
	const struct counters *told;
	struct counters total;
	struct row *row;

	counters_read(&total, record);
	if (*slot) {
		row_absorb(&delta->closed[*slot - 1], &total);
		return;
	}
	row = &delta->closed[delta->closed_count++];
	*slot = delta->closed_count;
	row->cookie = record->cookie;
	row->record = record;
	row->process = record->process;
	row->closed = 1;
	row->pad = 0;
	row->last = row->total = total;
	told = told_find(delta, record->cookie);
	if (told)
		delta->underflows += counters_subtract(&row->last, &row->total, told);
}

EXPORT(delta_closed)
void delta_closed(struct delta *delta, const struct conn *records, __u32 count)
{
	for (__u32 i = 0; i < count; i++)
		closed_add(delta, &records[i]);
}

/* How many of these open records are of connections that the client knows; for the budget. */
EXPORT(delta_known)
__u32 delta_known(const struct delta *delta, const char *records, __u32 stride, __u32 count)
{
	__u32 known = 0;

	for (; count; count--, records += stride) {
		__u64 cookie = ((const struct conn *)records)->cookie;

		known += *table_slot(&delta->open, cookie) || *table_slot(&delta->departed, cookie);
	}
	return known;
}

static void active_add(struct delta *delta, const struct conn *record)
{
	struct row *row = &delta->active[delta->active_count];
	const struct counters *told;
	__u32 *slot;

	counters_read(&row->total, record);
	if (delta->closed_count) {
		struct row *closed = closed_find(delta, record->cookie);

		if (closed) {
			row_absorb(closed, &row->total);
			return;
		}
	}
	slot = table_slot(&delta->next_open, record->cookie);
	if (*slot) {
		delta->duplicates++;
		return;
	}
	told = told_find(delta, record->cookie);
	if (told) {
		delta->underflows += counters_subtract(&row->last, &row->total, told);
	} else if (delta->budget) {
		delta->budget--;
		row->last = row->total;
	} else {
		delta->dropped++;
		return;
	}
	table_add(&delta->next_open, slot, record->cookie, &row->total);
	if (told && !counters_any(&row->last))
		return;
	row->cookie = record->cookie;
	row->record = record;
	row->process = 0;
	row->closed = 0;
	row->pad = 0;
	delta->active_count++;
}

EXPORT(delta_active)
void delta_active(struct delta *delta, const char *records, __u32 stride, __u32 count)
{
	for (; count; count--, records += stride)
		active_add(delta, (const struct conn *)records);
}

/* After all records: keeps the totals of `open` that none of them was about. */
EXPORT(delta_departed) void delta_departed(struct delta *delta)
{
	for (__u32 i = 0; i < delta->open.count; i++) {
		const struct told *told = &delta->open.entries[i];

		if (!(delta->seen[i >> 5] & 1u << (i & 31)))
			table_add(&delta->next_departed,
				  table_slot(&delta->next_departed, told->cookie), told->cookie,
				  &told->total);
	}
}

/* Rows of all these records for a document that is no client's: nothing is "last". */
EXPORT(snapshot)
void snapshot(struct row *rows, const char *records, __u32 stride, __u32 count)
{
	for (; count; count--, records += stride, rows++) {
		rows->record = (const struct conn *)records;
		rows->cookie = rows->record->cookie;
		rows->process = rows->record->process;
		counters_read(&rows->total, rows->record);
		rows->last = (struct counters){};
		rows->closed = rows->record->closed;
		rows->pad = 0;
	}
}
