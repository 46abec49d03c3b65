// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
#include "tcp_life.h"

/* Raw tracepoints: no argument copying, and present since 4.16. */
SEC("raw_tp/inet_sock_set_state")
int tcp_set_state(struct bpf_raw_tracepoint_args *ctx)
{
	on_set_state((const struct sock *)ctx->args[0], ctx->args[1], ctx->args[2]);
	return 0;
}

SEC("raw_tp/tcp_destroy_sock")
int tcp_destroy(struct bpf_raw_tracepoint_args *ctx)
{
	on_destroy((const struct sock *)ctx->args[0]);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
