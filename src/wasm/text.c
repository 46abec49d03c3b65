/* SPDX-License-Identifier: MIT */
#include "text.h"

static char *put_group(char *p, __u32 group)
{
	static const char digits[] = "0123456789abcdef";
	int shift = group > 0xfff ? 12 : group > 0xff ? 8 : group > 0xf ? 4 : 0;

	for (; shift >= 0; shift -= 4)
		*p++ = digits[(group >> shift) & 15];
	return p;
}

/*
 * RFC 5952, section 4: the longest run of two or more zero groups becomes "::", the first one of
 * equals.
 */
char *put_ipv6(char *p, const __u8 *address)
{
	__u32 groups[8];
	int start = -1, length = 1, run = 0;

	for (int i = 0; i < 8; i++) {
		groups[i] = (__u32)address[2 * i] << 8 | address[2 * i + 1];
		run = groups[i] ? 0 : run + 1;
		if (run > length) {
			length = run;
			start = i + 1 - run;
		}
	}
	for (int i = 0; i < 8; i++) {
		if (i == start) {
			*p++ = ':';
			*p++ = ':';
			i += length - 1;
			continue;
		}
		if (i && i != start + length)
			*p++ = ':';
		p = put_group(p, groups[i]);
	}
	return p;
}
