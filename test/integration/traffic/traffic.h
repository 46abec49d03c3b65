/* SPDX-License-Identifier: MIT */
/*
 * Clients and servers whose every system call is chosen by the test. A program is a list of
 * operations given as arguments ("connect send:5000 shutdown drain close"); what it reports on stdout,
 * one JSON object a line, is made of the return values of its own calls, so that it can be held
 * against a tracer as the truth.
 */
#ifndef PORTOLAN_TRAFFIC_H
#define PORTOLAN_TRAFFIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct options {
	const char *bind; /* ADDR:PORT or [ADDR]:PORT */
	const char *connect;
	int count; /* how often the operations after "listen" run; 0: until stdin ends */
	char **ops;
};

int run_tcp(const struct options *options);
int run_udp(const struct options *options);
int run_load(int argc, char **argv);

/* support.c */
_Noreturn void die(const char *what);
void die_if(bool failed, const char *what);
socklen_t parse_address(const char *text, struct sockaddr_storage *into);
void format_address(const struct sockaddr_storage *address, char *ip, uint16_t *port);
bool is_wildcard(const struct sockaddr_storage *address);
bool operation_is(const char *op, const char *name, const char **arg);
size_t next_number(const char **arg);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_listening(int fd);
void wait_for_go(void);
bool stdin_ended_before(int fd);
unsigned long own_netns(void);
char *payload(size_t size);

/* uring.c: one operation at a time through io_uring, results as of the system calls of that name */
struct ring;
struct ring *ring_open(void);
int ring_call(struct ring *ring, int opcode, int fd, const void *addr, unsigned int len,
	      uint64_t offset);

#endif
