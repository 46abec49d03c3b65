/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What the kernel programs and user space share. This is the only place where these layouts are
 * written: ffi/layout.gen.ts is generated from the BTF of the compiled objects, and src/wasm/ includes
 * this file. Every hole is an explicit field, so that no byte of kernel stack ever leaves the kernel.
 */
#ifndef PORTOLAN_ABI_H
#define PORTOLAN_ABI_H

#ifdef __wasm__
#include <stdint.h>
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
#endif

#define ADDR_LEN 16 /* IPv4 is stored as ::ffff:a.b.c.d, RFC 4291 section 2.5.5.2 */
#define COMM_LEN 16 /* TASK_COMM_LEN */
#define EXE_LEN 256

enum direction {
	DIRECTION_UNSPECIFIED = 0,
	DIRECTION_INCOMING = 1,
	DIRECTION_OUTGOING = 2,
	DIRECTION_LOCAL = 3,
	DIRECTION_NONE = 4,
};

/* How the owner (`pid`) of a connection is known; a higher rank is never replaced by a lower one. */
enum owner {
	OWNER_UNKNOWN = 0,
	OWNER_LISTENER = 1, /* accepted, nobody seen at work on it yet: who called listen() */
	OWNER_HOLDER = 2, /* the task walk found the socket among this process's files */
	OWNER_USER = 3, /* seen at work on it: connect, send, shutdown, close */
};

enum conn_flag {
	CONN_ADOPTED = 1 << 0, /* known only since after its birth; `created` is 0 */
	CONN_CLOSE_LOST =
		1 << 1, /* its close never reached us; counters are those of the last refresh */
	CONN_UNSENT = 1 << 2, /* closed, but the ring was full: the next refresh emits it */
	CONN_SUSPECT =
		1 << 3, /* refresh found it gone at `updated`, perhaps while a hook was at work */
};

/* One connection, TCP or UDP: value of the maps `tcp_conns` and `udp_flows`, body of EVENT_CLOSED. */
struct conn {
	__u64 cookie; /* identity of this connection, unique while it can be confused; never 0 */
	__u64 created; /* ns, CLOCK_MONOTONIC; 0 when it was open before we looked */
	__u64 updated; /* ns, the last time a counter was read or moved */
	__u64 closed_at; /* ns; 0 while open */
	__u64 sent_bytes; /* payload; absolute, like every counter here */
	__u64 recv_bytes; /* payload; for UDP: offered to the socket, dropped_* included */
	__u64 sent_packets; /* TCP segments, UDP datagrams */
	__u64 recv_packets;
	__u64 dropped_bytes; /* UDP only: offered, but refused for lack of receive buffer */
	__u64 dropped_packets;
	__u8 laddr[ADDR_LEN]; /* network byte order */
	__u8 raddr[ADDR_LEN];
	__u16 lport; /* host byte order */
	__u16 rport;
	__u32 netns; /* inode number of the network namespace */
	__u32 pid; /* tgid of the owner; 0 unknown */
	__u32 uid; /* of the socket */
	__u32 rtt; /* us, smoothed; 0: no sample. TCP only, like all down to `closed` */
	__u32 rttvar; /* us */
	__u32 retransmits; /* segments */
	__u32 rto_count;
	__u32 reord_seen;
	__u32 delivered_ce;
	__u16 error; /* errno that ended it; 0: none */
	__u8 established; /* 1: we saw it being established */
	__u8 closed; /* 1: it reached TCP_CLOSE */
	__u8 protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	__u8 direction; /* enum direction */
	__u8 state; /* TCP_*; 0 for UDP */
	__u8 owner; /* enum owner */
	__u32 process; /* 0 from the kernel; user space puts the index of the process's description here */
	__u32 flags; /* enum conn_flag */
};
_Static_assert(sizeof(struct conn) == 168, "mirrored by ffi/layout.gen.ts");

/* Value of the map `listeners`. */
struct listener {
	__u32 pid; /* tgid of who called listen() */
	__u32 sockets; /* several with SO_REUSEPORT, or one per address */
};

/* One UDP flow: one peer of one socket. */
struct udp_key {
	__u64 sk;
	__u8 laddr[ADDR_LEN];
	__u8 raddr[ADDR_LEN];
	__u16 lport;
	__u16 rport;
	__u32 pad;
};

/* Value of the map `udp_socks`. */
struct udp_sock_state {
	__u32 pid; /* who created it, then who last sent on it */
	__u32 uid;
	struct udp_key newest; /* head of the chain of its flows; sk 0: none */
};

enum event_kind {
	EVENT_CLOSED = 1, /* struct closed_event */
	EVENT_FORK = 2, /* struct process_event; exe empty: inherited from ppid */
	EVENT_EXEC = 3, /* struct process_event */
	EVENT_EXIT = 4, /* struct process_event; exe empty */
};

struct closed_event {
	__u32 kind; /* enum event_kind */
	__u32 pad;
	struct conn conn;
};
_Static_assert(sizeof(struct closed_event) == 176, "mirrored by ffi/layout.gen.ts");

struct process_event {
	__u32 kind; /* enum event_kind */
	__u32 pid; /* tgid */
	__u32 ppid; /* tgid of the parent */
	__u32 uid; /* effective, in the initial user namespace */
	__u64 start_time; /* ns since boot, CLOCK_BOOTTIME: field 22 of /proc/PID/stat before rounding */
	__u8 comm[COMM_LEN]; /* NUL-terminated */
	__u8 exe[EXE_LEN]; /* NUL-terminated path as it was given to execve */
};
_Static_assert(sizeof(struct process_event) == 296, "mirrored by ffi/layout.gen.ts");

/* What the kernel programs lost, repaired or left to be done: index into the per-CPU map `counters`. */
enum counter {
	COUNTER_TCP_MAP_FULL, /* connection not tracked while open; its close is still told */
	COUNTER_UDP_MAP_FULL, /* datagrams not counted */
	COUNTER_LISTENER_MAP_FULL, /* accepted connections without an owner until first use */
	COUNTER_UDP_SOCK_MAP_FULL, /* UDP sockets without an owner until first send */
	COUNTER_RING_FULL_CLOSED, /* close kept in the map for the next refresh */
	COUNTER_RING_FULL_PROCESS, /* process event lost */
	COUNTER_CLOSE_LOST, /* closes whose event never reached us, found by refresh or reuse */
	COUNTER_CLOSE_UNTOLD, /* closes that no event or refresh could tell: lost */
	COUNTER_ADOPTED, /* connections first seen after their birth */
	COUNTER_RECOVERED, /* closes of connections that the map did not hold, told all the same */
	COUNTER_ACCEPTED, /* connections in want of an owner: the next fetch walks the tasks */
	COUNTER_MAX,
};

/* Load-time switches, in .rodata.config of every object that reads one. */
struct config {
	__u64 udp_timeout_ns; /* a UDP flow without a datagram for so long is told as closed */
};

#endif
