/* SPDX-License-Identifier: MIT */
/* Rows as JSON objects, separated by commas. */
#include "encoder.h"

#define NUMBER(p, key, value)           \
	do {                            \
		PUT(p, ","              \
		       "\"" key "\":"); \
		p = put_u64(p, value);  \
	} while (0)

static const struct name directions[] = {
	NAME("unspecified\""), NAME("incoming\""), NAME("outgoing\""),
	NAME("local\""),       NAME("none\""),
};

static char *put_endpoint(char *p, const __u8 *address, __u16 port, int v4)
{
	PUT(p, "{\"ip\":\"");
	p = put_address(p, address, v4);
	PUT(p, "\",\"port\":");
	p = put_medium(p, port);
	PUT(p, ",\"containerId\":\"\"}");
	return p;
}

INLINE char *put_identity(char *p, const struct encoder *encoder, const struct conn *record)
{
	int v4 = is_v4(record);

	PUT(p, "{\"pid\":");
	p = put_u64(p, record->pid);
	NUMBER(p, "netNS", record->netns);
	PUT(p, ",\"laddr\":");
	p = put_endpoint(p, record->laddr, record->lport, v4);
	PUT(p, ",\"raddr\":");
	p = put_endpoint(p, record->raddr, record->rport, v4);
	if (v4)
		PUT(p, ",\"family\":\"v4\",\"type\":\"");
	else
		PUT(p, ",\"family\":\"v6\",\"type\":\"");
	if (record->protocol == IPPROTO_TCP)
		PUT(p, "tcp\",\"direction\":\"");
	else
		PUT(p, "udp\",\"direction\":\"");
	p = put_name(p, &directions[record->direction <= DIRECTION_NONE ? record->direction : 0]);
	if (is_ephemeral(encoder, record->lport))
		PUT(p, ",\"isLocalPortEphemeral\":\"ephemeralTrue\",\"intraHost\":");
	else
		PUT(p, ",\"isLocalPortEphemeral\":\"ephemeralFalse\",\"intraHost\":");
	if (is_intra_host(record))
		PUT(p, "true");
	else
		PUT(p, "false");
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
		PUT(p, ",\"tcpFailuresByErrCode\":{\"");
		p = put_medium(p, record->error);
		PUT(p, "\":1}");
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
	p = put_identity(p, encoder, row->record);
	p = put_counters(p, row);
	p = put_quality(p, row);
	PUT(p,
	    ",\"routeIdx\":-1,\"protocol\":{\"stack\":[\"protocolUnclassified\"]},\"isClosed\":");
	if (row->closed)
		PUT(p, "true");
	else
		PUT(p, "false");
	NUMBER(p, "duration", row_duration(row));
	NUMBER(p, "lastUpdate", row->record->updated);
	PUT(p, ",\"cookie\":\"");
	p = put_u64(p, row->cookie);
	PUT(p, "\"");
	if (process) {
		PUT(p, ",\"process\":");
		__builtin_memcpy(p, process->bytes, process->json_length);
		p += process->json_length;
	}
	PUT(p, ",\"tags\":[]}");
	return p;
}

/* Encodes as many of the rows as surely fit before `end`. Returns how many. */
EXPORT(encode_json)
__u32 encode_json(struct encoder *encoder, const struct row *rows, __u32 count)
{
	char *p = encoder->out;
	__u32 i;

	for (i = 0; i < count; i++) {
		const struct process_text *process = row_process(encoder, &rows[i]);

		if ((__u32)(encoder->end - p) < ROW_MAX + (process ? process->json_length : 0))
			break;
		if (!encoder->first)
			*p++ = ',';
		encoder->first = 0;
		p = put_row(p, encoder, &rows[i], process);
	}
	encoder->out = p;
	return i;
}
