/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tcp.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void await_child(pid_t child)
{
	int status;

	die_if(waitpid(child, &status, 0) != child, "waitpid");
	errno = ECHILD;
	die_if(status != 0, "child");
}

/*
 * The child runs the rest, but not before this process has closed its own descriptor of the
 * connection: whoever closes last is the last one at work on it.
 */
static void hand_to_child(struct tcp_end *end, const struct options *options, char **rest)
{
	int parent_closed[2];
	char byte;

	die_if(pipe(parent_closed), "pipe");

	pid_t child = fork();

	die_if(child < 0, "fork");
	if (child == 0) {
		close(parent_closed[1]);
		die_if(read(parent_closed[0], &byte, 1) != 0, "wait for the parent");
		run_ops(end, options, rest);
		_exit(0);
	}
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
	close(parent_closed[0]);
	close(parent_closed[1]);
	await_child(child);
}

union descriptor_message {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static void send_descriptor(int channel, int fd)
{
	union descriptor_message control = {};
	struct iovec byte = {"", 1};
	struct msghdr message = {.msg_iov = &byte,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};

	control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	die_if(sendmsg(channel, &message, 0) != 1, "send a descriptor");
}

static int receive_descriptor(int channel)
{
	union descriptor_message control = {};
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	int fd;

	die_if(recvmsg(channel, &message, 0) != 1, "receive a descriptor");
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

/*
 * A child that holds no descriptor of the connection gets it over a unix socket, and runs the rest once
 * this process has closed its own.
 */
static void pass_to_child(struct tcp_end *end, const struct options *options, char **rest)
{
	int channel[2];
	char byte;

	die_if(socketpair(AF_UNIX, SOCK_STREAM, 0, channel), "socketpair");

	pid_t child = fork();

	die_if(child < 0, "fork");
	if (child == 0) {
		close(channel[1]);
		close(end->fd);
		die_if(write(channel[0], "", 1) != 1, "ask for the descriptor");
		end->fd = receive_descriptor(channel[0]);
		die_if(read(channel[0], &byte, 1) != 0, "wait for the parent");
		run_ops(end, options, rest);
		_exit(0);
	}

	close(channel[0]);
	die_if(read(channel[1], &byte, 1) != 1, "wait for the child");
	send_descriptor(channel[1], end->fd);
	close(end->fd);
	end->fd = -1;
	close(channel[1]);
	await_child(child);
}

struct thread_work {
	struct tcp_end *end;
	const struct options *options;
	char **rest;
};

static void *thread_main(void *argument)
{
	struct thread_work *work = argument;

	run_ops(work->end, work->options, work->rest);
	return NULL;
}

static void hand_to_thread(struct tcp_end *end, const struct options *options, char **rest)
{
	struct thread_work work = {end, options, rest};
	pthread_t thread;

	errno = pthread_create(&thread, NULL, thread_main, &work);
	die_if(errno != 0, "pthread_create");
	pthread_join(thread, NULL);
}

bool run_handover(struct tcp_end *end, const struct options *options, const char *op, char **rest)
{
	if (!strcmp(op, "fork"))
		hand_to_child(end, options, rest);
	else if (!strcmp(op, "pass"))
		pass_to_child(end, options, rest);
	else if (!strcmp(op, "thread"))
		hand_to_thread(end, options, rest);
	else
		return false;
	return true;
}
