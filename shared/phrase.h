/* System errors as plain phrases, for log lines and reasons: "connection refused". Static strings.
 */
#ifndef VOGELER_PHRASE_H
#define VOGELER_PHRASE_H

const char *phrase_errno(int err);
/* rc: what getaddrinfo() returned; err: errno, for EAI_SYSTEM. */
const char *phrase_resolve(int rc, int err);

#endif
