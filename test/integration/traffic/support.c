/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Noreturn void die(const char *what)
{
	fprintf(stderr, "traffic[%d]: %s: %s\n", getpid(), what, strerror(errno));
	exit(1);
}

void die_if(bool failed, const char *what)
{
	if (failed)
		die(what);
}

socklen_t parse_address(const char *text, struct sockaddr_storage *into)
{
	const char *colon = strrchr(text, ':');
	char ip[INET6_ADDRSTRLEN + 2] = {};

	memset(into, 0, sizeof(*into));
	errno = EINVAL;
	die_if(!colon || colon - text >= (long)sizeof(ip), text);
	if (text[0] == '[') {
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)into;

		memcpy(ip, text + 1, colon - text - 2);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(atoi(colon + 1));
		die_if(inet_pton(AF_INET6, ip, &v6->sin6_addr) != 1, text);
		return sizeof(*v6);
	}

	struct sockaddr_in *v4 = (struct sockaddr_in *)into;

	memcpy(ip, text, colon - text);
	v4->sin_family = AF_INET;
	v4->sin_port = htons(atoi(colon + 1));
	die_if(inet_pton(AF_INET, ip, &v4->sin_addr) != 1, text);
	return sizeof(*v4);
}

void format_address(const struct sockaddr_storage *address, char *ip, uint16_t *port)
{
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

		inet_ntop(AF_INET6, &v6->sin6_addr, ip, INET6_ADDRSTRLEN);
		*port = ntohs(v6->sin6_port);
	} else {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

		inet_ntop(AF_INET, &v4->sin_addr, ip, INET6_ADDRSTRLEN);
		*port = ntohs(v4->sin_port);
	}
}

bool is_wildcard(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)address)->sin6_addr);
	return ((struct sockaddr_in *)address)->sin_addr.s_addr == INADDR_ANY;
}

/* "send:10:2" is the operation "send" with the argument "10:2"; the argument of "send" is "". */
bool operation_is(const char *op, const char *name, const char **arg)
{
	size_t length = strlen(name);

	if (strncmp(op, name, length) != 0 || (op[length] && op[length] != ':'))
		return false;
	*arg = op + length + (op[length] == ':');
	return true;
}

/* Takes the next number of "10:2"; 0 when there is none. */
size_t next_number(const char **arg)
{
	char *end;
	size_t number = strtoull(*arg, &end, 10);

	*arg = *end == ':' ? end + 1 : end;
	return number;
}

/* One line in one write, so that lines of several processes on one pipe never mix (PIPE_BUF). */
void say(const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	int length = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	die_if(length < 0 || length >= (int)sizeof(line) - 1, "line too long");
	line[length] = '\n';
	die_if(write(STDOUT_FILENO, line, length + 1) != length + 1, "write to stdout");
}

void say_listening(int fd)
{
	struct sockaddr_storage local;
	socklen_t length = sizeof(local);
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;

	die_if(getsockname(fd, (struct sockaddr *)&local, &length), "getsockname");
	format_address(&local, ip, &port);
	say("{\"event\":\"listening\",\"pid\":%d,\"netns\":%lu,\"port\":%u}", getpid(), own_netns(),
	    port);
}

/* Tells the test that this point is reached, and waits until it writes a byte to stdin. */
void wait_for_go(void)
{
	char byte;

	say("{\"event\":\"waiting\",\"pid\":%d}", getpid());
	die_if(read(STDIN_FILENO, &byte, 1) != 1, "wait for the test");
}

/* Waits until `fd` is readable (false) or stdin has ended (true). */
bool stdin_ended_before(int fd)
{
	struct pollfd polled[2] = {{.fd = fd, .events = POLLIN},
				   {.fd = STDIN_FILENO, .events = POLLIN}};

	for (;;) {
		die_if(poll(polled, 2, -1) < 0, "poll");
		if (polled[0].revents)
			return false;
		if (polled[1].revents)
			return true;
	}
}

/* The inode number that /proc/PID/ns/net shows. */
unsigned long own_netns(void)
{
	struct stat status;

	die_if(stat("/proc/self/ns/net", &status), "stat /proc/self/ns/net");
	return status.st_ino;
}

/* A buffer of at least `size` bytes that is kept for the life of the process. */
char *payload(size_t size)
{
	static __thread char *buffer;
	static __thread size_t capacity;

	if (size > capacity) {
		buffer = realloc(buffer, size);
		die_if(!buffer, "allocate");
		memset(buffer + capacity, 'p', size - capacity);
		capacity = size;
	}
	return buffer;
}
