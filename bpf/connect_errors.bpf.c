// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * connect() calls that fail before TCP starts, such as ENETUNREACH: no other event exists for them
 * without fexit. Opt-in, since attaching any syscall tracepoint slows every syscall of every process.
 */
#include "tcp_conn.h"

#define EINPROGRESS 115
#define EALREADY 114
#define EISCONN 106
#define EINTR 4
#define EBADF 9
#define EFAULT 14
#define ENOTSOCK 88

/* struct trace_event_raw_sys_exit */
struct sys_exit_connect_ctx {
	__u64 common;
	__u64 nr;
	long ret;
};

/* Registers keep the arguments of a system call until it returns. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long di;
	unsigned long si;
#endif
};
#pragma clang attribute pop

struct sockaddr_any {
	__u16 family;
	__be16 port;
	union {
		__be32 ipv4;
		struct {
			__u32 flowinfo;
			__u8 ipv6[ADDR_LEN];
		};
	};
};

/* Not an end: the connection goes on, or there was none to begin with. */
static __always_inline bool is_failure(long ret)
{
	return ret < 0 && ret != -EINPROGRESS && ret != -EALREADY && ret != -EISCONN &&
	       ret != -EINTR && ret != -EBADF && ret != -EFAULT && ret != -ENOTSOCK;
}

static __always_inline const struct sock *sock_of(const struct task_struct *task, __u64 fd)
{
	struct file **fds = BPF_CORE_READ(task, files, fdt, fd);
	struct file *file;

	if (bpf_probe_read_kernel(&file, sizeof(file), fds + fd))
		return NULL;
	return file_sock(file);
}

SEC("tp/syscalls/sys_exit_connect")
int connect_failed(struct sys_exit_connect_ctx *ctx)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();
	const struct pt_regs *regs;
	struct sockaddr_any to = {};
	const struct sock *sk;
	struct conn conn;
	__u64 key, now = bpf_ktime_get_ns();

	if (!is_failure(ctx->ret))
		return 0;
	regs = (const void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	sk = sock_of(task, BPF_CORE_READ(regs, di));
	key = (__u64)sk;
	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP ||
	    bpf_map_lookup_elem(&tcp_conns,
				&key)) /* it got as far as SYN_SENT: told by its close */
		return 0;
	if (!init_conn(&conn, sk, now))
		return 0;
	if (bpf_probe_read_user(&to, sizeof(to), (void *)BPF_CORE_READ(regs, si)))
		bpf_probe_read_user(
			&to, 16, (void *)BPF_CORE_READ(regs, si)); /* sockaddr_in at a page's end */
	if (to.family == AF_INET)
		write_mapped_ipv4(conn.raddr, to.ipv4);
	else if (to.family == AF_INET6)
		__builtin_memcpy(conn.raddr, to.ipv6, ADDR_LEN);
	else
		return 0;
	conn.rport = bpf_ntohs(to.port);
	conn.created = now;
	conn.closed_at = now;
	conn.closed = 1;
	conn.state = TCP_CLOSE;
	conn.direction = DIRECTION_OUTGOING;
	conn.error = -ctx->ret;
	take_owner(&conn, bpf_get_current_pid_tgid() >> 32, OWNER_USER);
	tell_untracked(&conn);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
