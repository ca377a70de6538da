/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. Numbers are written from integers: no rounding, and no decimal comma. */
#include "shared/monitor/metrics.h"

#include <inttypes.h>
#include <stdio.h>

const char *
metrics_type_name(enum metrics_type type)
{
	switch (type) {
	case METRICS_COUNTER:
		return "counter";
	case METRICS_GAUGE:
		return "gauge";
	}
	return "?";
}

void
metrics_init(struct metrics *m, struct buf *out)
{
	*m = (struct metrics){.out = out};
}

void
metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *help)
{
	m->name = name;
	if (!buf_printf(
		m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, metrics_type_name(type)))
		m->failed = true;
}

static bool
put_label_value(struct buf *out, const char *text)
{
	bool ok = true;

	for (; ok && *text != '\0'; text++) {
		if (*text == '\n')
			ok = buf_append_str(out, "\\n");
		else if (*text == '"' || *text == '\\')
			ok = buf_printf(out, "\\%c", *text);
		else
			ok = buf_append_char(out, *text);
	}
	return ok;
}

static bool
put_labels(struct buf *out, const char *label, const char *value)
{
	if (label == NULL)
		return true;
	return buf_printf(out, "{%s=\"", label) && put_label_value(out, value) &&
	       buf_append_str(out, "\"}");
}

static bool
put_number(struct buf *out, uint64_t value, unsigned int decimals)
{
	uint64_t unit = 1;

	for (unsigned int i = 0; i < decimals; i++)
		unit *= 10;
	if (decimals == 0)
		return buf_printf(out, " %" PRIu64 "\n", value);
	return buf_printf(
	    out, " %" PRIu64 ".%0*" PRIu64 "\n", value / unit, (int)decimals, value % unit);
}

void
metrics_scaled(struct metrics *m, const char *label, const char *label_value, uint64_t value,
    unsigned int decimals)
{
	if (!buf_append_str(m->out, m->name) || !put_labels(m->out, label, label_value) ||
	    !put_number(m->out, value, decimals))
		m->failed = true;
}

void
metrics_sample(struct metrics *m, const char *label, const char *label_value, uint64_t value)
{
	metrics_scaled(m, label, label_value, value, 0);
}

void
metrics_single(
    struct metrics *m, const char *name, enum metrics_type type, const char *help, uint64_t value)
{
	metrics_family(m, name, type, help);
	metrics_sample(m, NULL, NULL, value);
}
