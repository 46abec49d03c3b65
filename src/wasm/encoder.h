/* SPDX-License-Identifier: MIT */
/* What the row encoders have in common: their argument, and the facts derived from a record. */
#ifndef PORTOLAN_ENCODER_H
#define PORTOLAN_ENCODER_H

#include "text.h"

/* A process object, encoded once per process by src/state/processes.ts. */
struct process_text {
	__u32 json_length;
	__u32 msgpack_length;
	char bytes[]; /* JSON, then msgpack */
};

/* The argument of encode_json and encode_msgpack; filled in by src/state/document.ts. */
struct encoder {
	char *out; /* where the next row goes; moved on by the encoder */
	char *end;
	const struct process_text *const *processes; /* by index; the first is unused */
	__u32 first; /* 1: no row has been written yet; for JSON's comma */
	__u32 ephemeral_first; /* the range of local ports that the kernel picks from, inclusive */
	__u32 ephemeral_last;
};
_Static_assert(sizeof(struct encoder) == 6 * 4, "mirrored by layout.ts");

#define ROW_MAX 2048 /* bytes of one row without its process, rounded up */
#define IPPROTO_TCP 6

INLINE const struct process_text *row_process(const struct encoder *encoder, const struct row *row)
{
	return row->process ? encoder->processes[row->process] : NULL;
}

INLINE int is_v4(const struct conn *record)
{
	return address_is_mapped(record->raddr) || address_is_mapped(record->laddr);
}

/* 127.0.0.0/8 and ::1 */
INLINE int address_is_loopback(const __u8 *address)
{
	static const __u8 one[ADDR_LEN] = {[15] = 1};
	__u64 a[2], b[2];

	if (address_is_mapped(address))
		return address[12] == 127;
	__builtin_memcpy(a, address, 16);
	__builtin_memcpy(b, one, 16);
	return a[0] == b[0] && a[1] == b[1];
}

INLINE int is_intra_host(const struct conn *record)
{
	__u64 l[2], r[2];

	__builtin_memcpy(l, record->laddr, 16);
	__builtin_memcpy(r, record->raddr, 16);
	return (l[0] == r[0] && l[1] == r[1]) ||
	       (address_is_loopback(record->laddr) && address_is_loopback(record->raddr));
}

INLINE int is_ephemeral(const struct encoder *encoder, __u16 port)
{
	return port >= encoder->ephemeral_first && port <= encoder->ephemeral_last;
}

/* ns; 0 while open and where the birth was not seen */
INLINE __u64 row_duration(const struct row *row)
{
	const struct conn *record = row->record;

	if (!row->closed || !record->created || record->closed_at < record->created)
		return 0;
	return record->closed_at - record->created;
}

#endif
