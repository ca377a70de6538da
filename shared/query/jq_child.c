/* SPDX-License-Identifier: Apache-2.0 */
/* See jq_child.h. */
#include "shared/query/jq_child.h"
#include "shared/base/trouble.h"

#include "shared/base/buf.h"
#include "shared/base/xalloc.h"

#include <errno.h>
#include <jq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define TROUBLE_MAX (64 * 1024)
#define MESSAGE_MAX 512

bool
jq_word_has_text(enum jq_word word)
{
	return word == JQ_WORD_UNCOMPILED || word == JQ_WORD_VALUES || word == JQ_WORD_ERROR;
}

bool
jq_child_is_meant(int argc, char **argv)
{
	return argc == 3 && strcmp(argv[0], JQ_CHILD_NAME) == 0;
}

/* --- pipes --- */

/* Who asks is gone: so are we. */
static void
say(enum jq_word word, const char *text, size_t len)
{
	const char byte = (char)word;
	const uint32_t length = (uint32_t)len;

	if (!buf_write_all(STDOUT_FILENO, &byte, 1) ||
	    (jq_word_has_text(word) && (!buf_write_all(STDOUT_FILENO, &length, sizeof(length)) ||
					   !buf_write_all(STDOUT_FILENO, text, len))))
		_exit(1);
}

/* The part of the file that the next request names, with a NUL behind it; malloced. Ends the
 * process when there is none. */
static char *
next_part(struct jq_request *r)
{
	size_t got = 0;
	char *part;

	while (got < sizeof(*r)) {
		ssize_t n = read(STDIN_FILENO, (char *)r + got, sizeof(*r) - got);

		if (n == 0 || (n < 0 && errno != EINTR))
			_exit(0);
		got += n > 0 ? (size_t)n : 0;
	}
	part = xcalloc(1, (size_t)r->bytes + 1);
	for (got = 0; got < r->bytes;) {
		ssize_t n =
		    pread(JQ_CHILD_RECORDS, part + got, r->bytes - got, (off_t)(r->offset + got));

		if (n == 0 || (n < 0 && errno != EINTR))
			_exit(1);
		got += n > 0 ? (size_t)n : 0;
	}
	return part;
}

/* --- compiling --- */

static void
on_no_memory(void *arg)
{
	_exit(JQ_EXIT_NO_MEMORY);
}

/* More errors than are kept are of no use. */
static void
on_jq_error(void *arg, jv msg)
{
	struct buf *text = arg;
	jv formatted = jq_format_error(msg);
	bool kept = jv_get_kind(formatted) == JV_KIND_STRING &&
		    buf_printf(text, "%s%s", text->len > 0 ? "\n" : "", jv_string_value(formatted));

	(void)kept;
	jv_free(formatted);
}

/* The program has asked for an input beside the record. There is none, of which jq's own word is
 * "break": by it "inputs" knows that it is at the end. */
static bool asked_for_input;

static jv
child_on_input(jq_state *jq, void *arg)
{
	asked_for_input = true;
	return jq_util_input_next_input_cb(jq, arg);
}

/* Its library is nowhere, and it has no input but the record. Without these jq aborts on "import",
 * and on functions that ask where the input is from. */
static void
cut_off(jq_state *jq)
{
	jq_util_input_state *none = jq_util_input_init(NULL, NULL);

	jq_util_input_set_parser(none, jv_parser_new(0), 0);
	jq_set_input_cb(jq, child_on_input, none);
	jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"), jv_array());
	jq_set_attr(jq, jv_string("JQ_ORIGIN"), jv_string("/nonexistent"));
	jq_set_attr(jq, jv_string("PROGRAM_ORIGIN"), jv_string("/nonexistent"));
}

static jq_state *
compile(const char *program)
{
	static const char no_words[] = "jq cannot compile it";
	jq_state *jq = jq_init();
	struct buf text;

	if (jq == NULL)
		_exit(JQ_EXIT_NO_MEMORY);
	buf_init(&text, TROUBLE_MAX);
	jq_set_nomem_handler(jq, on_no_memory, NULL);
	cut_off(jq);
	jq_set_error_cb(jq, on_jq_error, &text);
	if (jq_compile(jq, program) == 0) {
		if (text.len > 0)
			say(JQ_WORD_UNCOMPILED, text.data, text.len);
		else
			say(JQ_WORD_UNCOMPILED, no_words, sizeof(no_words) - 1);
		_exit(JQ_EXIT_UNCOMPILED);
	}
	jq_set_error_cb(jq, NULL, NULL);
	buf_finish(&text);
	return jq;
}

/* --- a record --- */

static bool
is_true(jv v)
{
	jv_kind kind = jv_get_kind(v);

	return kind != JV_KIND_NULL && kind != JV_KIND_FALSE;
}

/* Cuts what is longer, between characters. */
static void
cut_message(char message[MESSAGE_MAX], const char *text)
{
	size_t n = strlen(text);

	if (n >= MESSAGE_MAX) {
		n = MESSAGE_MAX - sizeof("...");
		while (n > 0 && (text[n] & 0xc0) == 0x80)
			n--;
		snprintf(message, MESSAGE_MAX, "%.*s...", (int)n, text);
	} else {
		snprintf(message, MESSAGE_MAX, "%s", text);
	}
	for (char *p = message; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
}

/* Consumes msg: a text, or any other value, as error({a: 1}) has it. */
static char *
describe_error(jv msg)
{
	bool is_text = jv_get_kind(msg) == JV_KIND_STRING;
	char *text;

	if (!is_text)
		msg = jv_dump_string(msg, 0);
	if (is_text && asked_for_input && strcmp(jv_string_value(msg), "break") == 0)
		text = xstrdup(
		    "it asks for one more input, and there is none: each record is asked by "
		    "itself, as \".\"");
	else if (is_text && jv_string_value(msg)[0] == '\0')
		text = xstrdup("its error has no text");
	else
		xasprintf(
		    &text, "%s%s", is_text ? "" : "its error is no text: ", jv_string_value(msg));
	jv_free(msg);
	return text;
}

/* Consumes error, the end of jq_next()'s results. What a host sent may be in its text. */
static void
say_error(jv error)
{
	char message[MESSAGE_MAX], *text = describe_error(jv_invalid_get_msg(error));

	cut_message(message, text);
	free(text);
	say(JQ_WORD_ERROR, message, strlen(message));
}

/* Tells of the program's own "halt" or "halt_error", of which the results say nothing. */
static void
say_halted(jq_state *jq)
{
	static const char no_words[] = "the program halted";
	jv msg = jq_get_error_message(jq);

	if (jv_is_valid(msg)) {
		say_error(jv_invalid_with_msg(msg));
	} else {
		jv_free(msg);
		say(JQ_WORD_ERROR, no_words, sizeof(no_words) - 1);
	}
}

/* Consumes value. */
static bool
take_value(struct buf *values, jv value)
{
	jv text = jv_dump_string(value, 0);
	bool fits = (values->len == 0 || buf_append_char(values, '\n')) &&
		    buf_append_str(values, jv_string_value(text));

	jv_free(text);
	return fits;
}

static void
answer(jq_state *jq, enum jq_mode mode, const char *line, size_t len)
{
	static const char too_many[] = "what comes out is more than 16 MiB";
	struct buf values;
	jv value = jv_parse_sized(line, (int)len);

	buf_init(&values, JQ_RESULT_MAX);
	asked_for_input = false;
	if (jv_is_valid(value)) {
		jq_start(jq, value, 0);
		for (value = jq_next(jq); jv_is_valid(value); value = jq_next(jq)) {
			if (mode == JQ_TRUTH && is_true(value)) {
				jv_free(value);
				say(JQ_WORD_TRUE, NULL, 0);
				return;
			}
			if (mode == JQ_TRUTH) {
				jv_free(value);
			} else if (!take_value(&values, value)) {
				buf_finish(&values);
				say(JQ_WORD_ERROR, too_many, sizeof(too_many) - 1);
				return;
			}
		}
	}
	if (jq_halted(jq)) {
		jv_free(value);
		say_halted(jq);
	} else if (jv_invalid_has_msg(jv_copy(value))) {
		say_error(value);
	} else {
		jv_free(value);
		say(mode == JQ_TRUTH ? JQ_WORD_FALSE : JQ_WORD_VALUES, values.data, values.len);
	}
	buf_finish(&values);
}

/* --- the process --- */

static void
limit(int what, rlim_t value)
{
	const struct rlimit l = {.rlim_cur = value, .rlim_max = value};

	setrlimit(what, &l); /* what cannot be lowered is lower already */
}

/* $ENV would show what only who asks has: passwords, perhaps, and another answer for each. The time
 * zone is for localtime. */
static void
forget_environment(void)
{
	static char *none[] = {NULL}; /* jq goes along environ, which clearenv() sets to NULL */
	char *kept = xstrdup_null(getenv("TZ"));

	environ = none;
	if (kept != NULL)
		setenv("TZ", kept, 1);
	free(kept);
}

static void
settle(rlim_t cpu_s)
{
	forget_environment();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0); /* it has records in it */
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, cpu_s);
#ifndef __SANITIZE_ADDRESS__ /* whose own memory is beyond any limit */
	limit(RLIMIT_AS, JQ_CHILD_MEMORY);
#endif
}

int
jq_child_main(char **argv)
{
	enum jq_mode mode = strcmp(argv[1], "values") == 0 ? JQ_VALUES : JQ_TRUTH;
	struct jq_request r;
	char *part, *line, *end;
	jq_state *jq;

	settle(strtoul(argv[2], NULL, 10));
	part = next_part(&r);
	jq = compile(part);
	free(part);
	say(JQ_WORD_COMPILED, NULL, 0);
	for (;;) {
		part = next_part(&r);
		line = part;
		for (uint32_t i = 0; i < r.records; i++) {
			end = strchr(line, '\n');
			if (end == NULL)
				_exit(1);
			answer(jq, mode, line, (size_t)(end - line));
			line = end + 1;
		}
		free(part);
	}
}
