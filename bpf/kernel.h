/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Minimal CO-RE views of kernel structures: only the fields that Portolan reads, relocated by libbpf
 * against the BTF of the running kernel. A generated vmlinux.h was rejected: 130,000 lines that differ
 * by kernel and hide which fields matter. A field that a kernel renamed or lacks gets its accessor
 * here, with the commit, and nowhere else.
 */
#ifndef PORTOLAN_KERNEL_H
#define PORTOLAN_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "abi.h"

#define AF_INET 2
#define AF_INET6 10
#define ETH_P_IP 0x0800
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define SOCK_DONE_BIT 1 /* enum sock_flags: FIN received */
#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_CLOSE = 7,
	TCP_LISTEN = 10,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	atomic_t refs;
} refcount_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
	refcount_t skc_refcnt;
};

struct qspinlock {
	atomic_t val;
};

struct raw_spinlock {
	struct qspinlock raw_lock;
};

struct spinlock {
	struct raw_spinlock rlock;
};

typedef struct {
	struct spinlock slock;
	int owned;
} socket_lock_t;

typedef struct {
	__u32 val;
} kuid_t;

struct sock {
	struct sock_common __sk_common;
	socket_lock_t sk_lock;
	int sk_err;
	kuid_t sk_uid;
	__u16 sk_protocol; /* 16 bits since 5.6, bf9765145b85 */
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct tcp_sock {
	__u32 segs_in;
	__u32 segs_out;
	__u64 bytes_received;
	__u64 bytes_sent; /* since 4.19, ba113c3aa79a */
	__u64 bytes_retrans; /* since 4.19, fb31c9b9f6c8 */
	__u32 total_retrans;
	__u32 srtt_us;
	__u32 mdev_us;
	__u32 reord_seen; /* since 4.19, 7ec65372ca53 */
	__u32 delivered_ce; /* since 4.18, feb5f2ec6464 */
	__u16 total_rto; /* since 6.7, 3868ab0f1925 */
};

struct file {
	const void *f_op;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct socket {
	struct sock *sk;
};

struct list_head {
	struct list_head *next;
};

struct cred {
	kuid_t euid;
};

struct task_struct {
	unsigned int flags;
	struct list_head tasks;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime; /* since 5.5, cf25e24db61c; real_start_time before */
	const struct cred *cred;
	struct files_struct *files;
	char comm[COMM_LEN];
};

struct linux_binprm {
	const char *filename;
};

struct sk_buff {
	unsigned int len;
	__u16 network_header;
	__u16 transport_header;
	unsigned char *head;
	__be16 protocol;
};

#pragma clang attribute pop

/*
 * One field behind a pointer that the kernel gave us. With bpf_rdonly_cast (6.2, a35b9af4ec2c) it is a
 * plain load that the kernel guards; before, a call of bpf_probe_read_kernel. With PLAIN_READS always
 * that call: the cast takes type ids of the kernel's own BTF, so that libbpf refuses to load an object
 * that mentions it where BTF comes from a file.
 */
#ifdef PLAIN_READS
#define READ(type, pointer, field) BPF_CORE_READ((const type *)(pointer), field)
#else
extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

#define READ(type, pointer, field)                                                           \
	(bpf_rdonly_cast                                                                     \
		 ? ((const type *)bpf_rdonly_cast((pointer), bpf_core_type_id_kernel(type))) \
			   ->field                                                           \
		 : BPF_CORE_READ((const type *)(pointer), field))
#endif

/*
 * The inet or other socket behind a file that is known to be a socket. Probe-read, so that the verifier
 * takes the pointer for a number: it becomes a key.
 */
static __always_inline const struct sock *file_sock(const struct file *file)
{
	const struct socket *socket = READ(struct file, file, private_data);

	return BPF_CORE_READ(socket, sk);
}

/* Number of retransmission time-outs; 0 on kernels that don't count them. */
static __always_inline __u32 tcp_rto_count(const struct tcp_sock *tp)
{
	if (bpf_core_field_exists(tp->total_rto))
		return READ(struct tcp_sock, tp, total_rto);
	return 0;
}

static __always_inline void write_mapped_ipv4(__u8 addr[ADDR_LEN], __be32 ipv4)
{
	__builtin_memset(addr, 0, ADDR_LEN);
	addr[10] = 0xff;
	addr[11] = 0xff;
	__builtin_memcpy(addr + 12, &ipv4, sizeof(ipv4));
}

static __always_inline __u32 sock_netns(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/*
 * Local address and port of an inet socket; false when it is none. The port is inet_sport: skc_num is
 * already cleared at TCP_CLOSE.
 */
static __always_inline bool read_local(struct conn *conn, const struct sock *sk)
{
	__u16 family = READ(struct sock, sk, __sk_common.skc_family);

	if (family == AF_INET)
		write_mapped_ipv4(conn->laddr, READ(struct sock, sk, __sk_common.skc_rcv_saddr));
	else if (family == AF_INET6)
		BPF_CORE_READ_INTO(&conn->laddr, sk, __sk_common.skc_v6_rcv_saddr);
	else
		return false;
	conn->lport = bpf_ntohs(READ(struct inet_sock, sk, inet_sport));
	return true;
}

/* Both ends and the namespace of an inet socket; false when it is none. */
static __always_inline bool read_tuple(struct conn *conn, const struct sock *sk)
{
	if (!read_local(conn, sk))
		return false;
	if (READ(struct sock, sk, __sk_common.skc_family) == AF_INET)
		write_mapped_ipv4(conn->raddr, READ(struct sock, sk, __sk_common.skc_daddr));
	else
		BPF_CORE_READ_INTO(&conn->raddr, sk, __sk_common.skc_v6_daddr);
	conn->rport = bpf_ntohs(READ(struct sock, sk, __sk_common.skc_dport));
	conn->netns = sock_netns(sk);
	return true;
}

/*
 * The process at work on this socket right now, or 0. `owned` is true exactly while a process holds
 * the socket lock (softirq and timers find it taken and defer to the backlog), so it tells process
 * context from softirq without asking what interrupted what. Kernel threads (MPTCP's worker closes
 * subflows) are nobody's process.
 */
static __always_inline __u32 pid_at_work(const struct sock *sk)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();

	if (!READ(struct sock, sk, sk_lock.owned))
		return 0;
	if (READ(struct task_struct, task, flags) & PF_KTHREAD)
		return 0;
	return bpf_get_current_pid_tgid() >> 32;
}

/* splitmix64's finaliser: spreads a pointer and a time over all 64 bits. Never 0. */
static __always_inline __u64 make_cookie(__u64 pointer, __u64 now)
{
	__u64 x = pointer ^ (now << 20 | now >> 44);

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (x ^ (x >> 31)) ?: 1;
}

#endif
