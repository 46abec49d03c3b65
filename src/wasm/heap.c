/* SPDX-License-Identifier: MIT */
#include "state.h"

/* First byte behind the module's constants and stack, set by the linker. */
extern const char __heap_base;

EXPORT(heap_base) __u32 heap_base(void)
{
	return (__u32)&__heap_base;
}
