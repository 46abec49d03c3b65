/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHUNK 65536

/* Adds a call's result to `total`; false at the end of the stream and at an error, which is kept. */
static bool count(struct tcp_end *end, ssize_t result, uint64_t *total)
{
	if (result < 0)
		end->error = errno;
	if (result <= 0)
		return false;
	*total += result;
	return true;
}

static ssize_t send_some(struct tcp_end *end, size_t size)
{
	if (end->ring)
		return ring_call(end->ring, IORING_OP_SEND, end->fd, payload(size), size, 0);
	return send(end->fd, payload(size), size, 0);
}

static ssize_t receive_some(struct tcp_end *end, size_t size)
{
	if (end->ring)
		return ring_call(end->ring, IORING_OP_RECV, end->fd, payload(size), size, 0);
	return recv(end->fd, payload(size), size, 0);
}

static void send_all(struct tcp_end *end, size_t size, size_t chunk)
{
	uint64_t target = end->sent + size;

	while (end->sent < target) {
		size_t left = target - end->sent;

		if (!count(end, send_some(end, left < chunk ? left : chunk), &end->sent))
			return;
	}
}

static void receive_all(struct tcp_end *end, size_t size)
{
	uint64_t target = end->received + size;

	while (end->received < target) {
		size_t left = target - end->received;

		if (!count(end, receive_some(end, left < CHUNK ? left : CHUNK), &end->received))
			return;
	}
}

/* One writev or readv over three parts of unequal size. */
static void vector(struct tcp_end *end, size_t size,
		   ssize_t (*call)(int, const struct iovec *, int), uint64_t *total)
{
	char *buffer = payload(size);
	size_t first = size / 7, second = size / 3;
	struct iovec parts[3] = {
		{buffer, first},
		{buffer + first, second},
		{buffer + first + second, size - first - second},
	};

	count(end, call(end->fd, parts, 3), total);
}

static void send_file(struct tcp_end *end, size_t size)
{
	int file = memfd_create("sendfile", MFD_CLOEXEC);
	uint64_t target = end->sent + size;

	die_if(file < 0 || ftruncate(file, size), "memfd_create");
	while (end->sent < target) {
		if (!count(end, sendfile(end->fd, file, NULL, target - end->sent), &end->sent))
			break;
	}
	close(file);
}

static void splice_send(struct tcp_end *end, size_t size)
{
	uint64_t target = end->sent + size;
	int pipes[2];

	die_if(pipe(pipes), "pipe");
	while (end->sent < target) {
		size_t left = target - end->sent, part = left < CHUNK ? left : CHUNK;

		die_if(write(pipes[1], payload(part), part) != (ssize_t)part, "write to pipe");
		while (part > 0) {
			ssize_t moved = splice(pipes[0], NULL, end->fd, NULL, part, SPLICE_F_MOVE);

			die_if(moved <= 0, "splice to socket");
			end->sent += moved;
			part -= moved;
		}
	}
	close(pipes[0]);
	close(pipes[1]);
}

/* Takes all that comes until the end of the stream, without any recv. */
static void splice_receive(struct tcp_end *end)
{
	int pipes[2];

	die_if(pipe(pipes), "pipe");
	for (;;) {
		ssize_t moved = splice(end->fd, NULL, pipes[1], NULL, CHUNK, SPLICE_F_MOVE);

		if (!count(end, moved, &end->received))
			break;
		die_if(read(pipes[0], payload(moved), moved) != moved, "read from pipe");
	}
	close(pipes[0]);
	close(pipes[1]);
}

static void receive_urgent(struct tcp_end *end)
{
	struct pollfd polled = {.fd = end->fd, .events = POLLPRI};
	char byte;

	die_if(poll(&polled, 1, 5000) != 1, "poll for urgent data");
	count(end, recv(end->fd, &byte, 1, MSG_OOB), &end->received);
}

bool run_transfer(struct tcp_end *end, const char *op)
{
	const char *arg;

	if (operation_is(op, "send", &arg)) {
		size_t size = next_number(&arg), chunk = next_number(&arg);

		send_all(end, size, chunk ? chunk : CHUNK);
	} else if (operation_is(op, "recv", &arg)) {
		receive_all(end, next_number(&arg));
	} else if (operation_is(op, "drain", &arg)) {
		receive_all(end, UINT32_MAX);
	} else if (operation_is(op, "writev", &arg)) {
		vector(end, next_number(&arg), writev, &end->sent);
	} else if (operation_is(op, "readv", &arg)) {
		vector(end, next_number(&arg), readv, &end->received);
	} else if (operation_is(op, "peek", &arg)) {
		size_t size = next_number(&arg);

		die_if(recv(end->fd, payload(size), size, MSG_PEEK | MSG_WAITALL) != (ssize_t)size,
		       "recv MSG_PEEK");
	} else if (operation_is(op, "oob", &arg)) {
		count(end, send(end->fd, "!", 1, MSG_OOB), &end->sent);
	} else if (operation_is(op, "recv-oob", &arg)) {
		receive_urgent(end);
	} else if (operation_is(op, "sendfile", &arg)) {
		send_file(end, next_number(&arg));
	} else if (operation_is(op, "splice-send", &arg)) {
		splice_send(end, next_number(&arg));
	} else if (operation_is(op, "splice-recv", &arg)) {
		splice_receive(end);
	} else {
		return false;
	}
	return true;
}
