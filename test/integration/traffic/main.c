/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "traffic.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void enter_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	die_if(fd < 0, path);
	die_if(setns(fd, CLONE_NEWNET), "setns");
	close(fd);
}

int main(int argc, char **argv)
{
	struct options options = {.count = 1};
	int option;

	/* A test that dies must not leave its traffic behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);

	while ((option = getopt(argc, argv, "+N:b:c:n:")) != -1) {
		switch (option) {
		case 'N':
			enter_netns(optarg);
			break;
		case 'b':
			options.bind = optarg;
			break;
		case 'c':
			options.connect = optarg;
			break;
		case 'n':
			options.count = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (optind >= argc)
		return 2;

	const char *family = argv[optind++];

	options.ops = argv + optind;
	if (!strcmp(family, "tcp"))
		return run_tcp(&options);
	if (!strcmp(family, "udp"))
		return run_udp(&options);
	if (!strcmp(family, "load"))
		return run_load(argc - optind, argv + optind);
	fprintf(stderr, "traffic: %s: not tcp, udp or load\n", family);
	return 2;
}
