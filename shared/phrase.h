/* System errors as plain phrases, for log lines and reasons: "connection refused". Static strings.
 */
#ifndef VOGELER_PHRASE_H
#define VOGELER_PHRASE_H

/* What phrase_resolve() says of a name that nobody has. */
#define PHRASE_NO_HOST "no such host"
/* What is wrong and the way out are one sentence, with this between them. */
#define PHRASE_CURE "; cure: "

/* The way out that a sentence names: what follows PHRASE_CURE; NULL if it names none. */
const char *phrase_cure(const char *sentence);
const char *phrase_errno(int err);
/* rc: what getaddrinfo() returned; err: errno, for EAI_SYSTEM. */
const char *phrase_resolve(int rc, int err);

#endif
