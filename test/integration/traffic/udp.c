/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void open_socket(struct udp_end *end, const struct options *options, const char *address)
{
	struct sockaddr_storage local;
	socklen_t length = parse_address(address, &local);

	if (options->connect)
		end->remote_length = parse_address(options->connect, &end->remote);
	end->fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	die_if(end->fd < 0, "socket");
	if (address == options->bind)
		die_if(bind(end->fd, (struct sockaddr *)&local, length), "bind");
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
	const char *arg;

	if (operation_is(op, "bind", &arg)) {
		open_socket(end, options, options->bind);
	} else if (operation_is(op, "ready", &arg)) {
		say_listening(end->fd);
	} else if (operation_is(op, "open", &arg)) {
		open_socket(end, options, options->connect);
	} else if (operation_is(op, "connect", &arg)) {
		die_if(connect(end->fd, (struct sockaddr *)&end->remote, end->remote_length),
		       "connect");
	} else if (operation_is(op, "gro", &arg)) {
		set_udp_option(end, IPPROTO_UDP, UDP_GRO, 1);
	} else if (operation_is(op, "rcvbuf", &arg)) {
		set_udp_option(end, SOL_SOCKET, SO_RCVBUF, next_number(&arg));
	} else if (operation_is(op, "join", &arg)) {
		join(end, arg);
	} else if (operation_is(op, "gate", &arg)) {
		wait_for_go();
	} else if (operation_is(op, "report", &arg)) {
		report(end, "open");
	} else if (operation_is(op, "close", &arg)) {
		report(end, "end");
		close(end->fd);
		end->peer_count = 0;
	} else if (operation_is(op, "leave", &arg)) {
		report(end, "end"); /* the socket is closed by the end of the process */
		end->peer_count = 0;
	} else if (!run_udp_transfer(end, op)) {
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
