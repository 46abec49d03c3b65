/* SPDX-License-Identifier: MIT */
#ifndef PORTOLAN_TRAFFIC_TCP_H
#define PORTOLAN_TRAFFIC_TCP_H

#include "traffic.h"

#include <linux/tcp.h> /* a tcp_info with bytes_sent, which netinet/tcp.h lacks */
#include <signal.h>

/* One end of a TCP connection and what its calls returned. */
struct tcp_end {
	int fd;
	int listener;
	struct ring *ring; /* when set, calls go through io_uring */
	unsigned long netns;
	bool reuseport;
	bool fastopen;
	bool outgoing;
	bool established;
	bool final; /* info was read after the kernel was done with the connection */
	int error; /* errno of the first call that failed */
	uint64_t sent;
	uint64_t received;
	struct sockaddr_storage local;
	struct sockaddr_storage remote;
	struct tcp_info info;
};

bool run_ops(struct tcp_end *end, const struct options *options, char **ops);

/* Operations that move bytes; false when `op` is none. */
bool run_transfer(struct tcp_end *end, const char *op);

/*
 * Operations that hand the rest of the program to another task ("fork", "thread", "pass"); false when
 * `op` is none. When true, `rest` has been run and this task has nothing more to do in this round.
 */
bool run_handover(struct tcp_end *end, const struct options *options, const char *op, char **rest);

#endif
