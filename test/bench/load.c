// SPDX-License-Identifier: MIT
/*
 * The load of the benchmarks: single-threaded, both ends of every connection in this one process, so
 * that nothing waits for a scheduler and the CPU time of a loop is the cost of its operations. On
 * loopback the receiving half of the network stack runs in the sender's context, so it is in there too.
 *
 *   load run                  for a line "OPERATION COUNT CONTROLS WINDOWS" does so many operations and
 *                             then so many of their controls in each of so many windows, and answers
 *                             with the CPU times of both in ns for each window. Each has sockets of its
 *                             own, as the place of a socket in the caches alone makes some per cent.
 *   load hold ADDRESS COUNT   opens COUNT connections to ADDRESS and says "ready"; for a line "N" sends
 *                             a byte over each of the next N of them and says "done"
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 100
#define REPLY 1000
#define BULK (128 * 1024)
#define BULK_BUFFER (1024 * 1024) /* of a socket, so that a blocking send never waits */
#define DATAGRAM 64
#define SERVER_ADDRESSES 250 /* ports stay in TIME_WAIT for 60 s, but each address has its own */
#define BACKLOG 16
#define WARM_UP 20 /* operations before those that are timed; known to load.ts */

static char buffer[BULK];

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
static void connect_pair(int listener, const struct sockaddr *name, socklen_t length, int ends[2])
{
	ends[0] = socket(name->sa_family, SOCK_STREAM, 0);
	die_if(ends[0] < 0, "socket");
	die_if(connect(ends[0], name, length), "connect");
	ends[1] = accept(listener, NULL, NULL);
	die_if(ends[1] < 0, "accept");
}

static void close_pair(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static void exchange(const int ends[2], size_t size)
{
	send_all(ends[0], size);
	receive_all(ends[1], size);
}

static void request_and_reply(const int ends[2])
{
	const int reply[2] = {ends[1], ends[0]};

	exchange(ends, REQUEST);
	exchange(reply, REPLY);
}

/* What the operations work on. */
static struct sockaddr_in server;
static int listener = -1, pair[2] = {-1, -1};

static void tcp_pair(int ends[2])
{
	connect_pair(listener, (struct sockaddr *)&server, sizeof(server), ends);
}

static void close_all(void)
{
	close_pair(pair);
	close(listener);
	listener = pair[0] = pair[1] = -1;
}

static void tcp_listen(void)
{
	listener = listening(htonl(INADDR_ANY), &server);
}

/* A short connection; the client closes first. */
static void tcp_connection(void)
{
	static unsigned int next;
	int ends[2];

	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK + next++ % SERVER_ADDRESSES);
	tcp_pair(ends);
	request_and_reply(ends);
	close_pair(ends);
}

static void tcp_stream(void)
{
	const int size = BULK_BUFFER;

	listener = listening(htonl(INADDR_LOOPBACK), &server);
	/* Accepted sockets inherit it. */
	die_if(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), "SO_RCVBUF");
	tcp_pair(pair);
	die_if(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), "SO_SNDBUF");
}

static void tcp_byte(void)
{
	exchange(pair, 1);
}

static void tcp_bulk(void)
{
	exchange(pair, BULK);
}

static void udp_open(void)
{
	struct sockaddr_in from;

	pair[0] = bound(SOCK_DGRAM, htonl(INADDR_LOOPBACK), &from);
	pair[1] = bound(SOCK_DGRAM, htonl(INADDR_LOOPBACK), &server);
	die_if(connect(pair[0], (struct sockaddr *)&server, sizeof(server)), "connect");
}

static void udp_datagram(void)
{
	exchange(pair, DATAGRAM);
}

/*
 * The controls: the same calls on unix sockets, where no tracer has a hook. The machine's speed changes
 * from one moment to the next, but for both alike.
 */
static const struct sockaddr_un local_server = {.sun_family = AF_UNIX,
						.sun_path = "\0portolan-bench"};
static int local_listener = -1, local_pair[2] = {-1, -1};

static void local_close_all(void)
{
	close_pair(local_pair);
	close(local_listener);
	local_listener = local_pair[0] = local_pair[1] = -1;
}

static void local_listen(void)
{
	local_listener = socket(AF_UNIX, SOCK_STREAM, 0);
	die_if(local_listener < 0, "socket");
	die_if(bind(local_listener, (struct sockaddr *)&local_server, sizeof(local_server)),
	       "bind");
	die_if(listen(local_listener, BACKLOG), "listen");
}

static void local_connection(void)
{
	int ends[2];

	connect_pair(local_listener, (struct sockaddr *)&local_server, sizeof(local_server), ends);
	request_and_reply(ends);
	close_pair(ends);
}

static void local_stream(void)
{
	const int size = BULK_BUFFER;

	die_if(socketpair(AF_UNIX, SOCK_STREAM, 0, local_pair), "socketpair");
	die_if(setsockopt(local_pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), "SO_SNDBUF");
}

static void local_datagram_open(void)
{
	die_if(socketpair(AF_UNIX, SOCK_DGRAM, 0, local_pair), "socketpair");
}

static void local_byte(void)
{
	exchange(local_pair, 1);
}

static void local_bulk(void)
{
	exchange(local_pair, BULK);
}

static void local_datagram(void)
{
	exchange(local_pair, DATAGRAM);
}

static const struct operation {
	const char *name;
	void (*open)(void);
	void (*once)(void);
	void (*control_open)(void);
	void (*control)(void);
} operations[] = {
	{"tcp_connection", tcp_listen, tcp_connection, local_listen, local_connection},
	{"tcp_byte", tcp_stream, tcp_byte, local_stream, local_byte},
	{"tcp_bulk", tcp_stream, tcp_bulk, local_stream, local_bulk},
	{"udp_datagram", udp_open, udp_datagram, local_datagram_open, local_datagram},
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

/* Stays on this CPU: each has its own caches and interrupts. */
static void stay(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	die_if(sched_setaffinity(0, sizeof(here), &here), "sched_setaffinity");
}

static unsigned long timed(void (*once)(void), unsigned long count)
{
	struct timespec start, end;

	for (int i = 0; i < WARM_UP; i++)
		once();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (; count; count--)
		once();
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	return (end.tv_sec - start.tv_sec) * 1000000000ul + end.tv_nsec - start.tv_nsec;
}

static int run(void)
{
	unsigned long count, controls, windows;
	char name[32];

	stay();
	while (scanf("%31s %lu %lu %lu", name, &count, &controls, &windows) == 4) {
		const struct operation *operation = operation_named(name);

		for (; windows; windows--) {
			operation->open();
			operation->control_open();
			printf("%lu ", timed(operation->once, count));
			printf("%lu ", timed(operation->control, controls));
			close_all();
			local_close_all();
		}
		puts("");
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
		tcp_pair(pairs[i]);
	puts("ready");
	fflush(stdout);
	while (scanf("%lu", &touched) == 1) {
		for (; touched; touched--, next = (next + 1) % count)
			exchange(pairs[next], 1);
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
