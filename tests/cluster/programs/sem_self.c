// SPDX-License-Identifier: GPL-2.0
/* semantics: what a process can read about itself. */
#include "semantics.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static long kb_of(const char *line, const char *field)
{
	size_t len = strlen(field);

	if (strncmp(line, field, len) || line[len] != ':')
		return -1;
	return strtol(line + len + 1, NULL, 10);
}

long status_kb(const char *field)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	while (file && kb < 0 && fgets(line, sizeof(line), file))
		kb = kb_of(line, field);
	if (file)
		fclose(file);
	return kb;
}

/* Is it a mapping's header line, and of the one at @p? */
static bool header_of(const char *line, uintptr_t p, bool *header)
{
	unsigned long start, end;
	char dash;

	*header = sscanf(line, "%lx%c%lx ", &start, &dash, &end) == 3 && dash == '-';
	return *header && p >= start && p < end;
}

long smaps_kb(const void *p, const char *field)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	bool here = false, header, hit;
	char line[512];
	long kb = -1;

	while (file && kb < 0 && fgets(line, sizeof(line), file)) {
		hit = header_of(line, (uintptr_t)p, &header);
		if (header)
			here = hit;
		else if (here)
			kb = kb_of(line, field);
	}
	if (file)
		fclose(file);
	return kb;
}

const char *maps_line(const void *p)
{
	FILE *file = fopen("/proc/self/maps", "re");
	static char line[512];
	bool header;

	while (file && fgets(line, sizeof(line), file))
		if (header_of(line, (uintptr_t)p, &header)) {
			fclose(file);
			line[strcspn(line, "\n")] = '\0';
			return line;
		}
	if (file)
		fclose(file);
	return "";
}

bool managed_if_tagged(const void *p)
{
	return !tagged || strstr(maps_line(p), "/pmon");
}

long major_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_majflt;
}

int become_nobody(void)
{
	if (getuid())
		return 0;
	/* The group first; without root it would be refused. */
	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534))
		return -1;
	return prctl(PR_SET_DUMPABLE, 1);
}
