/* SPDX-License-Identifier: MIT */
#ifndef PORTOLAN_TRAFFIC_UDP_H
#define PORTOLAN_TRAFFIC_UDP_H

#include "traffic.h"

#define MAX_PEERS 256

/* What one socket exchanged with one peer. */
struct peer {
	struct sockaddr_storage address;
	bool outgoing; /* this side sent first */
	uint64_t sent, received; /* payload bytes */
	uint64_t sent_datagrams, received_datagrams;
};

struct udp_end {
	int fd;
	unsigned long netns;
	socklen_t remote_length;
	struct sockaddr_storage remote; /* of -c */
	int peer_count;
	struct peer peers[MAX_PEERS];
};

void set_udp_option(struct udp_end *end, int level, int name, int value);

/* Operations that move datagrams; false when `op` is none. */
bool run_udp_transfer(struct udp_end *end, const char *op);

#endif
