// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Who processes are, told when they are born, change and die: /proc is too late for short ones. */
#include "maps.h"

/* The path is the long part of the event, and only exec has one. */
#define SHORT_EVENT_LEN offsetof(struct process_event, exe)

static __always_inline void describe(struct process_event *event, enum event_kind kind,
				     const struct task_struct *task)
{
	event->kind = kind;
	event->pid = BPF_CORE_READ(task, tgid);
	event->ppid = BPF_CORE_READ(task, real_parent, tgid);
	event->uid = BPF_CORE_READ(task, cred, euid.val);
	event->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	BPF_CORE_READ_INTO(&event->comm, task, comm);
}

static __always_inline void send_short(enum event_kind kind, const struct task_struct *task)
{
	struct process_event *event = bpf_ringbuf_reserve(&events, SHORT_EVENT_LEN, 0);

	if (!event) {
		count(COUNTER_RING_FULL_PROCESS);
		return;
	}
	describe(event, kind, task);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __always_inline bool is_thread(const struct task_struct *task)
{
	return BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid);
}

SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *child = (const void *)ctx->args[1];

	if (!is_thread(child))
		send_short(EVENT_FORK, child);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	const struct linux_binprm *bprm = (const void *)ctx->args[2];
	struct process_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count(COUNTER_RING_FULL_PROCESS);
		return 0;
	}
	describe(event, EVENT_EXEC, (const void *)ctx->args[0]);
	__builtin_memset(event->exe, 0, EXE_LEN);
	bpf_probe_read_kernel_str(event->exe, EXE_LEN, BPF_CORE_READ(bprm, filename));
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (const void *)ctx->args[0];

	if (!is_thread(task))
		send_short(EVENT_EXIT, task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
