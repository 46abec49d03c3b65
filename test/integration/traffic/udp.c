/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PEERS 256
#define MAX_BATCH 64
#define MAX_DATAGRAM 65536

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

static void open_socket(struct udp_end *end, const struct options *options, const char *address)
{
	struct sockaddr_storage local;
	socklen_t length = parse_address(address, &local);

	if (options->connect)
		end->remote_length = parse_address(options->connect, &end->remote);
	end->fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	die_if(end->fd < 0, "socket");
	if (address == options->bind) {
		die_if(bind(end->fd, (struct sockaddr *)&local, length), "bind");
		say_listening(end->fd);
	}
}

static void set_option(struct udp_end *end, int level, int name, int value)
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

	set_option(end, IPPROTO_UDP, UDP_SEGMENT, segment);
	count_sent(end,
		   sendto(end->fd, payload(size), size, 0, (struct sockaddr *)&end->remote,
			  end->remote_length),
		   (size + segment - 1) / segment);
	set_option(end, IPPROTO_UDP, UDP_SEGMENT, 0);
}

/* Several sends that leave as one datagram, by the socket's option or by MSG_MORE. */
static void send_corked(struct udp_end *end, const char *arg, bool by_option)
{
	ssize_t bytes = 0;

	if (by_option)
		set_option(end, IPPROTO_UDP, UDP_CORK, 1);
	while (*arg) {
		size_t size = next_number(&arg);
		ssize_t sent =
			sendto(end->fd, payload(size), size, *arg && !by_option ? MSG_MORE : 0,
			       (struct sockaddr *)&end->remote, end->remote_length);

		die_if(sent < 0, "send a part");
		bytes += sent;
	}
	if (by_option)
		set_option(end, IPPROTO_UDP, UDP_CORK, 0);
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

static void join(struct udp_end *end, const char *group)
{
	struct ip_mreqn request = {};

	die_if(inet_pton(AF_INET, group, &request.imr_multiaddr) != 1, group);
	die_if(setsockopt(end->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)),
	       "IP_ADD_MEMBERSHIP");
}

/* The address that this socket talks from: where it is bound to none, what the routes choose. */
static void local_address(struct udp_end *end, struct peer *peer, struct sockaddr_storage *local)
{
	struct sockaddr_storage routed;
	socklen_t length = sizeof(*local);

	die_if(getsockname(end->fd, (struct sockaddr *)local, &length), "getsockname");
	if (!is_wildcard(local))
		return;

	int probe = socket(peer->address.ss_family, SOCK_DGRAM, 0);

	length = sizeof(routed);
	die_if(probe < 0 || connect(probe, (struct sockaddr *)&peer->address, length) ||
		       getsockname(probe, (struct sockaddr *)&routed, &length),
	       "route to the peer");
	close(probe);
	if (local->ss_family == AF_INET6)
		((struct sockaddr_in6 *)local)->sin6_addr =
			((struct sockaddr_in6 *)&routed)->sin6_addr;
	else
		((struct sockaddr_in *)local)->sin_addr = ((struct sockaddr_in *)&routed)->sin_addr;
}

static void report(struct udp_end *end, const char *event)
{
	char local_ip[INET6_ADDRSTRLEN], remote_ip[INET6_ADDRSTRLEN];
	uint16_t local_port, remote_port;

	for (int i = 0; i < end->peer_count; i++) {
		struct peer *peer = &end->peers[i];
		struct sockaddr_storage local;

		local_address(end, peer, &local);
		format_address(&local, local_ip, &local_port);
		format_address(&peer->address, remote_ip, &remote_port);
		say("{\"event\":\"%s\",\"type\":\"udp\",\"direction\":\"%s\",\"pid\":%d,"
		    "\"netns\":%lu,\"laddr\":\"%s\",\"lport\":%u,\"raddr\":\"%s\",\"rport\":%u,"
		    "\"sent\":%lu,\"received\":%lu,\"packetsSent\":%lu,\"packetsReceived\":%lu,"
		    "\"retransmits\":0,\"established\":false,\"errno\":0,\"final\":true}",
		    event, peer->outgoing ? "outgoing" : "incoming", getpid(), end->netns, local_ip,
		    local_port, remote_ip, remote_port, peer->sent, peer->received,
		    peer->sent_datagrams, peer->received_datagrams);
	}
}

static void run_op(struct udp_end *end, const struct options *options, const char *op)
{
	struct peer *from;
	const char *arg;

	if (operation_is(op, "bind", &arg)) {
		open_socket(end, options, options->bind);
	} else if (operation_is(op, "open", &arg)) {
		open_socket(end, options, options->connect);
	} else if (operation_is(op, "connect", &arg)) {
		die_if(connect(end->fd, (struct sockaddr *)&end->remote, end->remote_length),
		       "connect");
	} else if (operation_is(op, "send", &arg)) {
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
	} else if (operation_is(op, "gro", &arg)) {
		set_option(end, IPPROTO_UDP, UDP_GRO, 1);
	} else if (operation_is(op, "rcvbuf", &arg)) {
		set_option(end, SOL_SOCKET, SO_RCVBUF, next_number(&arg));
	} else if (operation_is(op, "join", &arg)) {
		join(end, arg);
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
	} else if (operation_is(op, "gate", &arg)) {
		wait_for_go();
	} else if (operation_is(op, "report", &arg)) {
		report(end, "open");
	} else if (operation_is(op, "close", &arg)) {
		report(end, "end");
		close(end->fd);
		end->peer_count = 0;
	} else {
		errno = EINVAL;
		die(op);
	}
}

int run_udp(const struct options *options)
{
	struct udp_end *end = calloc(1, sizeof(*end));

	die_if(!end, "allocate");
	end->netns = own_netns();
	for (int i = 0; i < options->count; i++) {
		for (char **op = options->ops; *op; op++)
			run_op(end, options, *op);
	}
	return 0;
}
