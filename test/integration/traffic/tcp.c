/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "traffic.h"
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void learn_addresses(struct tcp_end *end)
{
	socklen_t length = sizeof(end->local);

	getsockname(end->fd, (struct sockaddr *)&end->local, &length);
	length = sizeof(end->remote);
	getpeername(end->fd, (struct sockaddr *)&end->remote, &length);
}

static void set_option(int fd, int level, int name, int value)
{
	die_if(setsockopt(fd, level, name, &value, sizeof(value)), "setsockopt");
}

static void op_listen(struct tcp_end *end, const struct options *options)
{
	struct sockaddr_storage address;
	socklen_t length = parse_address(options->bind, &address);

	end->listener = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	die_if(end->listener < 0, "socket");
	set_option(end->listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (end->reuseport)
		set_option(end->listener, SOL_SOCKET, SO_REUSEPORT, 1);
	if (end->fastopen)
		set_option(end->listener, IPPROTO_TCP, TCP_FASTOPEN, 16);
	die_if(bind(end->listener, (struct sockaddr *)&address, length), "bind");
	die_if(listen(end->listener, 4096), "listen");
	say_listening(end->listener);
}

static void op_accept(struct tcp_end *end)
{
	if (end->ring)
		end->fd = ring_call(end->ring, IORING_OP_ACCEPT, end->listener, NULL, 0, 0);
	else
		end->fd = accept4(end->listener, NULL, NULL, SOCK_CLOEXEC);
	die_if(end->fd < 0, "accept");
	end->established = true;
	learn_addresses(end);
}

/* Prepares an active end: its socket, and its own address when the test chose one. */
static socklen_t open_socket(struct tcp_end *end, const struct options *options)
{
	socklen_t length = parse_address(options->connect, &end->remote);

	end->outgoing = true;
	end->fd = socket(end->remote.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	die_if(end->fd < 0, "socket");
	if (options->bind) {
		struct sockaddr_storage local;
		socklen_t local_length = parse_address(options->bind, &local);

		die_if(bind(end->fd, (struct sockaddr *)&local, local_length), "bind");
		learn_addresses(end);
	}
	return length;
}

static int connect_nonblocking(struct tcp_end *end, socklen_t length)
{
	struct pollfd polled = {.fd = end->fd, .events = POLLOUT};
	int error = 0;
	socklen_t error_length = sizeof(error);

	fcntl(end->fd, F_SETFL, O_NONBLOCK);
	if (connect(end->fd, (struct sockaddr *)&end->remote, length) && errno != EINPROGRESS)
		return -1;
	die_if(poll(&polled, 1, -1) < 0, "poll");
	getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &error_length);
	fcntl(end->fd, F_SETFL, 0);
	errno = error;
	return error ? -1 : 0;
}

static void op_connect(struct tcp_end *end, const struct options *options, const char *how)
{
	socklen_t length = open_socket(end, options);
	int result;

	if (end->ring)
		result = ring_call(end->ring, IORING_OP_CONNECT, end->fd, &end->remote, 0, length);
	else if (!strcmp(how, "nonblock"))
		result = connect_nonblocking(end, length);
	else
		result = connect(end->fd, (struct sockaddr *)&end->remote, length);
	if (result < 0) {
		end->error = errno;
		return;
	}
	end->established = true;
	learn_addresses(end);
}

/* Connects and sends the first bytes within the SYN, RFC 7413. */
static void op_fast_open(struct tcp_end *end, const struct options *options, size_t size)
{
	socklen_t length = open_socket(end, options);
	ssize_t sent = sendto(end->fd, payload(size), size, MSG_FASTOPEN,
			      (struct sockaddr *)&end->remote, length);

	die_if(sent < 0, "sendto MSG_FASTOPEN");
	end->sent += sent;
	end->established = true;
	learn_addresses(end);
}

static void read_info(struct tcp_end *end)
{
	socklen_t length = sizeof(end->info);

	die_if(getsockopt(end->fd, IPPROTO_TCP, TCP_INFO, &end->info, &length), "TCP_INFO");
}

/* Waits until the kernel is done with the connection, so that TCP_INFO shows its last counters. */
static void op_wait(struct tcp_end *end)
{
	const int tcp_close = 7; /* TCP_CLOSE of the kernel's include/net/tcp_states.h */

	for (int tries = 0; tries < 5000; tries++) {
		read_info(end);
		if (end->info.tcpi_state == tcp_close) {
			end->final = true;
			return;
		}
		usleep(1000);
	}
	errno = ETIMEDOUT;
	die("wait for TCP_CLOSE");
}

static void report(struct tcp_end *end, const char *event)
{
	char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];
	uint16_t local_port, remote_port;

	if (!end->final)
		read_info(end);
	if (end->local.ss_family == 0)
		end->local.ss_family = end->remote.ss_family;
	format_address(&end->local, local, &local_port);
	format_address(&end->remote, remote, &remote_port);
	say("{\"event\":\"%s\",\"type\":\"tcp\",\"direction\":\"%s\",\"pid\":%d,\"netns\":%lu,"
	    "\"laddr\":\"%s\",\"lport\":%u,\"raddr\":\"%s\",\"rport\":%u,\"sent\":%lu,"
	    "\"received\":%lu,\"packetsSent\":%u,\"packetsReceived\":%u,\"retransmits\":%u,"
	    "\"established\":%s,\"errno\":%d,\"final\":%s}",
	    event, end->outgoing ? "outgoing" : "incoming", getpid(), end->netns, local, local_port,
	    remote, remote_port, end->sent, end->received, end->info.tcpi_segs_out,
	    end->info.tcpi_segs_in, end->info.tcpi_total_retrans,
	    end->established ? "true" : "false", end->error, end->final ? "true" : "false");
}

static void op_close(struct tcp_end *end)
{
	report(end, "end");
	close(end->fd);
	*end = (struct tcp_end){
		.fd = -1, .listener = end->listener, .ring = end->ring, .netns = end->netns};
}

/* Runs one operation; false when there is nothing more to run in this process. */
static bool run_op(struct tcp_end *end, const struct options *options, const char *op)
{
	struct linger abort_on_close = {.l_onoff = 1, .l_linger = 0};
	const char *arg;

	if (end->error && strcmp(op, "close") != 0)
		return true; /* as an application does: the rest of the talk is off */
	if (operation_is(op, "uring", &arg)) {
		end->ring = ring_open();
	} else if (operation_is(op, "reuseport", &arg)) {
		end->reuseport = true;
	} else if (operation_is(op, "fastopen", &arg)) {
		end->fastopen = true;
	} else if (operation_is(op, "listen", &arg)) {
		op_listen(end, options);
	} else if (operation_is(op, "accept", &arg)) {
		if (options->count == 0 && stdin_ended_before(end->listener))
			return false;
		op_accept(end);
	} else if (operation_is(op, "connect", &arg)) {
		op_connect(end, options, arg);
	} else if (operation_is(op, "tfo", &arg)) {
		op_fast_open(end, options, next_number(&arg));
	} else if (operation_is(op, "shutdown", &arg)) {
		shutdown(end->fd, SHUT_WR);
	} else if (operation_is(op, "linger0", &arg)) {
		die_if(setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &abort_on_close,
				  sizeof(abort_on_close)),
		       "SO_LINGER");
	} else if (operation_is(op, "wait", &arg)) {
		op_wait(end);
	} else if (operation_is(op, "report", &arg)) {
		report(end, "open");
	} else if (operation_is(op, "gate", &arg)) {
		wait_for_go();
	} else if (operation_is(op, "sleep", &arg)) {
		usleep(next_number(&arg) * 1000);
	} else if (operation_is(op, "kill", &arg)) {
		raise(SIGKILL);
	} else if (operation_is(op, "close", &arg)) {
		op_close(end);
	} else if (!run_transfer(end, op)) {
		errno = EINVAL;
		die(op);
	}
	return true;
}

bool run_ops(struct tcp_end *end, const struct options *options, char **ops)
{
	for (; *ops; ops++) {
		if (!end->error && run_handover(end, options, *ops, ops + 1))
			return true;
		if (!run_op(end, options, *ops))
			return false;
	}
	return true;
}

int run_tcp(const struct options *options)
{
	struct tcp_end end = {.fd = -1, .listener = -1, .netns = own_netns()};
	char **again = options->ops;

	for (char **op = options->ops; *op; op++) {
		if (!strcmp(*op, "listen"))
			again = op + 1;
	}
	for (char **op = options->ops; op < again; op++)
		run_op(&end, options, *op);

	for (int i = 0; options->count == 0 || i < options->count; i++) {
		if (!run_ops(&end, options, again))
			break;
	}
	return 0;
}
