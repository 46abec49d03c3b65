/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Every map: key, value, capacity, and who deletes. The first object that is loaded creates a map, all
 * others reuse it by name. Capacities are defaults; user space resizes before load.
 */
#ifndef PORTOLAN_MAPS_H
#define PORTOLAN_MAPS_H

#include "kernel.h"

#define MAX_CONNECTIONS 65536
#define MAX_LISTENERS 16384
#define MAX_UDP_SOCKS 65536
#define RING_BYTES (8 * 1024 * 1024)

/*
 * TCP connections by struct sock pointer: the cookie is 0 until somebody asks for it, and a raw
 * tracepoint can't ask. Deleted by whoever tells the close: the close or destroy hook, or refresh.
 * An LRU map was rejected: it evicts live connections in silence.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CONNECTIONS);
	__type(key, __u64);
	__type(value, struct conn);
} tcp_conns SEC(".maps");

struct listener_key {
	__u32 netns;
	__u16 port; /* host byte order */
	__u16 pad;
};

/* Written by the listen hook and the task walk, deleted when the last of its sockets closes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_LISTENERS);
	__type(key, struct listener_key);
	__type(value, struct listener);
} listeners SEC(".maps");

struct udp_flow {
	struct conn conn;
	struct udp_key next; /* the socket's flow before this one; sk 0 ends the chain */
};

/* Deleted by the release hook with its socket, or by the sweep after udp_timeout_ns of silence. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CONNECTIONS);
	__type(key, struct udp_key);
	__type(value, struct udp_flow);
} udp_flows SEC(".maps");

/* UDP sockets by struct sock pointer. Written by sock_create and the task walk, deleted by sock_release. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_UDP_SOCKS);
	__type(key, __u64);
	__type(value, struct udp_sock_state);
} udp_socks SEC(".maps");

/* Closes and process events, drained by user space every few milliseconds without being woken. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} events SEC(".maps");

/* Losses and repairs by enum counter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(enum counter which)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&counters, &key);

	if (value) /* per CPU, but a nested program may interrupt the addition */
		__sync_fetch_and_add(value, 1);
}

#endif
