/* SPDX-License-Identifier: MIT */
/* Rows as msgpack maps, each number in its shortest form. */
#include "encoder.h"

/* Keys and strings of up to 31 bytes: fixstr. */
#define STRING(p, literal)                                       \
	do {                                                     \
		_Static_assert(sizeof(literal) <= 32, "fixstr"); \
		*p++ = (char)(0xa0 | (sizeof(literal) - 1));     \
		PUT(p, literal);                                 \
	} while (0)

#define NUMBER(p, key, value)           \
	do {                            \
		STRING(p, key);         \
		p = put_uint(p, value); \
	} while (0)

#define BOOLEAN(p, key, value)                        \
	do {                                          \
		STRING(p, key);                       \
		*p++ = (char)((value) ? 0xc3 : 0xc2); \
	} while (0)

#define MAP(p, size) (*p++ = (char)(0x80 | (size)))
#define ARRAY(p, size) (*p++ = (char)(0x90 | (size)))

#define FIELDS_ALWAYS 28
#define FIELDS_TCP 5
#define FIELDS_UDP 2

static const struct name directions[] = {
	NAME("\xabunspecified"), NAME("\xa8incoming"), NAME("\xa8outgoing"),
	NAME("\xa5local"),	 NAME("\xa4none"),
};

static __attribute__((noinline)) char *put_wide_uint(char *p, __u64 value)
{
	if (value < 0x100) {
		*p++ = (char)0xcc;
		*p++ = (char)value;
	} else if (value < 0x10000) {
		__u16 big = __builtin_bswap16((__u16)value);

		*p++ = (char)0xcd;
		__builtin_memcpy(p, &big, sizeof(big));
		p += sizeof(big);
	} else if (value <= 0xffffffff) {
		__u32 big = __builtin_bswap32((__u32)value);

		*p++ = (char)0xce;
		__builtin_memcpy(p, &big, sizeof(big));
		p += sizeof(big);
	} else {
		__u64 big = __builtin_bswap64(value);

		*p++ = (char)0xcf;
		__builtin_memcpy(p, &big, sizeof(big));
		p += sizeof(big);
	}
	return p;
}

INLINE char *put_uint(char *p, __u64 value)
{
	if (value < 0x80) {
		*p = (char)value;
		return p + 1;
	}
	return put_wide_uint(p, value);
}

static char *put_ip(char *p, const __u8 *address, int v4)
{
	char text[ADDRESS_TEXT_MAX];
	__u32 length = (__u32)(put_address(text, address, v4) - text);

	if (length > 31)
		*p++ = (char)0xd9; /* str 8 */
	*p++ = (char)(length > 31 ? length : 0xa0 | length);
	for (int i = 0; i < ADDRESS_TEXT_MAX; i += 16)
		__builtin_memcpy(p + i, text + i, 16);
	return p + length;
}

/* A number as its decimal text, which fits a fixstr. */
static char *put_decimal(char *p, __u64 value)
{
	char *end = put_u64(p + 1, value);

	*p = (char)(0xa0 | (end - p - 1));
	return end;
}

static char *put_endpoint(char *p, const __u8 *address, __u16 port, int v4)
{
	MAP(p, 3);
	STRING(p, "ip");
	p = put_ip(p, address, v4);
	NUMBER(p, "port", port);
	STRING(p, "containerId");
	STRING(p, "");
	return p;
}

INLINE char *put_identity(char *p, const struct encoder *encoder, const struct conn *record)
{
	int v4 = is_v4(record);

	NUMBER(p, "pid", record->pid);
	NUMBER(p, "netNS", record->netns);
	STRING(p, "laddr");
	p = put_endpoint(p, record->laddr, record->lport, v4);
	STRING(p, "raddr");
	p = put_endpoint(p, record->raddr, record->rport, v4);
	STRING(p, "family");
	if (v4)
		STRING(p, "v4");
	else
		STRING(p, "v6");
	STRING(p, "type");
	if (record->protocol == IPPROTO_TCP)
		STRING(p, "tcp");
	else
		STRING(p, "udp");
	STRING(p, "direction");
	p = put_name(p, &directions[record->direction <= DIRECTION_NONE ? record->direction : 0]);
	STRING(p, "isLocalPortEphemeral");
	if (is_ephemeral(encoder, record->lport))
		STRING(p, "ephemeralTrue");
	else
		STRING(p, "ephemeralFalse");
	BOOLEAN(p, "intraHost", is_intra_host(record));
	return p;
}

INLINE char *put_counters(char *p, const struct row *row)
{
	const struct counters *last = &row->last, *total = &row->total;

	NUMBER(p, "lastBytesSent", last->sent_bytes);
	NUMBER(p, "lastBytesReceived", last->recv_bytes);
	NUMBER(p, "lastPacketsSent", last->sent_packets);
	NUMBER(p, "lastPacketsReceived", last->recv_packets);
	NUMBER(p, "lastRetransmits", last->retransmits);
	NUMBER(p, "lastTcpEstablished", last->established);
	NUMBER(p, "lastTcpClosed", last->closed);
	NUMBER(p, "monotonicBytesSent", total->sent_bytes);
	NUMBER(p, "monotonicBytesReceived", total->recv_bytes);
	NUMBER(p, "monotonicPacketsSent", total->sent_packets);
	NUMBER(p, "monotonicPacketsReceived", total->recv_packets);
	NUMBER(p, "monotonicRetransmits", total->retransmits);
	if (row->record->protocol != IPPROTO_TCP) {
		NUMBER(p, "monotonicPacketsDropped", total->dropped_packets);
		NUMBER(p, "lastPacketsDropped", last->dropped_packets);
	}
	return p;
}

INLINE char *put_quality(char *p, const struct row *row)
{
	const struct conn *record = row->record;
	int tcp = record->protocol == IPPROTO_TCP;

	if (tcp) {
		NUMBER(p, "rtt", record->rtt);
		NUMBER(p, "rttVar", record->rttvar);
	}
	if (record->error) {
		STRING(p, "tcpFailuresByErrCode");
		MAP(p, 1);
		p = put_decimal(p, record->error);
		p = put_uint(p, 1);
	}
	if (tcp) {
		NUMBER(p, "lastTcpRtoCount", row->last.rto_count);
		NUMBER(p, "lastTcpReordSeen", row->last.reord_seen);
		NUMBER(p, "lastTcpDeliveredCe", row->last.delivered_ce);
	}
	return p;
}

static char *put_row(char *p, const struct encoder *encoder, const struct row *row,
		     const struct process_text *process)
{
	const struct conn *record = row->record;

	*p++ = (char)0xde; /* map 16 */
	*p++ = 0;
	*p++ = (char)(FIELDS_ALWAYS + (record->protocol == IPPROTO_TCP ? FIELDS_TCP : FIELDS_UDP) +
		      (record->error != 0) + (process != NULL));
	p = put_identity(p, encoder, record);
	p = put_counters(p, row);
	p = put_quality(p, row);
	STRING(p, "routeIdx");
	*p++ = (char)0xff; /* -1 */
	STRING(p, "protocol");
	MAP(p, 1);
	STRING(p, "stack");
	ARRAY(p, 1);
	STRING(p, "protocolUnclassified");
	BOOLEAN(p, "isClosed", row->closed);
	NUMBER(p, "duration", row_duration(row));
	NUMBER(p, "lastUpdate", record->updated);
	STRING(p, "cookie");
	p = put_decimal(p, row->cookie);
	if (process) {
		STRING(p, "process");
		__builtin_memcpy(p, process->bytes + process->json_length, process->msgpack_length);
		p += process->msgpack_length;
	}
	STRING(p, "tags");
	ARRAY(p, 0);
	return p;
}

/* Encodes as many of the rows as surely fit before `end`. Returns how many. */
EXPORT(encode_msgpack)
__u32 encode_msgpack(struct encoder *encoder, const struct row *rows, __u32 count)
{
	char *p = encoder->out;
	__u32 i;

	for (i = 0; i < count; i++) {
		const struct process_text *process = row_process(encoder, &rows[i]);

		if ((__u32)(encoder->end - p) < ROW_MAX + (process ? process->msgpack_length : 0))
			break;
		p = put_row(p, encoder, &rows[i], process);
	}
	encoder->out = p;
	return i;
}
