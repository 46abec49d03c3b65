/* SPDX-License-Identifier: MIT */
/*
 * refuse CALL... -- COMMAND...: runs a command for which these system calls fail with EPERM, by a
 * seccomp filter, which nothing can take off again.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CALLS 8

static int number_of(const char *name)
{
	if (strcmp(name, "bpf") == 0)
		return SYS_bpf;
	if (strcmp(name, "fsopen") == 0)
		return SYS_fsopen;
	if (strcmp(name, "memfd_create") == 0)
		return SYS_memfd_create;
	return -1;
}

int main(int argc, char **argv)
{
	struct sock_filter filter[2 * MAX_CALLS + 2] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	unsigned short length = 1;
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		int number = number_of(argv[i]);

		if (number < 0 || i > MAX_CALLS) {
			fprintf(stderr, "refuse: %s: not known here, or too many\n", argv[i]);
			return 2;
		}
		filter[length++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
		filter[length++] =
			(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	}
	filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (i + 1 >= argc) {
		fprintf(stderr, "usage: refuse CALL... -- COMMAND...\n");
		return 2;
	}

	struct sock_fprog program = {.len = length, .filter = filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		perror("refuse: seccomp");
		return 2;
	}
	execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 2;
}
