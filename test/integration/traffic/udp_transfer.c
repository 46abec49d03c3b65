/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#define MAX_BATCH 64
#define MAX_DATAGRAM 65536

static struct peer *find_peer(struct udp_end *end, const struct sockaddr_storage *address,
			      bool sending)
{
	char ip[INET6_ADDRSTRLEN], known_ip[INET6_ADDRSTRLEN];
	uint16_t port, known_port;

	format_address(address, ip, &port);
	for (int i = 0; i < end->peer_count; i++) {
		format_address(&end->peers[i].address, known_ip, &known_port);
		if (port == known_port && !strcmp(ip, known_ip))
			return &end->peers[i];
	}
	errno = ENOBUFS;
	die_if(end->peer_count == MAX_PEERS, "peers");

	struct peer *peer = &end->peers[end->peer_count++];

	*peer = (struct peer){.address = *address, .outgoing = sending};
	return peer;
}

static void count_sent(struct udp_end *end, ssize_t bytes, size_t datagrams)
{
	die_if(bytes < 0, "send");

	struct peer *peer = find_peer(end, &end->remote, true);

	peer->sent += bytes;
	peer->sent_datagrams += datagrams;
}

void set_udp_option(struct udp_end *end, int level, int name, int value)
{
	die_if(setsockopt(end->fd, level, name, &value, sizeof(value)), "setsockopt");
}

static void send_each(struct udp_end *end, const char *arg, bool connected)
{
	size_t size = next_number(&arg), times = next_number(&arg);
	const struct sockaddr *to = connected ? NULL : (struct sockaddr *)&end->remote;

	for (size_t i = 0; i < (times ? times : 1); i++)
		count_sent(end,
			   sendto(end->fd, payload(size), size, 0, to,
				  connected ? 0 : end->remote_length),
			   1);
}

static void send_batch(struct udp_end *end, const char *arg)
{
	size_t times = next_number(&arg), size = next_number(&arg);
	struct mmsghdr messages[MAX_BATCH] = {};
	struct iovec part = {payload(size), size};

	for (size_t i = 0; i < times; i++) {
		messages[i].msg_hdr = (struct msghdr){.msg_name = &end->remote,
						      .msg_namelen = end->remote_length,
						      .msg_iov = &part,
						      .msg_iovlen = 1};
	}
	errno = EMSGSIZE;
	die_if(times > MAX_BATCH || sendmmsg(end->fd, messages, times, 0) != (int)times,
	       "sendmmsg");
	for (size_t i = 0; i < times; i++)
		count_sent(end, messages[i].msg_len, 1);
}

/* One send that the kernel cuts into datagrams of `segment` bytes. */
static void send_segmented(struct udp_end *end, const char *arg)
{
	size_t size = next_number(&arg), segment = next_number(&arg);

	set_udp_option(end, IPPROTO_UDP, UDP_SEGMENT, segment);
	count_sent(end,
		   sendto(end->fd, payload(size), size, 0, (struct sockaddr *)&end->remote,
			  end->remote_length),
		   (size + segment - 1) / segment);
	set_udp_option(end, IPPROTO_UDP, UDP_SEGMENT, 0);
}

/* Several sends that leave as one datagram, by the socket's option or by MSG_MORE. */
static void send_corked(struct udp_end *end, const char *arg, bool by_option)
{
	ssize_t bytes = 0;

	if (by_option)
		set_udp_option(end, IPPROTO_UDP, UDP_CORK, 1);
	while (*arg) {
		size_t size = next_number(&arg);
		ssize_t sent =
			sendto(end->fd, payload(size), size, *arg && !by_option ? MSG_MORE : 0,
			       (struct sockaddr *)&end->remote, end->remote_length);

		die_if(sent < 0, "send a part");
		bytes += sent;
	}
	if (by_option)
		set_udp_option(end, IPPROTO_UDP, UDP_CORK, 0);
	count_sent(end, bytes, 1);
}

/* Receives once, with UDP_GRO possibly several datagrams; -1 when there is none to be had. */
static ssize_t receive(struct udp_end *end, int flags, struct peer **from)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct sockaddr_storage address = {};
	struct iovec part = {payload(MAX_DATAGRAM), MAX_DATAGRAM};
	struct msghdr message = {.msg_name = &address,
				 .msg_namelen = sizeof(address),
				 .msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	ssize_t bytes = recvmsg(end->fd, &message, flags);
	int segment = 0;

	if (bytes < 0 && errno == EAGAIN)
		return -1;
	die_if(bytes < 0, "recvmsg");
	if (flags & MSG_PEEK)
		return bytes;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	*from = find_peer(end, &address, false);
	(*from)->received += bytes;
	(*from)->received_datagrams += segment > 0 ? (bytes + segment - 1) / segment : 1;
	return bytes;
}

static void receive_batch(struct udp_end *end, size_t times)
{
	struct mmsghdr messages[MAX_BATCH] = {};
	struct sockaddr_storage from[MAX_BATCH] = {};
	struct iovec part = {payload(MAX_DATAGRAM), MAX_DATAGRAM};

	errno = EMSGSIZE;
	die_if(times > MAX_BATCH, "recvmmsg");
	for (size_t i = 0; i < times; i++) {
		messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
						      .msg_namelen = sizeof(from[i]),
						      .msg_iov = &part,
						      .msg_iovlen = 1};
	}
	die_if(recvmmsg(end->fd, messages, times, 0, NULL) != (int)times, "recvmmsg");
	for (size_t i = 0; i < times; i++) {
		struct peer *peer = find_peer(end, &from[i], false);

		peer->received += messages[i].msg_len;
		peer->received_datagrams++;
	}
}

/* Receives `times` datagrams and answers each with as many bytes as it had. */
static void echo(struct udp_end *end, size_t times)
{
	for (size_t i = 0; i < times; i++) {
		struct peer *peer;
		ssize_t size = receive(end, 0, &peer);
		socklen_t length = peer->address.ss_family == AF_INET ? sizeof(struct sockaddr_in)
								      : sizeof(struct sockaddr_in6);

		die_if(sendto(end->fd, payload(size), size, 0, (struct sockaddr *)&peer->address,
			      length) != size,
		       "answer");
		peer->sent += size;
		peer->sent_datagrams++;
	}
}

bool run_udp_transfer(struct udp_end *end, const char *op)
{
	struct peer *from;
	const char *arg;

	if (operation_is(op, "send", &arg)) {
		send_each(end, arg, true);
	} else if (operation_is(op, "sendto", &arg)) {
		send_each(end, arg, false);
	} else if (operation_is(op, "mmsg", &arg)) {
		send_batch(end, arg);
	} else if (operation_is(op, "gso", &arg)) {
		send_segmented(end, arg);
	} else if (operation_is(op, "cork", &arg)) {
		send_corked(end, arg, true);
	} else if (operation_is(op, "more", &arg)) {
		send_corked(end, arg, false);
	} else if (operation_is(op, "recv", &arg)) {
		for (size_t times = next_number(&arg); times > 0; times--)
			receive(end, 0, &from);
	} else if (operation_is(op, "recv-bytes", &arg)) {
		for (ssize_t left = next_number(&arg); left > 0;)
			left -= receive(end, 0, &from);
	} else if (operation_is(op, "recv-mmsg", &arg)) {
		receive_batch(end, next_number(&arg));
	} else if (operation_is(op, "peek", &arg)) {
		receive(end, MSG_PEEK, &from);
	} else if (operation_is(op, "drain", &arg)) {
		while (receive(end, MSG_DONTWAIT, &from) >= 0)
			;
	} else if (operation_is(op, "echo", &arg)) {
		echo(end, next_number(&arg));
	} else {
		return false;
	}
	return true;
}
