// SPDX-License-Identifier: MIT
/*
 * The load of the benchmarks: single-threaded, both ends of every connection in this one process, so
 * that nothing waits for a scheduler and the CPU time of a loop is the cost of its operations. On
 * loopback the receiving half of the network stack runs in the sender's context, so it is in there too.
 *
 *   load run                  for a line "OPERATION COUNT WINDOWS" does so many operations in each of
 *                             so many windows, and answers with the CPU time of each window in ns
 *   load hold ADDRESS COUNT   opens COUNT connections to ADDRESS and says "ready"; for a line "N" sends
 *                             a byte over each of the next N of them and says "done"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 100
#define REPLY 1000
#define BULK (128 * 1024)
#define BULK_BUFFER (1024 * 1024) /* of a socket, so that a blocking send never waits */
#define DATAGRAM 64
#define SERVER_ADDRESSES 250 /* ports stay in TIME_WAIT for 60 s, but each address has its own */
#define BACKLOG 16

static char buffer[BULK];

/* What the operations work on. */
static struct sockaddr_in server;
static int listener = -1, pair[2] = {-1, -1};

static void die_if(bool failed, const char *what)
{
	if (!failed)
		return;
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_all(int fd, size_t size)
{
	die_if(send(fd, buffer, size, MSG_NOSIGNAL) != (ssize_t)size, "send");
}

static void receive_all(int fd, size_t size)
{
	die_if(recv(fd, buffer, size, MSG_WAITALL) != (ssize_t)size, "recv");
}

/* A socket bound to a free port of the address. */
static int bound(int type, in_addr_t address, struct sockaddr_in *name)
{
	socklen_t length = sizeof(*name);
	int fd = socket(AF_INET, type, 0);

	*name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = address};
	die_if(fd < 0, "socket");
	die_if(bind(fd, (struct sockaddr *)name, length), "bind");
	die_if(getsockname(fd, (struct sockaddr *)name, &length), "getsockname");
	return fd;
}

static int listening(in_addr_t address, struct sockaddr_in *name)
{
	int fd = bound(SOCK_STREAM, address, name);

	die_if(listen(fd, BACKLOG), "listen");
	return fd;
}

/* Connects and accepts at once: the handshake needs nobody to call accept. */
static void connect_pair(int ends[2])
{
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	die_if(ends[0] < 0, "socket");
	die_if(connect(ends[0], (struct sockaddr *)&server, sizeof(server)), "connect");
	ends[1] = accept(listener, NULL, NULL);
	die_if(ends[1] < 0, "accept");
}

static void close_pair(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static void close_all(void)
{
	close_pair(pair);
	close(listener);
	listener = pair[0] = pair[1] = -1;
}

static void tcp_connection_open(void)
{
	listener = listening(htonl(INADDR_ANY), &server);
}

/* A short connection with one request and one reply; the client closes first. */
static void tcp_connection(void)
{
	static unsigned int next;

	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK + next++ % SERVER_ADDRESSES);
	connect_pair(pair);
	send_all(pair[0], REQUEST);
	receive_all(pair[1], REQUEST);
	send_all(pair[1], REPLY);
	receive_all(pair[0], REPLY);
	close_pair(pair);
	pair[0] = pair[1] = -1;
}

static void tcp_exchange_open(void)
{
	const int size = BULK_BUFFER;

	listener = listening(htonl(INADDR_LOOPBACK), &server);
	/* Accepted sockets inherit it. */
	die_if(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), "SO_RCVBUF");
	connect_pair(pair);
	die_if(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), "SO_SNDBUF");
}

static void tcp_byte(void)
{
	send_all(pair[0], 1);
	receive_all(pair[1], 1);
}

static void tcp_bulk(void)
{
	send_all(pair[0], BULK);
	receive_all(pair[1], BULK);
}

static void udp_datagram_open(void)
{
	struct sockaddr_in from;

	pair[0] = bound(SOCK_DGRAM, htonl(INADDR_LOOPBACK), &from);
	pair[1] = bound(SOCK_DGRAM, htonl(INADDR_LOOPBACK), &server);
	die_if(connect(pair[0], (struct sockaddr *)&server, sizeof(server)), "connect");
}

static void udp_datagram(void)
{
	send_all(pair[0], DATAGRAM);
	receive_all(pair[1], DATAGRAM);
}

static void nothing(void)
{
}

/* Has nothing to do with networks: what a measurement shows here is its own noise. */
static void system_call(void)
{
	syscall(SYS_getppid);
}

static const struct operation {
	const char *name;
	void (*open)(void);
	void (*once)(void);
} operations[] = {
	{"tcp_connection", tcp_connection_open, tcp_connection},
	{"tcp_byte", tcp_exchange_open, tcp_byte},
	{"tcp_bulk", tcp_exchange_open, tcp_bulk},
	{"udp_datagram", udp_datagram_open, udp_datagram},
	{"system_call", nothing, system_call},
};

static const struct operation *operation_named(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	errno = EINVAL;
	die_if(true, name);
	return NULL;
}

static unsigned long cpu_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ul + now.tv_nsec;
}

static int run(void)
{
	char name[32];
	unsigned long count, windows;

	while (scanf("%31s %lu %lu", name, &count, &windows) == 3) {
		const struct operation *operation = operation_named(name);

		operation->open();
		for (; windows; windows--) {
			unsigned long start = cpu_time();

			for (unsigned long i = 0; i < count; i++)
				operation->once();
			printf("%lu%c", cpu_time() - start, windows == 1 ? '\n' : ' ');
		}
		close_all();
		fflush(stdout);
	}
	return 0;
}

static int hold(const char *address, unsigned long count)
{
	int(*pairs)[2] = calloc(count, sizeof(*pairs));
	unsigned long next = 0, touched;

	die_if(!pairs, "allocate");
	listener = listening(inet_addr(address), &server);
	for (unsigned long i = 0; i < count; i++)
		connect_pair(pairs[i]);
	puts("ready");
	fflush(stdout);
	while (scanf("%lu", &touched) == 1) {
		for (; touched; touched--, next = (next + 1) % count) {
			send_all(pairs[next][0], 1);
			receive_all(pairs[next][1], 1);
		}
		puts("done");
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	/* A benchmark that dies must not leave its load behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc == 2 && !strcmp(argv[1], "run"))
		return run();
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return hold(argv[2], strtoul(argv[3], NULL, 10));
	fprintf(stderr, "usage: load run | load hold ADDRESS COUNT\n");
	return 2;
}
