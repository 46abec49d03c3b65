/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_FDS 65536
#define MAX_EVENTS 256
#define LISTENER_BACKLOG 4096

/*
 * Many short connections. How much each one carries follows from the client's port, so that the test
 * can say from a connection's tuple alone what it must have carried.
 */
static size_t request_size(uint16_t client_port)
{
	return 64 + client_port % 128;
}

static size_t reply_size(uint16_t client_port)
{
	return 512 + client_port % 512;
}

struct connection {
	uint16_t client_port; /* 0 at the client until it is connected */
	size_t left; /* bytes to come */
};

static struct connection connections[MAX_FDS];
static uint64_t connections_done, bytes_sent, bytes_received;

static void watch(int epoll, int fd, int change, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	die_if(fd >= MAX_FDS || epoll_ctl(epoll, change, fd, &event), "epoll_ctl");
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
	char ip[INET6_ADDRSTRLEN];
	uint16_t port;

	format_address(address, ip, &port);
	return port;
}

static void send_whole(int fd, size_t size)
{
	die_if(send(fd, payload(size), size, 0) != (ssize_t)size, "send");
	bytes_sent += size;
}

static void finish(int fd)
{
	close(fd);
	connections_done++;
}

/* Reads what is there; true when all of it has come. */
static bool receive(int fd, struct connection *connection)
{
	ssize_t bytes = recv(fd, payload(4096), 4096, 0);

	if (bytes < 0 && errno == EAGAIN)
		return false;
	if (bytes == 0)
		errno = EPIPE;
	die_if(bytes <= 0, "recv");
	bytes_received += bytes;
	connection->left -= bytes;
	return connection->left == 0;
}

static void report(void)
{
	say("{\"event\":\"load\",\"pid\":%d,\"netns\":%lu,\"connections\":%lu,\"sent\":%lu,"
	    "\"received\":%lu}",
	    getpid(), own_netns(), connections_done, bytes_sent, bytes_received);
}

static void accept_all(int epoll, int listener)
{
	for (;;) {
		struct sockaddr_storage peer;
		socklen_t length = sizeof(peer);
		int fd = accept4(listener, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK);

		if (fd < 0 && errno == EAGAIN)
			return;
		die_if(fd < 0, "accept4");
		watch(epoll, fd, EPOLL_CTL_ADD, EPOLLIN);
		connections[fd].client_port = port_of(&peer);
		connections[fd].left = request_size(connections[fd].client_port);
	}
}

/* Serves until stdin ends. */
static int serve(const char *address)
{
	struct epoll_event events[MAX_EVENTS];
	struct sockaddr_storage local;
	socklen_t length = parse_address(address, &local);
	int epoll = epoll_create1(0),
	    listener = socket(local.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	die_if(epoll < 0 || listener < 0, "socket");
	die_if(bind(listener, (struct sockaddr *)&local, length), "bind");
	die_if(listen(listener, LISTENER_BACKLOG), "listen");
	watch(epoll, listener, EPOLL_CTL_ADD, EPOLLIN);
	watch(epoll, STDIN_FILENO, EPOLL_CTL_ADD, EPOLLIN);
	say_listening(listener);
	for (;;) {
		int count = epoll_wait(epoll, events, MAX_EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == STDIN_FILENO) {
				report();
				return 0;
			}
			if (fd == listener) {
				accept_all(epoll, listener);
			} else if (receive(fd, &connections[fd])) {
				send_whole(fd, reply_size(connections[fd].client_port));
				finish(fd);
			}
		}
	}
}

/* Begins a connection from 127.0.0.(2 + number mod sources), so that the ports last. */
static void begin(int epoll, const struct sockaddr_storage *server, socklen_t length,
		  unsigned long number, unsigned int sources)
{
	struct sockaddr_in source = {.sin_family = AF_INET,
				     .sin_addr.s_addr =
					     htonl(INADDR_LOOPBACK + 1 + number % sources)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	die_if(fd < 0, "socket");
	die_if(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)), "setsockopt");
	die_if(bind(fd, (struct sockaddr *)&source, sizeof(source)), "bind");
	die_if(connect(fd, (struct sockaddr *)server, length) && errno != EINPROGRESS, "connect");
	connections[fd] = (struct connection){};
	watch(epoll, fd, EPOLL_CTL_ADD, EPOLLOUT);
}

static void send_request(int epoll, int fd)
{
	struct sockaddr_storage local;
	socklen_t length = sizeof(local);

	die_if(getsockname(fd, (struct sockaddr *)&local, &length), "getsockname");
	connections[fd].client_port = port_of(&local);
	connections[fd].left = reply_size(connections[fd].client_port);
	send_whole(fd, request_size(connections[fd].client_port));
	watch(epoll, fd, EPOLL_CTL_MOD, EPOLLIN);
}

static int generate(const char *address, unsigned long total, unsigned int at_once,
		    unsigned int sources)
{
	struct epoll_event events[MAX_EVENTS];
	struct sockaddr_storage server;
	socklen_t length = parse_address(address, &server);
	unsigned long begun = 0;
	int epoll = epoll_create1(0);

	die_if(epoll < 0, "epoll_create1");
	while (connections_done < total) {
		while (begun < total && begun - connections_done < at_once)
			begin(epoll, &server, length, begun++, sources);

		int count = epoll_wait(epoll, events, MAX_EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (!connections[fd].client_port)
				send_request(epoll, fd);
			else if (receive(fd, &connections[fd]))
				finish(fd);
		}
	}
	report();
	return 0;
}

/* server ADDR:PORT | client ADDR:PORT CONNECTIONS AT_ONCE SOURCES */
int run_load(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[0], "server"))
		return serve(argv[1]);
	if (argc == 5 && !strcmp(argv[0], "client"))
		return generate(argv[1], atol(argv[2]), atoi(argv[3]), atoi(argv[4]));
	fprintf(stderr, "traffic load: server ADDR:PORT | client ADDR:PORT N AT_ONCE SOURCES\n");
	return 2;
}
